"""`samodal collect`: what many runs came to."""

from samodal.settings import CollectSettings


def main(settings: CollectSettings) -> None:
    """Write the tables and the page, and say what they hold."""
    from samodal.errors import printable
    from samodal.fleet.collect import collect

    print(printable(collect(settings.out)))
