"""`samodal train detector`: road users in pictures of real streets, on a GPU in minutes."""

from samodal.training.detector.settings import DetectorSettings


def main(settings: DetectorSettings) -> None:
    """Train, and print where the checkpoint lies.

    Raises:
        InputError: if pictures or settings cannot be used.
    """
    from samodal.training.detector.detector import train

    print(train(settings))
