"""`samodal demo`: the whole main job on the embedded clips, offline."""

from samodal.experiments.demo import DemoSettings


def main(settings: DemoSettings) -> None:
    """Run it, and print what to look at."""
    from samodal.experiments.demo import run_demo

    run_demo(settings)
