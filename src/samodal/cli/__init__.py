"""The command line, a thin file for each command."""

from samodal.cli.app import main

__all__ = ["main"]
