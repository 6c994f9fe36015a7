"""The folder of a run: what is finished stays whole in it, and what is not lies in its folder `unfinished`.

While a run is at work, `unfinished` holds run.json (what the run is made from), frames.jsonl (a line a frame), `state`
(of the method, every few seconds) and overlay.mp4; with hindsight also causal.jsonl, the lines of the causal pass.
When the last frame is done, tracks.json and report.html join them, run.json says that the result is complete, and all
of them take the place of an older result. An end that is killed half-way is brought to its end by the next command. A
run that is interrupted leaves what it has in the folder itself where no finished result lies there; its tracks.json
and run.json say that they are not complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samodal.errors import InputError
from samodal.exports.formats import discard
from samodal.files import read_json, write_json
from samodal.outputs import PATIENCE_S, locked, refuse_inputs
from samodal.parts import Video
from samodal.results.frames import UNFINISHED, result_count
from samodal.runs.inputs import describe, inputs_of, same, stamp
from samodal.settings import RunSettings

REPORT = "report.html"
"""Made from the others, and may be made anew or removed: a result is whole without it."""
OUTPUTS = ("frames.jsonl", "tracks.json", "overlay.mp4", REPORT)
RECORD = "run.json"
STATE = "state"
TOLD = 4
"""Differences that a message names at most."""
DATA = ("pictures", "labels")
"""Inputs of which an unfinished run is not refused when they have changed: its frames are made again and compared."""


@dataclass(frozen=True)
class MadeFrom:
    """What decides a result.

    Attributes:
        settings: as JSON.
        inputs: files by what they are.
        live: whether its frames come from a camera or a stream, each time others.
    """

    settings: dict[str, Any]
    inputs: dict[str, list[Path | str]]
    live: bool = False

    @classmethod
    def of(cls, settings: RunSettings, video: Video) -> MadeFrom:
        """Settled settings and a video."""
        return cls(describe(settings, video), inputs_of(settings, video), getattr(video, "live", None) is not None)

    def record(self) -> dict[str, Any]:
        """The same for run.json."""
        return {"settings": self.settings, "inputs": {name: stamp(files) for name, files in self.inputs.items()}}

    def differences(self, record: dict[str, Any], harmless: Collection[str] = ("device",)) -> dict[str, str]:
        """What differs from what a record says, in words, by name; `harmless` settings may."""
        if self.live:
            return {"source": f"{self.settings['source']} is live, each time another video"}
        before, now = _flat(record["settings"]), _flat(self.settings)
        differences = {
            name: _changed(name, before.get(name), now.get(name))
            for name in dict.fromkeys([*before, *now])
            if before.get(name) != now.get(name) and name not in harmless
        }
        if differences:  # other settings, as another video, have other files: that is told already
            return differences
        known = record.get("inputs")
        if not isinstance(known, dict):  # of an earlier version, which did not note them
            return {}
        names = sorted(known.keys() | self.inputs.keys())
        changed = [name for name in names if not same(known.get(name), self.inputs.get(name, []))]
        return {name: f"{name}: the files have changed" for name in changed}


class RunFolder:
    """The folder of a run.

    Attributes:
        out, work: the folder, and that of what is not finished.
        going_on: whether frames of an interrupted run stand in `work`.
        trusted: whether a saved state of it fits its data.
    """

    def __init__(self, out: Path, made: MadeFrom):
        self.out, self.work, self.made = out, out / UNFINISHED, made
        self.going_on = self.trusted = False

    @property
    def lines(self) -> Path:
        """The frames.jsonl that is being written."""
        return self.work / "frames.jsonl"

    @property
    def causal(self) -> Path:
        """The same of the causal pass of a run with hindsight, of which more frames are done."""
        return self.work / "causal.jsonl"

    def finished(self, overwrite: bool) -> dict[str, Any] | None:
        """What run.json says of a whole result of the same settings and data; None where there is work to do.

        Raises:
            InputError: for a result of other settings, with what differs, unless it is to be overwritten; and for a
                folder that holds what is read.
        """
        inputs = [self.made.settings["source"], *(path for files in self.made.inputs.values() for path in files)]
        refuse_inputs([self.out, *(self.out / name for name in OUTPUTS)], inputs)
        record = None if overwrite else whole(self.out)
        if record is not None:
            self._refuse(self.made.differences(record), "a finished result", self.out)
        return record

    def suits(self) -> bool:
        """Whether nothing of another run stands here: no result, or one of the same, finished or not."""
        try:
            self.finished(overwrite=False)
        except InputError:
            return False
        records = [record for place in (self.out, self.work) if (record := read_record(place)) is not None]
        differences = [
            name
            for record in records
            for name in self.made.differences(record, ("device",) if record.get("complete") else ())
        ]
        return not set(differences) - set(DATA)

    @contextmanager
    def opened(self, overwrite: bool) -> Iterator[None]:
        """Hold the folder, which no other process writes meanwhile, ready for the frames that are missing.

        Raises:
            InputError: where an unfinished run of other settings stands there, with what differs.
        """
        try:
            with held(self.out):
                _bring_to_an_end(self.work)
                if overwrite or whole(self.out) is None:
                    self._begin(overwrite)
                yield
        finally:
            with suppress(OSError):  # one that nothing was written to
                self.out.rmdir()

    def _begin(self, overwrite: bool) -> None:
        self._take_back()
        begun = read_record(self.work)
        if begun is not None and result_count(self.lines):
            differences = self.made.differences(begun, harmless=())  # the lines of one file have one header
            others = {name: text for name, text in differences.items() if name not in DATA}
            if not overwrite:
                self._refuse(others, f"an unfinished run of {result_count(self.lines)} frames", self.work)
            self.going_on, self.trusted = not others, not differences
        if not self.going_on:
            shutil.rmtree(self.work, ignore_errors=True)
        if not self.trusted:
            (self.work / STATE).unlink(missing_ok=True)
            write_json(self.work / RECORD, {"complete": False} | self.made.record())

    def _refuse(self, differences: dict[str, str], what: str, where: Path) -> None:
        if differences:
            first, more = list(differences.values())[:TOLD], len(differences) - TOLD
            rest = f"; and {more} more" if more > 0 else ""  # as the rules of another preset
            raise InputError(
                f"{where}: holds {what} of something else: {'; '.join(first)}{rest}; give the same, another folder as "
                "--out, or --overwrite"
            )

    def _take_back(self) -> None:
        """Go on with the frames that an interrupted run left in the folder itself."""
        record = read_record(self.out)
        if record is None or record.get("complete") or self.lines.exists() or not self.work.exists():
            return
        with suppress(OSError):
            os.replace(self.out / "frames.jsonl", self.lines)
            for name in (*OUTPUTS, RECORD):
                (self.out / name).unlink(missing_ok=True)

    def complete(self, summary: dict[str, Any], digest: dict[str, Any]) -> None:
        """Let the result, which lies in `work` and is whole, take the place of an older one.

        Args:
            summary, digest: of it, for those who sum up many (`samodal.results.digest`).
        """
        outputs = {name: stamp([self.work / name]) for name in OUTPUTS if (self.work / name).exists()}
        record = {"complete": True} | self.made.record() | {"outputs": outputs, "summary": summary, "digest": digest}
        write_json(self.work / RECORD, record)
        _bring_to_an_end(self.work)

    def leave(self, length: int | None) -> Path:
        """Leave what an interrupted run has; gives where its results lie."""
        if whole(self.out) is not None:
            return self.work
        for name in OUTPUTS:
            if (self.work / name).exists():
                os.replace(self.work / name, self.out / name)
        frames = {"frames": result_count(self.out / "frames.jsonl"), "of": length}
        write_json(self.out / RECORD, {"complete": False} | frames | self.made.record())
        return self.out

    def clear(self) -> None:
        """Remove what was begun and holds no frame."""
        shutil.rmtree(self.work, ignore_errors=True)


def held(out: Path, patience: float = PATIENCE_S) -> AbstractContextManager[None]:
    """The lock of the folder of a run; see `samodal.outputs.locked`."""
    return locked(out / ".run.lock", str(out), patience)


def read_record(folder: Path) -> dict[str, Any] | None:
    """What run.json in a folder says; None where it is not there or cannot be read."""
    try:
        record = read_json(folder / RECORD)
    except InputError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("settings"), dict) else None


def whole(out: Path) -> dict[str, Any] | None:
    """The record of a finished result, all files of which are as they were written; None where there is none."""
    record = read_record(out)
    if record is None:
        return _unrecorded(out)
    outputs = record.get("outputs")
    if not record.get("complete") or not isinstance(outputs, dict) or not outputs:
        return None
    return record if all(same(known, [out / name]) for name, known in outputs.items() if name != REPORT) else None


def _unrecorded(out: Path) -> dict[str, Any] | None:
    """The same of a result without run.json, as earlier versions wrote it: its settings."""
    try:
        tracks = read_json(out / "tracks.json")
        with (out / "frames.jsonl").open("rb") as lines:
            settings = json.loads(next(lines))["settings"]
        info, length = tracks["info"], tracks["videos"][0]["length"]
        agreed = info["settings"] == settings and length == result_count(out / "frames.jsonl")
        return {"settings": settings} if agreed and "complete" not in info else None
    except (InputError, OSError, ValueError, KeyError, IndexError, TypeError, StopIteration):
        return None


def _bring_to_an_end(work: Path) -> None:
    """Move a result that is complete to its place; a process that is killed here leaves the rest to the next."""
    record = read_record(work)
    if record is None or not record.get("complete"):
        return
    for name in OUTPUTS:
        if (work / name).exists():
            os.replace(work / name, work.parent / name)
        elif name not in record["outputs"]:
            (work.parent / name).unlink(missing_ok=True)
    discard(work.parent)
    os.replace(work / RECORD, work.parent / RECORD)
    shutil.rmtree(work, ignore_errors=True)


def _changed(name: str, before: Any, now: Any) -> str:
    """In words. Settings that are off have no entry; rules have all, some of them None."""
    if before is None and not name.startswith("rules."):
        return f"without --{name} before"
    if now is None and not name.startswith("rules."):
        return f"with --{name} before, without now"
    return f"{name} was {before!r} and is {now!r}"


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with each rule as a setting of its own."""
    rules = settings.get("rules")
    rules = {f"rules.{name}": value for name, value in rules.items()} if isinstance(rules, dict) else {}
    return {name: value for name, value in settings.items() if name != "rules"} | rules
