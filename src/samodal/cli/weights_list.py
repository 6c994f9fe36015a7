"""`samodal weights list`: the same as `samodal weights`."""

from samodal.cli.weights import WeightsSettings, main

__all__ = ["WeightsSettings", "main"]
