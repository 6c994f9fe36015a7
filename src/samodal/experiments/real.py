"""Methods on real pictures and labels, frame by frame, with the true visible masks given.

    ROOT/cocoa/1.json, 1.jpg                        COCOA's annotation of an image; one level `cocoa_1` for each
    ROOT/kitti_tracking_0005/image_02/0005/…png     frames of KITTI tracking 0005, with instances_txt and label_02
    ROOT/kitti_mots_labels/instances_txt/0000.txt   masks of KITTI MOTS; pictures are not needed
    ROOT/kitti_mots_labels/label_02/0000.txt        KITTI's boxes of whole objects

A folder that is not there has no numbers. Only what is visible is judged, so the hidden phase is off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from samodal.data.kitti_boxes import KittiBox, read_kitti_boxes
from samodal.errors import InputError, page
from samodal.executors import Executor, WithBar, results
from samodal.experiments.kept import is_kept, keep, kept
from samodal.experiments.plan import Planned
from samodal.masks import Mask
from samodal.metrics.boxes import box_ious, slack, widened
from samodal.parts import Frame, Method, Observed
from samodal.runs.inputs import files_in
from samodal.settings import RunSettings
from samodal.tracks import Clip, VisibleInstance

COCOA, DRIVE, LABELS = "cocoa", "kitti_tracking_0005", "kitti_mots_labels"
LEAST = 16
"""Visible pixels of an instance of KITTI MOTS that is judged."""
FITTED = ("0000", "0001", "0002", "0003", "0004", "0005")
"""Sequences in which the slack of the labels is measured; it is taken off in the others."""
NEEDS_PICTURES = "needs pictures"


@dataclass(frozen=True)
class Part:
    """An annotated picture or a labelled sequence.

    Attributes:
        folder: `COCOA`, `DRIVE` or `LABELS`.
        name: of the picture or sequence.
    """

    folder: str
    name: str


@dataclass(frozen=True)
class Job:
    """A run on a part of the material, and the file for what is measured."""

    settings: RunSettings
    root: Path
    part: Part
    file: Path

    @property
    def inputs(self) -> list[Path]:
        """Its pictures and labels."""
        folder, name = self.root / self.part.folder, self.part.name
        labels = [folder / kind / f"{name}.txt" for kind in ("instances_txt", "label_02")]
        return files_in([*sorted(folder.glob(f"{name}.*")), *labels, folder / "image_02" / name])


def parts_of(root: Path) -> list[Part]:
    """What there is of the material.

    Raises:
        InputError: if there is nothing.
    """
    patterns = {COCOA: "*.json", DRIVE: "instances_txt/0005.txt", LABELS: "instances_txt/*.txt"}
    parts = [
        Part(folder, path.stem)
        for folder, pattern in patterns.items()
        for path in sorted((root / folder).glob(pattern))
    ]
    if not parts:
        raise InputError(
            f"{root}: no folder {COCOA}, {DRIVE} or {LABELS} with labels in it; {page('results.md')} tells how"
        )
    return parts


def real_scores(
    runs: Sequence[Planned], root: Path, parts: Sequence[Part], executor: Executor
) -> tuple[list[dict[str, Any]], bool]:
    """The numbers of each run in the form of `scores.score_all`, and whether some were there already."""
    jobs = {
        run.folder: [Job(run.settings, root, part, run.folder / f"{part.folder}-{part.name}.json") for part in parts]
        for run in runs
    }
    before = measure_missing(measure, [job for of_run in jobs.values() for job in of_run], executor)
    measured = [{job.part: kept(job.file) for job in jobs[run.folder]} for run in runs]
    return [{"real": summarised(rows)} for rows in measured], before


def measure_missing(measure: Callable[[Job], None], jobs: Sequence[Job], executor: Executor) -> bool:
    """Measure what is not kept yet from the same labels; whether some was."""
    waiting = [job for job in jobs if not is_kept(job.file, job.inputs)]
    for _ in results(WithBar(executor, "sequences"), measure, waiting):
        pass
    return len(waiting) < len(jobs)


def measure(job: Job) -> None:
    """Run a method on a part, and write what is to be averaged: None where it needs pictures that are not there."""
    method, part = _still_method(job.settings), job.part
    if part.folder == LABELS and reads_pictures(method):
        rows = None
    elif part.folder == COCOA:
        rows = list(_cocoa(method, job.root / COCOA, part.name))
    else:
        rows = list(_kitti(method, job.root / part.folder, part))
    keep(job.file, rows, job.inputs)


def _still_method(settings: RunSettings) -> Method:
    """The method with its hidden phase off, as it works on single pictures."""
    from samodal.build import make_method

    if settings.method == "samodal":
        settings = replace(settings, tracker="still", rules=settings.rules | {"track": False, "cut": None})
    return make_method(settings)


def reads_pictures(method: Method) -> bool:
    """Whether a method needs more than masks; a method that this module does not know is taken to."""
    from samodal.baselines.trivial import CopyVisible
    from samodal.method.pipeline import Pipeline

    if isinstance(method, Pipeline):
        return method.segmenter.encode([np.zeros((64, 64, 3), np.uint8)]).main is not None
    return not isinstance(method, CopyVisible)


def _completed(method: Method, name: str, frames: Sequence[Observed]) -> Iterator[tuple[int, VisibleInstance, Mask]]:
    """Every visible instance with its frame's index and its amodal mask; the visible one where there is none."""
    for entry, result in zip(frames, method.run(name, frames), strict=True):
        amodal = {instance.id: instance.amodal for instance in result.instances}
        for visible in entry.visible:
            yield entry.frame.t, visible, amodal.get(visible.id) or visible.mask


