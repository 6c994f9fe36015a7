"""`samodal train tracker`: teach a CoTracker3 to follow points, also hidden ones."""

from samodal.training.tracker.settings import TrackerSettings


def main(settings: TrackerSettings) -> None:
    """Train, and print where the checkpoint lies.

    Raises:
        InputError: if data or settings cannot be used.
    """
    from samodal.training.tracker.tracker import train

    print(train(settings))
