"""A long video in segments: where they begin, which of their ids are one, and the joined result.

Each segment but the first begins `OVERLAP_S` before its seam, the frame from which its results are taken. Until then
its memory fills: what is hidden at the seam was seen since the segment began, as a memory reaches back no further
(rule `remember_s`, 6 s in preset default). In the frames that two segments share, their tracks are held against each
other by the overlap of their masks.
"""

from __future__ import annotations

import shutil
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from samodal.build import settled
from samodal.errors import InputError
from samodal.files import parse_json
from samodal.fleet.store import PARTS
from samodal.making import split
from samodal.outputs import locked
from samodal.parts import Video
from samodal.registry import FRONT_ENDS, PIXELS
from samodal.report.make import RunReport
from samodal.results.frames import FrameLines, FramesWriter
from samodal.rle import Rle, iou
from samodal.runner import Summary, complete
from samodal.runs.folder import MadeFrom, RunFolder, read_record, whole
from samodal.runs.overlaid import overlaid
from samodal.settings import RunSettings
from samodal.video import excerpt

OVERLAP_S = 8.0
"""Seconds that two segments share."""
HALF_S = 1.0
"""Seconds before the seam after which a frame counts half: what two tracks share at the seam decides."""
ALIKE = 0.5
"""Least mean IoU, over the frames that two tracks share, of one and the same instance."""


def parts_of(settings: RunSettings, length: int | None, fps: float, source: str) -> list[str]:
    """A:B of the segments of a video; a single one where it is not longer than a segment and an overlap.

    Raises:
        InputError: for a source whose length cannot be told, as a camera.
    """
    if length is None:
        raise InputError(f"{source}: has no length that can be told, so no segments; leave out --segment")
    first, end = _span(settings.frames, length)
    each, before = (_frames(seconds, fps, settings.stride) for seconds in (settings.segment or 0, OVERLAP_S))
    seams = list(range(first, end, each))
    if len(seams) > 1 and end - seams[-1] <= before:
        del seams[-1]
    ends = [*seams[1:], end]
    return [f"{max(first, seam - before)}:{stop}" for seam, stop in zip(seams, ends, strict=True)]


def _frames(seconds: float, fps: float, stride: int) -> int:
    """Frames of a stretch, so many that each stride begins with one of its own."""
    return max(1, round(seconds * fps / stride)) * stride


def _span(frames: str | None, length: int) -> tuple[int, int]:
    first, _, end = (frames or ":").partition(":")
    return int(first or 0), min(int(end or length), length)


def part_settings(settings: RunSettings, part: str) -> RunSettings:
    """The settings of a segment: it draws nothing, as its ids are not the last word."""
    return replace(settings, frames=part, segment=None, overlay=False, report=False, save=None)


def join_finished(settings: RunSettings, video: Video, out: Path) -> Summary | None:
    """Join the segments of a video where all are finished, and are not being joined by another; None where not."""
    settings = settled(settings, video)
    parts = parts_of(settings, video.length, video.fps, video.source)
    folders = [out / PARTS / part.replace(":", "-") for part in parts]
    if not all(_is_part(folder, part, settings, video) for folder, part in zip(folders, parts, strict=True)):
        return None
    try:
        with locked(out / ".join.lock", str(out), patience=0):
            if whole(out) is not None and not settings.overwrite:
                return None
            return _joined(settings, video, out, parts, folders)
    except InputError as error:
        if "is being written by process" in str(error):
            return None
        raise


def _is_part(folder: Path, part: str, settings: RunSettings, video: Video) -> bool:
    record = whole(folder)
    return record is not None and not MadeFrom.of(part_settings(settings, part), video).differences(record)


def _joined(settings: RunSettings, video: Video, out: Path, parts: Sequence[str], folders: Sequence[Path]) -> Summary:
    start = perf_counter()
    folder, frames = RunFolder(out, MadeFrom.of(settings, video)), excerpt(video, settings.frames, settings.stride)
    with folder.opened(settings.overwrite):
        folder.lines.unlink(missing_ok=True)
        with FramesWriter(folder.lines, video.name, video.size, folder.made.settings, settings.details) as writer:
            for line in joined_lines(folders, own_names(settings), video.fps / settings.stride):
                writer.append(line)
        report = RunReport(folder.work, frames, wanted=settings.report and settings.overlay)
        with overlaid(settings, frames, folder.work) as overlay, report:
            if overlay is not None:  # else no frame is decoded again
                for frame, (_, result) in zip(frames, FrameLines(folder.lines), strict=False):
                    overlay.add(frame, result)
                    report.add(frame, result)
        spent = sum(float((read_record(f) or {}).get("summary", {}).get("seconds", 0)) for f in folders)
        summary = complete(folder, perf_counter() - start + spent, report)
    with suppress(OSError):
        shutil.rmtree(out / PARTS)
    return summary


