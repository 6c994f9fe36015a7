"""`samodal synth`: render StreetSim."""

from samodal.settings import SynthSettings


def main(settings: SynthSettings) -> None:
    """Render with a progress bar, and say where the result is.

    Raises:
        InputError: for settings that cannot be, or a disk that is full.
    """
    from samodal.errors import InputError
    from samodal.executors import executor_for
    from samodal.progress import rest_bar
    from samodal.sim.write import write_split

    if settings.first < 0 or (settings.count is not None and settings.count < 1) or settings.workers < 1:
        raise InputError("synth: first must be 0 or more, count and workers 1 or more")
    if min(settings.height, settings.width) < 32 or max(settings.height, settings.width) > 4096:
        raise InputError(f"synth: frames of {settings.height}x{settings.width} pixels; sides go from 32 to 4096")
    executor = executor_for(settings.engine, settings.workers, settings.workers, address=settings.address)
    with rest_bar(f"StreetSim {settings.split}", "frames") as report:
        names = write_split(
            settings.out, settings.split, first=settings.first, count=settings.count, workers=settings.workers,
            size=(settings.height, settings.width), flow=settings.flow, points=settings.points, progress=report,
            executor=executor if settings.engine != "processes" else None,
        )  # fmt: skip
    print(f"{len(names)} sequences in {settings.out / settings.split}")