def _cocoa(method: Method, folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """The IoU of each region of which a part is hidden."""
    from samodal.data.cocoa import open_cocoa

    (video,) = open_cocoa(Path(f"{folder / name}.json,{folder}"))
    regions = {region.id: region for region in video.frame_truth(0)}
    seen = [VisibleInstance(r.id, r.category, None, r.visible) for r in regions.values() if r.visible is not None]
    for _, visible, amodal in _completed(method, name, [Observed(video.frame(0), seen)]):
        truth = regions[visible.id]
        if truth.visible != truth.amodal:
            yield {"iou": amodal.iou(Mask.of(truth.amodal))}


def _kitti(method: Method, folder: Path, part: Part) -> Iterator[dict[str, Any]]:
    """The boxes of each visible instance that is labelled, and how much larger its amodal mask is.

    The labels of `DRIVE` are taken as they are, as in earlier tables; those of `LABELS` are cut to the image.
    """
    boxes = {(box.frame, box.mots_id): box for box in read_kitti_boxes(folder / "label_02" / f"{part.name}.txt")}
    numbers, size, frames = drive(folder, part.name) if part.folder == DRIVE else _masks_alone(folder, part.name)
    for t, visible, amodal in _completed(method, part.name, frames):
        label: KittiBox | None = boxes.get((numbers[t], visible.id))
        if label is None or visible.mask.area < LEAST:
            continue
        yield {
            "level": f"{visible.category}_{label.occluded}",
            "truth": label.box if part.folder == DRIVE else label.inside(size),
            "box": amodal.box,
            "size": size,
            "grown": amodal.area / visible.mask.area,
        }


def drive(folder: Path, name: str) -> tuple[Sequence[int], tuple[int, int], list[Observed]]:
    """Numbers of the frames, their size, and the frames with their visible masks."""
    from samodal.data.kitti_mots import open_kitti_mots

    dataset = open_kitti_mots(folder / "all")
    video, truth = dataset.video(name), dataset.truth(name)
    return video.numbers, video.size, [Observed(frame, _visible(truth, frame.t)) for frame in video]


def _masks_alone(folder: Path, name: str) -> tuple[Sequence[int], tuple[int, int], list[Observed]]:
    """The same of a sequence without pictures: all its frames are black."""
    from samodal.results.kitti_mots import kitti_text_size, read_kitti_text

    path = folder / "instances_txt" / f"{name}.txt"
    size = kitti_text_size(path)
    clip, black = read_kitti_text(path, name, size, None), np.zeros((*size, 3), np.uint8)
    frames = [Observed(Frame(t, t / 10, black, clip.frames[t]), _visible(clip, t)) for t in range(len(clip))]
    return range(len(clip)), size, frames


def _visible(clip: Clip, t: int) -> list[VisibleInstance]:
    pairs = [(track, track.visible[t]) for track in clip.tracks]
    return [VisibleInstance(track.id, track.category, None, mask) for track, mask in pairs if mask is not None]


def summarised(measured: dict[Part, list[dict[str, Any]] | None]) -> dict[str, Any]:
    """{level: {"metrics", "intervals"}} of what was measured by part; {"needs"} where a method needs pictures.

    Levels are `cocoa_NAME`, `kitti_0005`, and CLASS_OCCLUSION of all sequences without pictures, as `car_2`; with
    `_slack` of those that are not `FITTED`, each class' boxes widened by its slack at occlusion level 0.
    """
    levels: dict[str, Any] = {}
    labelled: dict[str, list[dict]] = defaultdict(list)
    later: dict[str, list[dict]] = defaultdict(list)
    fitted: dict[str, list[dict]] = defaultdict(list)
    for part, rows in measured.items():
        if rows is None:
            levels |= _without_pictures()
        elif part.folder == COCOA:
            levels[f"cocoa_{part.name}"] = _level(_mean([row["iou"] for row in rows]), "iou", len(rows))
        elif part.folder == DRIVE:
            grown = [row["grown"] for row in rows if row["level"] == "car_0"]
            levels["kitti_0005"] = _level(_mean(_ious(rows)), "box_iou", len(rows), area=_mean(grown))
        else:
            for row in rows:
                labelled[row["level"]].append(row)
                (fitted if part.name in FITTED else later)[row["level"]].append(row)
    levels |= {name: _level(_mean(_ious(rows)), "box_iou", len(rows)) for name, rows in labelled.items()}
    for name, rows in later.items():
        whole = fitted.get(f"{name.partition('_')[0]}_0")
        if whole:
            share = slack([row["box"] for row in whole], [row["truth"] for row in whole])
            value = _mean(_ious(rows, share))
            levels[f"{name}_slack"] = _level(value, "box_iou", len(rows), without=_mean(_ious(rows)))
    return levels


def _without_pictures() -> dict[str, Any]:
    from samodal.experiments.config import PROFILES

    empty = {"needs": NEEDS_PICTURES, "metrics": {}, "intervals": {}}
    return {level: empty for level in PROFILES["real"] if level.startswith(("car_", "pedestrian_"))}


def _ious(rows: Sequence[dict], share: np.ndarray | None = None) -> np.ndarray:
    boxes = [row["box"] for row in rows]
    if share is not None:
        boxes = widened(boxes, share, [row["size"] for row in rows])
    return box_ious(boxes, [row["truth"] for row in rows])


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _level(value: float | None, name: str, count: int, **more: float | None) -> dict[str, Any]:
    return {"metrics": {name: value, "count": count} | more, "intervals": {}}
