"""`samodal train cutter`: visible masks of boxes, on a GPU in minutes."""

from samodal.training.cutter.settings import CutterSettings


def main(settings: CutterSettings) -> None:
    """Train, and print where the checkpoint lies.

    Raises:
        InputError: if pictures or settings cannot be used.
    """
    from samodal.training.cutter.cutter import train

    print(train(settings))
