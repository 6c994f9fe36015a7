"""`samodal bench`: how fast this machine is."""

from samodal.bench.settings import BenchSettings


def main(settings: BenchSettings) -> None:
    """Measure and print; writes the file of --json, and raises Incomplete where --against is missed."""
    from samodal.bench.bench import bench

    bench(settings)
