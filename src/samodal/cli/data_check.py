"""`samodal data check`: what a data set holds, and what is broken in it."""

from samodal.data.check import CheckSettings


def main(settings: CheckSettings) -> int:
    """Print what there is; 1 where something is broken, else 0."""
    from samodal.data.check import check, lines
    from samodal.errors import printable

    tally = check(settings.data, settings.pixels)
    print(printable(settings.data), *lines(tally), sep="\n")
    return 1 if tally.problems else 0
