"""A mutation fuzzer over toy files of every reader: `python tests/fuzz.py --inputs 50000 --seed 1`.

An input is one toy file with some damage, made by (seed, number) alone. It must be read, or refused with one sentence
that names a file. A finding is anything else: another exception, a crash, more than `CPU` seconds or `MEMORY` bytes,
a file written anywhere but in the target's own folder, or code that ran. Exit code 1 where there are findings.
"""

import argparse
import json
import os
import random
import resource
import select
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch

from fuzz_damage import damaged
from fuzz_targets import WRITTEN, Target, targets
from samodal.errors import InputError

CPU, WALL, MEMORY = 10, 60, 4 * 2**30
"""Seconds and bytes that an input may take; a busy machine may take longer for what costs few seconds."""
SLOW = 0.15
"""Share of the inputs that go through a whole command, or a network's loader."""
LONGEST = 2000
"""Characters of a message."""
RUNNING = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "pty.spawn")
CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.chmod", "os.truncate")


class Slow(BaseException):
    """An input took too long."""


@dataclass(frozen=True)
class Finding:
    """What should not be: the number of the input, its target, and what happened."""

    number: int
    target: str
    what: str


def fuzz(
    inputs: int, seed: int, folder: Path, first: int = 0, tell: Callable[[Finding], object] = lambda finding: None
) -> tuple[list[Finding], Counter]:
    """Try inputs `first` to `first + inputs`.

    Args:
        folder: gets the toy files; new.
        tell: is called with each finding at once.

    Returns:
        What was found, and how many inputs were read and refused.
    """
    torch.set_num_threads(1)
    run = _Run(folder, seed, tell)
    number = first
    while number < first + inputs:
        number = run.batch(range(number, first + inputs))
    return run.findings, run.counts


class _Run:
    """Toy files and what was found with them."""

    def __init__(self, folder: Path, seed: int, tell: Callable[[Finding], object]):
        self.folder, self.seed, self.tell = folder, seed, tell
        everything = targets(folder)
        self.quick = [target for target in everything if target.quick]
        self.slow = [target for target in everything if not target.quick] or self.quick
        self.contents = {path: path.read_bytes() for target in everything for path in target.files}
        self.findings: list[Finding] = []
        self.counts: Counter[str] = Counter()

    def batch(self, numbers: range) -> int:
        """Try inputs in a child process until it ends; the number after the last one."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            try:
                self.work(numbers, writing)
            finally:
                os._exit(70)  # whatever happened: the parent goes on, and cleans up
        os.close(writing)
        number, pending, ready = numbers.start, b"", True
        while ready:
            ready, _, _ = select.select([reading], [], [], WALL)
            data = os.read(reading, 65536) if ready else b""
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                self.note(number, *json.loads(line))
                number += 1
        if not ready:
            os.kill(child, signal.SIGKILL)
        os.close(reading)
        _, status = os.waitpid(child, 0)
        if number == numbers.stop:
            return number
        ended = f"by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"with {status >> 8}"
        what = f"the process ended {ended}" if ready else f"more than {WALL} s"
        self.note(number, "finding", self.input(number)[0].name, what)
        return number + 1

    def note(self, number: int, outcome: str, target: str, what: str) -> None:
        self.counts[outcome] += 1
        if outcome == "finding":
            self.findings.append(Finding(number, target, what))
            self.tell(self.findings[-1])

    def input(self, number: int) -> tuple[Target, Path, bytes]:
        """Target, file and damaged content of an input."""
        rng = random.Random(f"{self.seed}:{number}")
        target = rng.choice(self.slow if rng.random() < SLOW else self.quick)
        path = rng.choice(target.files)
        return target, path, damaged(path, self.contents[path], rng)

    def work(self, numbers: range, pipe: int) -> None:
        """The child's part: a line for each input."""
        for path, content in self.contents.items():  # also where the process before left a damaged one
            path.write_bytes(content)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        sys.dont_write_bytecode = True
        warnings.simplefilter("ignore")
        signal.signal(signal.SIGPROF, _too_slow)
        events: list[str] = []
        watch = {"allowed": str(self.folder), "on": False}
        sys.addaudithook(lambda event, arguments: _watch(event, arguments, watch, events))
        for number in numbers:
            target, path, content = self.input(number)
            path.write_bytes(content)
            events.clear()
            watch["on"] = True
            signal.setitimer(signal.ITIMER_PROF, CPU)
            outcome, what = _outcome(target, self.folder)
            signal.setitimer(signal.ITIMER_PROF, 0)
            watch["on"] = False
            if events:
                outcome, what = "finding", events[0]
            path.write_bytes(self.contents[path])
            os.write(pipe, json.dumps([outcome, f"{target.name} ({path.name})", what]).encode() + b"\n")
        os._exit(0)


def _too_slow(*_: object) -> None:
    raise Slow


def _outcome(target: Target, folder: Path) -> tuple[str, str]:
    try:
        target.read()
    except InputError as error:
        message = str(error)
        if str(folder) not in message or "\n" in message or len(message) > LONGEST:
            return "finding", f"a message without file, of several lines, or too long: {message[:300]!r}"
        return "refused", ""
    except Slow:
        return "finding", f"more than {CPU} s in {_place(sys.exc_info()[2])}"
    except BaseException as error:
        return "finding", f"{type(error).__name__} in {_place(error.__traceback__)}: {str(error)[:200]!r}"
    return "read", ""


def _place(trace) -> str:
    """The innermost line of the package, by which equal findings are told."""
    frames = traceback.extract_tb(trace)
    own = [frame for frame in frames if "samodal" in frame.filename and "/tests/" not in frame.filename]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"


def _watch(event: str, arguments: tuple, watch: dict, events: list[str]) -> None:
    """Note what runs other programs, and what writes outside the folder."""
    if not watch["on"]:
        return
    if event in RUNNING:
        events.append(f"{event} {str(arguments)[:100]}")
    elif event == "open" and isinstance(arguments[0], str | bytes) and _writes(arguments[1], arguments[2]):
        _inside(os.fsdecode(arguments[0]), watch, events, event)
    elif event in CHANGING and isinstance(arguments[0], str | bytes) and arguments[-1] in (-1, 0o777):
        _inside(os.fsdecode(arguments[0]), watch, events, event)


def _writes(mode: object, flags: object) -> bool:
    return (isinstance(mode, str) and any(letter in mode for letter in "wax+")) or (
        isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    )


def _inside(path: str, watch: dict, events: list[str], event: str) -> None:
    place = os.path.realpath(path)
    own = place.startswith(watch["allowed"] + "/") and (f"/{WRITTEN}" in place or "_cut_structure" in place)
    if not own and place != "/dev/null":
        events.append(f"{event} of {place}")


def main() -> int:
    """Run it and print what was found, equal findings once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        findings, counts = fuzz(
            settings.inputs,
            settings.seed,
            Path(folder).resolve(),
            settings.first,
            lambda finding: print(finding, file=sys.stderr, flush=True),
        )
    print(
        f"{sum(counts.values())} inputs: {counts['read']} read, {counts['refused']} refused, {len(findings)} findings"
    )
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.what.split(": ")[0], []).append(finding)
    for alike in kinds.values():
        print(f"{len(alike):5} x {alike[0].what} [input {settings.seed}:{alike[0].number}, {alike[0].target}]")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