def own_names(settings: RunSettings) -> bool:
    """Whether ids are names that the front end reads, the same in every segment, and not numbers that it counts."""
    name = split(settings.vis or "", FRONT_ENDS)[0]
    return name in FRONT_ENDS and FRONT_ENDS[name].group != PIXELS and not settings.reassociate


def joined_lines(folders: Sequence[Path], names: bool, fps: float) -> Iterator[dict[str, Any]]:
    """The frames of all segments as entries of frames.jsonl, each once, with ids that go on over the seams.

    Args:
        folders: of the segments, in order.
        names: whether ids are the same in all segments already.
        fps: frames per second of the results.
    """
    before: deque[dict[str, Any]] = deque(maxlen=round(2 * OVERLAP_S * fps) + 1)
    given, used = 0, set()
    for number, folder in enumerate(folders):
        lines = _entries(folder)
        shared = {entry["name"]: entry for entry in before}
        overlap = []
        rest = None
        for entry in lines:  # the frames that the segment before has given already
            if entry["name"] not in shared:
                rest = entry
                break
            overlap.append((shared[entry["name"]], entry))
        taken = _Names({} if names or not number else matched(overlap, fps), used, keep=names or not number)
        for entry in [] if rest is None else chain([rest], lines):
            before.append(taken.renamed(entry) | {"t": given})
            given += 1
            yield before[-1]
        used |= taken.given


def _entries(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / "frames.jsonl"
    with path.open("rb") as lines:
        next(lines)
        for number, line in enumerate(lines, start=2):
            yield parse_json(line, f"{path}, line {number}")


def matched(overlap: Sequence[tuple[dict, dict]], fps: float) -> dict[int | str, int | str]:
    """{id of the later segment: id of the earlier one} of instances that are one.

    Args:
        overlap: pairs of entries of the same frame, of the earlier and the later segment.
        fps: frames per second.
    """
    total: dict[tuple, float] = defaultdict(float)
    weights: dict[tuple, float] = defaultdict(float)
    for back, (early, late) in enumerate(reversed(overlap)):
        weight = 0.5 ** (back / (HALF_S * fps))
        for a in early["instances"]:
            for b in late["instances"]:
                if (score := _likeness(a, b)) is not None:
                    total[a["id"], b["id"]] += weight * score
                    weights[a["id"], b["id"]] += weight
    pairs = {pair: value for pair, value in total.items() if value >= ALIKE * weights[pair]}
    earlier, later = (list(dict.fromkeys(pair[n] for pair in pairs)) for n in (0, 1))
    table = np.zeros((len(earlier), len(later)))
    for (a, b), value in pairs.items():
        table[earlier.index(a), later.index(b)] = value
    rows, columns = linear_sum_assignment(table, maximize=True)
    return {later[c]: earlier[r] for r, c in zip(rows, columns, strict=True) if table[r, c] > 0}


def _likeness(a: Mapping[str, Any], b: Mapping[str, Any]) -> float | None:
    """IoU of two instances in a frame: of what is seen of both, else of whole masks; None where they are apart."""
    kind = "visible" if a["visible"] and b["visible"] else "amodal"
    if not a[kind] or not b[kind] or not _touch(a[f"{kind}_box"], b[f"{kind}_box"]):
        return None
    score = iou(*(Rle(tuple(entry[kind]["size"]), entry[kind]["counts"]) for entry in (a, b)))
    return score or None


def _touch(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


class _Names:
    """New ids of a segment's instances: those of the segment before, else their own where these are free."""

    def __init__(self, known: Mapping[int | str, int | str], used: set[int | str], keep: bool):
        self._names, self._used, self._keep = dict(known), used, keep
        self.given: set[int | str] = set(known.values())

    def renamed(self, entry: dict[str, Any]) -> dict[str, Any]:
        return entry | {"instances": [self._instance(instance) for instance in entry["instances"]]}

    def _instance(self, instance: dict[str, Any]) -> dict[str, Any]:
        hidden_by = [other | {"id": self._name(other["id"])} for other in instance["hidden_by"]]
        changed = {"id": self._name(instance["id"]), "hidden_by": hidden_by}
        back = instance.get("returned")
        if back is not None and back["merged"] is not None:
            changed["returned"] = back | {"merged": self._name(back["merged"])}
        return instance | changed

    def _name(self, key: int | str) -> int | str:
        if key not in self._names:
            self._names[key] = key if self._keep else self._free(key)
            self.given.add(self._names[key])
        return self._names[key]

    def _free(self, key: int | str) -> int | str:
        """The id itself, or what comes closest to it of what no instance has or had."""
        if isinstance(key, int):
            taken = [other for other in self._used | self.given if isinstance(other, int)]
            return key if key not in taken else max(taken) + 1
        taken = {str(other) for other in self._used | self.given}
        return (
            key
            if key not in taken
            else next(name for n in range(2, len(taken) + 3) if (name := f"{key}.{n}") not in taken)
        )
