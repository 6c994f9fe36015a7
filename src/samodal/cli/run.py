"""`samodal run`: a video or a data set in, amodal tracks, an overlay and a report out."""

from samodal.settings import RunSettings


def main(settings: RunSettings) -> None:
    """Run one video or all clips of a data set, with progress and a summary."""
    from samodal.fleet.run import run_all

    run_all(settings)
