"""`samodal report`: what happened in a run, as one page."""

from samodal.settings import ReportSettings


def main(settings: ReportSettings) -> None:
    """Write report.html of a run, or of each run in a folder."""
    from samodal.errors import printable
    from samodal.progress import frames_bar
    from samodal.report.make import make_report

    with frames_bar("frames", None) as advance:
        pages = make_report(settings.run, settings.video, advance)
    for page in pages:
        print(printable(f"open {page}"))
