"""How masks are moved through the real gaps of KITTI MOTS: frames in which a track has no mask, but a labelled box.

Where pictures are, gaps are made, too (`samodal.experiments.withheld`).

    ROOT/kitti_mots_labels/instances_txt/0000.txt   masks of KITTI MOTS; pictures are not needed
    ROOT/kitti_mots_labels/label_02/0000.txt        KITTI's boxes of whole objects

The labelled box is the mask of the whole, and points move as `TRACKERS` say (`samodal.experiments.labelled`): what is
judged is the hidden phase alone. Methods without points get the boxes as what is visible.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from samodal.build import make_method, make_rules
from samodal.data.kitti_boxes import read_kitti_boxes
from samodal.errors import InputError, page
from samodal.executors import Executor
from samodal.experiments import withheld
from samodal.experiments.kept import keep, kept
from samodal.experiments.labelled import LabelledSegmenter, LabelledTracker, Lost, box_mask, told_of_masks
from samodal.experiments.plan import Planned
from samodal.experiments.real import DRIVE, LABELS, Job, Part, drive, measure_missing
from samodal.experiments.stated import off_in_spreads, shares_within
from samodal.masks import Mask
from samodal.method.hindsight import AFTER_S, Offline
from samodal.method.pipeline import Pipeline
from samodal.method.prompts.choose import make_selector
from samodal.metrics.boxes import box_ious
from samodal.parts import Frame, Method, Observed
from samodal.results.kitti_mots import kitti_text_size, read_kitti_text
from samodal.settings import RunSettings
from samodal.tracks import Instance, VisibleInstance

TRACKERS = ("true", "noisy", "nothing")
"""Points move as the object does; a fifth is stuck, a fifth goes astray, all have noise; nothing is followed."""
MADE = "made_"
"""Before the name of a tracker: in gaps that were made where there are none, see `with_made_gaps`."""
LONG, EVERY, SEEN = (3, 6, 12, 24), 60, 10
"""Frames of a made gap, in turn; from the beginning of one to that of the next; and those with masks before it."""
WITHHELD = "withheld"
"""The method's own tracker, on the drive with pictures."""
HALVES = ("all", "even", "odd")
"""All sequences, and those of an even and of an odd number."""
BEFORE, AFTER = 30, round(AFTER_S * 10) + 1
"""Frames before a gap that a method sees, and after it, where the method has hindsight."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What is labelled of a sequence.

    Attributes:
        size: (H, W).
        frames: of each the visible masks by id, with the class.
        boxes: of whole objects by frame and id, within the image.
        last: the last frame with a mask before, by frame and id.
    """

    size: tuple[int, int]
    frames: list[dict[int | str, tuple[str, Mask]]]
    boxes: dict[tuple[int, int | str], tuple[float, float, float, float]]
    last: dict[tuple[int, int | str], int]

    def spans(self, after: int = 0) -> list[tuple[int, int]]:
        """First frame and end of the stretches that hold all gaps, what is seen before them, and frames after them."""
        spans: list[tuple[int, int]] = []
        for first, end in sorted((max(0, last - BEFORE), t + 1 + after) for (t, _), last in self.last.items()):
            if spans and first <= spans[-1][1]:
                first, end = spans[-1][0], max(end, spans.pop()[1])
            spans.append((first, end))
        return spans


def parts_of(root: Path) -> list[Part]:
    """The sequences there are, and the drive with pictures.

    Raises:
        InputError: if there are none.
    """
    parts = [Part(LABELS, path.stem) for path in sorted((root / LABELS / "instances_txt").glob("*.txt"))]
    if not parts:
        raise InputError(f"{root}: no folder {LABELS} with labels in it; {page('results.md')} tells how")
    return parts + [Part(DRIVE, path.stem) for path in sorted((root / DRIVE).glob("instances_txt/0005.txt"))]


def gap_scores(
    runs: Sequence[Planned], root: Path, parts: Sequence[Part], executor: Executor
) -> tuple[list[dict[str, Any]], bool]:
    """The numbers of each run in the form of `scores.score_all`, and whether some were there already."""
    jobs = {
        run.folder: [Job(run.settings, root, part, run.folder / _file_name(part)) for part in parts] for run in runs
    }
    before = measure_missing(measure, [job for of_run in jobs.values() for job in of_run], executor)
    measured = [[row for job in jobs[run.folder] for row in kept(job.file)] for run in runs]
    return [{"moved": summarised(rows)} for rows in measured], before


def _file_name(part: Part) -> str:
    return f"{'moved' if part.folder == LABELS else 'withheld'}-{part.name}.json"


def measure(job: Job) -> None:
    """Run a method on a sequence with each tracker, and write a row for each instance in each frame of a gap."""
    if job.part.folder == DRIVE:
        _, _, frames = drive(job.root / DRIVE, job.part.name)
        rows = [{"tracker": WITHHELD} | row for row in withheld.moved(job.settings, frames)]
        return keep(job.file, rows, job.inputs)
    labels, rows = read_sequence(job.root / LABELS, job.part.name), []
    made = with_made_gaps(labels)
    half = HALVES[1 + int(job.part.name) % 2] if job.part.name.isdecimal() else HALVES[0]
    for tracker in TRACKERS if job.settings.method == "samodal" else TRACKERS[2:]:
        rows += [{"tracker": tracker, "half": half} | row for row in moved(job.settings, labels, tracker)]
        if tracker in TRACKERS[1:]:
            name = MADE + tracker
            rows += [{"tracker": name, "half": half} | row for row in moved(job.settings, made, tracker)]
    keep(job.file, rows, job.inputs)


