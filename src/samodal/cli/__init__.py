"""The command line, a thin file for each command."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """The program `samodal`: `samodal.cli.app.main`, with few threads that wait passively."""
    from samodal.threads import begin_process

    given = list(sys.argv[1:] if arguments is None else arguments)
    # A run works on several frames at once; a training has all cores to itself.
    begin_process(beside=1 if given[:1] == ["train"] else 2)
    from samodal.cli.app import main as run  # brings NumPy, which reads what was set

    return run(given)


__all__ = ["main"]
