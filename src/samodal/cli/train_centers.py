"""`samodal train centers`: the embedded front end, quick to train on a CPU."""

from samodal.training.centers.settings import CentersSettings


def main(settings: CentersSettings) -> None:
    """Train, and print where the checkpoint lies.

    Raises:
        InputError: if data or settings cannot be used.
    """
    from samodal.training.centers.centers import train

    print(train(settings))
