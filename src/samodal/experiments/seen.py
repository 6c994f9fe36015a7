"""What front ends find in real pictures, each with its own limits.

    ROOT/real/bdd100k_mots/labels/NAME.json              Scalabel, with the frames images/NAME
    ROOT/real/kitti_tracking_0005/instances_txt/0005.txt with image_02/0005 and label_02/0005.txt
    ROOT/realtrain/dhaka/annotations.json                pictures with boxes, see `samodal.data.streets`; of them those
    ROOT/realtrain/coco/annotations.json                     that are kept out of training
    ROOT/realtrain/coco_people/annotations.json

A row is a material and a group of classes that is completely labelled in it. A folder that is not there is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf, isnan
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage

from samodal.build import make_front_end, make_method, make_session, opened
from samodal.categories import ours
from samodal.data.kitti_boxes import read_kitti_boxes
from samodal.data.kitti_mots import open_kitti_mots
from samodal.data.streets import held_out
from samodal.errors import InputError, nearest
from samodal.executors import Executor, WithBar, results
from samodal.experiments.kept import is_kept, keep, kept
from samodal.experiments.plan import Missing, Planned
from samodal.frontends.per_frame import AssociatedSession
from samodal.frontends.road_users import KINDS
from samodal.masks import Mask
from samodal.method.checks import reported
from samodal.metrics.boxes import box_ious
from samodal.metrics.seen import HEIGHTS, Seen
from samodal.parts import Video
from samodal.pictures import read_image
from samodal.results.kitti_mots import read_kitti_text
from samodal.results.scalabel import read_scalabel
from samodal.runs.inputs import files_in
from samodal.settings import RunSettings
from samodal.tracks import Clip, VisibleInstance
from samodal.video import ArrayVideo, open_video

BDD, KITTI = "BDD", "KITTI 0005"
GROUPS = ("vehicles", "people")
MATERIALS = {
    BDD: ("real/bdd100k_mots", GROUPS),
    KITTI: ("real/kitti_tracking_0005", GROUPS),
    "Dhaka": ("realtrain/dhaka", ("vehicles",)),
    "COCO": ("realtrain/coco", ("people",)),
    "COCO people": ("realtrain/coco_people", ("people",)),
}
"""By name the folder below ROOT, and the groups of classes that are completely labelled."""
ROWS = {f"{name}, {group}": (name, group) for name, (_, groups) in MATERIALS.items() for group in groups}
PICTURES = 24
"""Pictures that a job takes, so that little is lost where it is interrupted."""
HIGH = 40
"""Pixels that a car of KITTI is higher than whose masks are judged."""
WEIGHTS = Path(__file__).parents[1] / "weights"

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Part:
    """A video, or some of the pictures that are kept out of training.

    Attributes:
        name: of the video; the place of the first picture among all.
        pictures: their file names; none of a video.
    """

    material: str
    name: str
    pictures: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """A file name for what is found in it."""
        return "-".join(["seen", *MATERIALS[self.material][0].split("/"), f"{self.name}.json"])


@dataclass(frozen=True)
class Job:
    """A front end on a part of the material, and the file for what is found."""

    settings: RunSettings
    root: Path
    part: Part
    file: Path

    @property
    def folder(self) -> Path:
        return self.root / MATERIALS[self.part.material][0]

    @property
    def inputs(self) -> list[Path]:
        """Its pictures and labels, and the weights that are shipped: a front end that names none takes some of them."""
        folder, name = self.folder, self.part.name
        if self.part.pictures:
            places = [folder / "annotations.json", *(folder / "images" / picture for picture in self.part.pictures)]
        elif self.part.material == BDD:
            places = [folder / "labels" / f"{name}.json", folder / "images" / name]
        else:
            labels = [folder / kind / f"{name}.txt" for kind in ("instances_txt", "label_02")]
            places = [*labels, folder / "image_02" / name]
        return files_in([*places, *sorted(WEIGHTS.glob("*.safetensors"))])


@dataclass(frozen=True)
class Truth:
    """What is labelled: its class, its visible box, and where they are known its visible mask and its whole box."""

    category: str
    box: Box
    mask: Mask | None = None
    whole: Box | None = None


Pair = tuple[VisibleInstance, Mask | None]
"""What a front end reports, and the mask of the whole that the method makes of it."""


def parts_of(root: Path) -> dict[str, list[Part]]:
    """By name what there is of each material.

    Raises:
        InputError: if there is nothing, or labels are damaged.
    """
    parts: dict[str, list[Part]] = {}
    for name, (place, _) in MATERIALS.items():
        folder = root / place
        labels = "labels/*.json" if name == BDD else "instances_txt/0005.txt"
        if name in (BDD, KITTI):
            parts[name] = [Part(name, path.stem) for path in sorted(folder.glob(labels))]
        else:
            there = held_out(folder) if (folder / "annotations.json").exists() else []
            files = [picture.path.name for picture in there]
            starts = range(0, len(files), PICTURES)
            parts[name] = [Part(name, str(n), tuple(files[n : n + PICTURES])) for n in starts]
    if not any(parts.values()):
        places = ", ".join(place for place, _ in MATERIALS.values())
        raise InputError(f"{root}: none of {places} with labels in it; give the folder that holds real and realtrain")
    return parts


def able(runs: Sequence[Planned], root: Path, parts: dict[str, list[Part]]) -> tuple[list[Planned], list[Missing]]:
    """The runs that can be made, and what the others lack: a front end, or a folder.

    Raises:
        InputError: for a row that is no material with a group, or where no run can be made.
    """
    missing, why = [], {}
    for row in dict.fromkeys(run.row for run in runs):
        if row not in ROWS:
            raise InputError(f"row {row!r}: no such material and classes{nearest(row, ROWS)}")
        if not parts[ROWS[row][0]]:
            why[row] = f"no labels in {root / MATERIALS[ROWS[row][0]][0]}"
            missing.append(Missing("every front end", row, why[row]))
    for run in {run.front_end: run for run in runs}.values():
        try:
            make_front_end(run.settings)
        except InputError as error:
            why[run.front_end] = str(error)
            missing.append(Missing(run.front_end, "every row", str(error)))
    left = [run for run in runs if not {run.front_end, run.row} & why.keys()]
    if not left:
        raise InputError(f"no row can run; {missing[-1].needs}")
    return left, missing


def seen_scores(
    runs: Sequence[Planned], root: Path, parts: dict[str, list[Part]], executor: Executor
) -> tuple[list[dict[str, Any]], bool]:
    """The numbers of each run in the form of `scores.score_all`, and whether some were there already."""
    jobs = {
        (run.folder, part): Job(run.settings, root, part, run.folder / part.file)
        for run in runs
        for part in parts[ROWS[run.row][0]]
    }
    waiting = [job for job in jobs.values() if not is_kept(job.file, job.inputs)]
    for _ in results(WithBar(executor, "parts"), measure, waiting):
        pass
    scores = []
    for run in runs:
        material, group = ROWS[run.row]
        rows = [kept(jobs[run.folder, part].file) for part in parts[material]]
        cars = [car for row in rows for car in row["cars"]] if group == "vehicles" else []
        metrics = summarised([Seen(**row["seen"][group]) for row in rows]) | of_cars(cars)
        scores.append({"seen": {"all": {"metrics": metrics, "intervals": {}}}})
    return scores, len(waiting) < len(jobs)


def summarised(measured: Sequence[Seen]) -> dict[str, float | int | None]:
    """Recall, precision and number of what is labelled, by the height at which a bin begins."""
    seen, metrics = Seen(), {}
    for part in measured:
        seen.join(part)
    for low, high in zip(HEIGHTS, (*HEIGHTS[1:], inf), strict=True):
        shares = {"recall": seen.recall(0, low, high), "precision": seen.precision(0, low, high)}
        metrics |= {f"{name}_{low}": None if isnan(value) else value for name, value in shares.items()}
        metrics[f"count_{low}"] = seen.count(low, high)
    return metrics


def of_cars(cars: Sequence[dict[str, float | None]]) -> dict[str, float | int | None]:
    """The same of the cars of which whole boxes are known."""
    found = [car for car in cars if car["visible"] is not None]
    boxes = [car["box"] for car in found if car["box"] is not None]
    return {
        "cars_recall": len(found) / len(cars) if cars else None,
        "cars_visible": float(np.mean([car["visible"] for car in found])) if found else None,
        "cars_box": float(np.mean(boxes)) if boxes else None,
        "cars_count": len(cars) or None,
    }


def measure(job: Job) -> None:
    """Show a front end a part of the material, and write what it found."""
    seen, cars = {group: Seen() for group in MATERIALS[job.part.material][1]}, []
    for truth, pairs in _pictures(job) if job.part.pictures else _video(job):
        for group, counted in seen.items():
            cars += judge(counted, group, truth, pairs)
    keep(job.file, {"seen": {group: asdict(counted) for group, counted in seen.items()}, "cars": cars}, job.inputs)


def judge(seen: Seen, group: str, truth: Sequence[Truth], pairs: Sequence[Pair]) -> list[dict[str, float | None]]:
    """Count the objects of a group in a picture; gives of each high car with a known whole what its masks are worth."""
    mine = [pair for pair in pairs if group_of(pair[0].category) == group]
    judged = [label for label in truth if group_of(label.category) == group]
    ignored = [label.box for label in truth if group_of(label.category) is None]
    scores = [1.0 if visible.score is None else visible.score for visible, _ in mine]
    finders = seen.add([v.mask.box for v, _ in mine], scores, [label.box for label in judged], ignored)
    cars = []
    for label, finder in zip(judged, finders, strict=True):
        if label.whole is None or ours(label.category) != "car" or label.box[3] - label.box[1] <= HIGH:
            continue
        car: dict[str, float | None] = {"visible": None, "box": None}
        if finder is not None:
            visible, whole = mine[finder]
            car["visible"] = visible.mask.iou(label.mask)
            car["box"] = float(box_ious([whole.box], [label.whole])[0]) if whole else 0.0
        cars.append(car)
    return cars


def group_of(category: str) -> str | None:
    """Of `GROUPS` that of a class, None of what is neither."""
    kind = KINDS.get(ours(category) or "")
    return None if kind is None else "people" if kind == KINDS["person"] else "vehicles"


def _pictures(job: Job) -> Iterator[tuple[list[Truth], list[Pair]]]:
    """Of each picture what is labelled and what a front end finds in it.

    A front end of videos sees it twice, since it may wait for a second frame before it reports.
    """
    front_end = make_front_end(job.settings)
    for picture in (picture for picture in held_out(job.folder) if picture.path.name in job.part.pictures):
        image = read_image(picture.path)
        session = opened(front_end, ArrayVideo(picture.path.stem, image[None], source=str(picture.path)))
        visible = reported(session, image, 0)
        if not isinstance(session, AssociatedSession):
            visible = reported(session, image, 1)
        yield [Truth(*box) for box in picture.boxes], [(instance, None) for instance in visible]


def _video(job: Job) -> Iterator[tuple[list[Truth], list[Pair]]]:
    """The same of each frame of a video, and what the method makes of it."""
    video, labels = _bdd(job) if job.part.material == BDD else _kitti(job)
    session, method = make_session(job.settings, video), make_method(job.settings)
    method.reset(video.name)
    for frame, truth in zip(video, labels, strict=True):
        visible = reported(session, frame.image, frame.t)
        result = method.step(frame.image, visible, frame.time)
        session.learn(result)
        whole = {instance.id: instance.amodal for instance in result.instances}
        yield truth, [(instance, whole.get(instance.id)) for instance in visible]


def _bdd(job: Job) -> tuple[Video, list[list[Truth]]]:
    folder, name = job.folder, job.part.name
    video = open_video(folder / "images" / name, strict=True)
    clip = read_scalabel(folder / "labels" / f"{name}.json", name, video.size, video.length)
    return video, [_labelled(clip, t) for t in range(len(clip))]


def _kitti(job: Job) -> tuple[Video, list[list[Truth]]]:
    folder, name = job.folder, job.part.name
    video = open_kitti_mots(folder / "all").video(name)
    clip = read_kitti_text(folder / "instances_txt" / f"{name}.txt", name, video.size, None, ignored=True)
    boxes = read_kitti_boxes(folder / "label_02" / f"{name}.txt")
    whole = {(box.frame, box.mots_id): box.inside(video.size) for box in boxes}
    return video, [_labelled(clip, number, whole) for number in video.numbers]


def _labelled(clip: Clip, t: int, whole: dict[tuple[int, int | None], Box] | None = None) -> list[Truth]:
    """What is labelled in a frame; of crowds and regions to ignore each piece on its own."""
    labels = []
    for track in clip.tracks:
        mask = Mask.of(track.visible[t]) if t < len(clip) and track.visible[t] is not None else None
        if mask is None:
            continue
        if not track.crowd:
            labels.append(Truth(track.category, mask.box, mask, (whole or {}).get((t, track.id))))
            continue
        for rows, columns in scipy.ndimage.find_objects(scipy.ndimage.label(mask.inside)[0]):
            x, y = mask.x, mask.y
            labels.append(Truth("crowd", (x + columns.start, y + rows.start, x + columns.stop, y + rows.stop)))
    return labels
