"""`samodal weights`: which weights there are, of ours and of others."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WeightsSettings:
    """List weights by name: those that come with samodal, and published ones of the Hugging Face hub."""

    at_hand: bool = False
    """Only those that are on this machine."""


def main(settings: WeightsSettings) -> None:
    """Print the list."""
    from samodal.checkpoints.published import listing

    print(listing(settings.at_hand))
