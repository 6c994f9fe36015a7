"""`samodal train vis`: teach a VidEoMT to find instances in frames and to keep them through a video."""

from samodal.training.vis.settings import VisSettings


def main(settings: VisSettings) -> None:
    """Train, and print where the checkpoint lies.

    Raises:
        InputError: if data or settings cannot be used.
    """
    from samodal.training.vis.vis import train

    print(train(settings))
