"""The commands that README and docs show, and what tests make of them so that each takes seconds."""

import re
import shlex
from pathlib import Path

from samodal.cli.app import main

DOCS = Path(__file__).parents[1] / "docs"
README = DOCS.parent / "README.md"
PAGES = [README, README.with_name("SECURITY.md"), *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LENGTHS = {
    r"--minutes [1-9]\S*": "--steps 2",
    r"--steps \d+": "--steps 2",
    r"--train_steps \d+": "--train_steps 2",
    r"--batch \d+": "--batch 2",
    r"--held_out \d+": "--held_out 1",
    r"--validations \d+": "--validations 1",
    r"--workers \d+": "--workers 1",
    r"--device (cuda|auto)": "--device cpu",
    r"--resamples \d+": "",  # there is one clip
    r"--bootstrap \d+": "--bootstrap 2",
    r"--clips 0:\d+": "--clips 0:1",
    r"--frames 0:\d+": "--frames 0:3",
}
"""Lengths and sizes that pages show, as regular expressions, and what tests make of them."""


def lines_of(page: Path) -> list[str]:
    """The lines of a page's fenced blocks, of programs and data apart, each with those that it goes on in."""
    found = [body for kind, body in BLOCK.findall(page.read_text(encoding="utf-8")) if kind in ("", "text")]
    lines = [line for body in found for line in body.replace("\\\n", " ").splitlines()]
    return [
        piece.strip()
        for line in lines
        for piece in re.split(r"&&|;", re.split(r"(?:^| )#", line.removeprefix("$ "))[0])
    ]


def commands(page: Path) -> list[str]:
    """The commands of samodal in fenced blocks of a page."""
    start = r"^(?:do |.* run --rm \S+ \S+ )?(?:PYTHONPATH=\S+ )?(samodal .*)$"
    return [match[1] for line in lines_of(page) if (match := re.search(start, line))]


def programs(page: Path) -> list[str]:
    """The lines of fenced blocks that start a program of this repository."""
    return [line for line in lines_of(page) if re.match(r"python (benchmarks|scripts|examples)/", line)]


def spans(page: Path) -> list[str]:
    """The commands that stand within sentences of a page, as far as they are whole."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    found = [" ".join(span.split()) for span in re.findall(r"`(samodal [^`]+)`", text)]
    return [span for span in found if "…" not in span]


def shortened(command: str, changes: dict[str, str]) -> str:
    """A command with the lengths of tests: first what `changes` says, then `LENGTHS`."""
    for printed, meant in (changes | LENGTHS).items():
        command = re.sub(printed, meant, command)
    return command


def run_all(page: Path, wanted: str, capsys, changes: dict[str, str] | None = None, found=commands) -> int:
    """Run the commands of a page that `wanted` matches, in their order, with shorter lengths; gives how many."""
    count = 0
    for command in found(page):
        if re.search(wanted, command):
            words = shlex.split(shortened(command, changes or {}))
            assert main(words[1:]) == 0, f"{command}\n{' '.join(words)}\n{capsys.readouterr().err}"
            count += 1
    return count