def read_sequence(folder: Path, name: str) -> Labels:
    """The labels of a sequence of KITTI MOTS with its boxes of whole objects."""
    path = folder / "instances_txt" / f"{name}.txt"
    size = kitti_text_size(path)
    clip = read_kitti_text(path, name, size, None)
    boxes = {(box.frame, box.mots_id): box.inside(size) for box in read_kitti_boxes(folder / "label_02" / path.name)}
    frames: list[dict] = [{} for _ in range(len(clip))]
    last = {}
    for track in clip.tracks:
        shown = [t for t, mask in enumerate(track.visible) if mask is not None]
        for t in shown:
            frames[t][track.id] = (track.category, Mask.of(track.visible[t]))
        for before, after in zip(shown, shown[1:], strict=False):
            last |= {(t, track.id): before for t in range(before + 1, after) if (t, track.id) in boxes}
    return Labels(size, frames, {key: box for key, box in boxes.items() if key[1] is not None}, last)


def with_made_gaps(labels: Labels) -> Labels:
    """The labels with gaps where there are none, instead of their own: masks are taken away while their boxes go on."""
    frames, last = [dict(shown) for shown in labels.frames], {}
    known = [{key for key in shown if (t, key) in labels.boxes} for t, shown in enumerate(labels.frames)]
    for turn, key in enumerate(sorted(set().union(*known), key=str)):
        # Not all at once: what stands around an instance is seen.
        for n, first in enumerate(range(turn * 17 % EVERY, len(frames), EVERY)):
            end = first + LONG[(turn + n) % len(LONG)]
            around = known[first - SEEN : end + 1] if first >= SEEN else []
            if len(around) == SEEN + end + 1 - first and all(key in there for there in around):
                last |= {(t, key): first - 1 for t in range(first, end)}
                for t in range(first, end):
                    del frames[t][key]
    return replace(labels, frames=frames, last=last)


def moved(settings: RunSettings, labels: Labels, tracker: str) -> Iterator[dict[str, Any]]:
    """What a method makes of each instance in each frame of a gap."""
    whole = {key: box_mask(box, labels.size) for key, box in labels.boxes.items()}
    black = np.zeros((*labels.size, 3), np.uint8)
    for first, end in labels.spans(AFTER if settings.offline else 0):
        method, boxed = _method(settings, labels, whole, tracker, first)
        frames = []
        for n, shown in enumerate(labels.frames[first:end]):
            masks = {k: whole.get((first + n, k), mask) if boxed else mask for k, (_, mask) in shown.items()}
            visible = [VisibleInstance(k, shown[k][0], None, mask) for k, mask in masks.items()]
            frames.append(Observed(Frame(n, n / 10, black, f"{first + n:06d}"), visible))
        for n, result in enumerate(method.run("gaps", frames)):
            for t, key in labels.last:
                if t == first + n:
                    yield _judged(result[key] if key in result else None, labels.boxes[t, key])


def _method(settings: RunSettings, labels: Labels, whole: dict, tracker: str, first: int) -> tuple[Method, bool]:
    """A method whose parts know the labels from a frame on, and whether it takes whole masks for visible ones."""
    if settings.method != "samodal":
        return make_method(settings), True
    rules = replace(make_rules(settings), cut=None)
    known = {
        mask: whole[t, key] for t, shown in enumerate(labels.frames) for key, (_, mask) in shown.items()
        if (t, key) in whole
    }  # fmt: skip
    shown = [{key: mask for key, (_, mask) in frame.items()} for frame in labels.frames]
    points = Lost() if tracker == "nothing" else LabelledTracker(labels.boxes, shown, tracker == "noisy", first)
    select = told_of_masks(make_selector(rules.prompt, rules.points))
    pipeline = Pipeline(LabelledSegmenter(known), points, rules, select=select)
    return Offline(pipeline) if settings.offline else pipeline, False


def _judged(instance: Instance | None, truth: tuple[float, float, float, float]) -> dict[str, Any]:
    """The IoU of an instance's box, and how far its middle is off in its own spread, squared; None without a spread."""
    if instance is None or not instance.amodal:
        return {"iou": 0.0, "off": None}
    return {"iou": float(box_ious([instance.amodal.box], [truth])[0]), "off": off_in_spreads(instance, truth)}


def summarised(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """{TRACKER_HALF: {"metrics", "intervals"}}: mean box IoU, frames, and the share of middles within the spread."""
    levels = {}
    for tracker in (*TRACKERS, *(MADE + tracker for tracker in TRACKERS[1:])):
        for half in HALVES:
            mine = [row for row in rows if row["tracker"] == tracker and half in ("all", row["half"])]
            metrics: dict[str, Any] = {"box_iou": float(np.mean([row["iou"] for row in mine])) if mine else None}
            metrics |= shares_within([row["off"] for row in mine if row["off"] is not None])
            levels[f"{tracker}_{half}"] = {"metrics": metrics | {"count": len(mine)}, "intervals": {}}
    mine = [row for row in rows if row["tracker"] == WITHHELD]
    metrics = {"iou": float(np.mean([row["iou"] for row in mine])) if mine else None, "count": len(mine)}
    metrics |= shares_within([row["off"] for row in mine if row.get("off") is not None])  # older runs have none
    return levels | {WITHHELD: {"metrics": metrics, "intervals": {}}}
