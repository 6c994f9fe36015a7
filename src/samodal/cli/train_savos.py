"""`samodal train savos`: teach a SAVOS to complete masks, from visible masks and optical flow alone."""

from samodal.training.savos.settings import SavosSettings


def main(settings: SavosSettings) -> None:
    """Train, and print where the checkpoint lies.

    Raises:
        InputError: if data or settings cannot be used.
    """
    from samodal.training.savos.savos import train

    print(train(settings))
