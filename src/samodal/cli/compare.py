"""`samodal compare`: two runs on the same frames, as one page."""

from samodal.settings import CompareSettings


def main(settings: CompareSettings) -> None:
    """Write the page."""
    from samodal.errors import printable
    from samodal.report.compare import make_comparison

    print(printable(f"open {make_comparison(settings.first, settings.second, settings.out, settings.video)}"))
