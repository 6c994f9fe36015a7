"""Progress on the terminal: how many are done, how fast, how long it still takes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from samodal.errors import printable


def notice(text: str) -> None:
    """One line on standard error about something odd that does not stop the work."""
    print(printable(text), file=sys.stderr)


class _Rate(ProgressColumn):
    """Items a second."""

    def __init__(self, unit: str):
        super().__init__()
        self.unit = unit

    def render(self, task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self.unit}/s", style="progress.data.speed")


@contextmanager
def frames_bar(title: str, total: int | None, unit: str = "frames") -> Iterator[Callable[..., None]]:
    """A progress bar on standard error; gives a function of the number of newly finished items, and of a short text."""
    with _bar(unit) as progress:
        task = progress.add_task(title, total=total, note="")
        try:
            yield lambda count, note="": progress.update(task, advance=count, note=note)
        except BaseException:
            if not progress.tasks[0].completed:  # the message of an error stands alone, not behind an empty bar
                progress.live.transient, progress.console.quiet = True, not progress.console.is_terminal
            raise


@contextmanager
def rest_bar(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """The same where work goes on: gives a function that takes (finished items, all items).

    What is finished when it is called first counts for the bar but not for the speed.
    """
    with _bar(unit) as progress:
        task = progress.add_task(title, total=None, note="")
        begun = False

        def report(finished: int, total: int) -> None:
            nonlocal begun
            if begun:
                progress.update(task, completed=finished)
            else:
                progress.reset(task, completed=finished, total=total)
            begun = True

        yield report


def _bar(unit: str) -> Progress:
    left, note = TimeRemainingColumn(), TextColumn("{task.fields[note]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(unit), left, note)
    return Progress(*columns, console=Console(stderr=True))
