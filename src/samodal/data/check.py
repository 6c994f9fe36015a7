"""What a data set holds, and what is broken in it: the work of `samodal data check`."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from samodal.errors import InputError, printable

if TYPE_CHECKING:
    from samodal.data.dataset import InstanceTruth, LabelledVideo
    from samodal.rle import Rle

SHOWN = 20
"""Problems, classes and image sizes that are printed; of the others, how many."""
SIZES = {"small": 32**2, "medium": 96**2, "large": float("inf")}
"""The largest mask of each bin in pixels, COCO's."""
OCCLUSIONS = {"none": 0, "partial": 0.25, "medium": 0.5, "heavy": 0.75, "extreme": 1, "fully hidden": 1}
"""The highest occlusion rate of each bin, those of the profile `strict`; "extreme" ends below 1."""


@dataclass(frozen=True)
class CheckSettings:
    """Read every label and image of a data set and say what there is; exit code 1 where something is broken."""

    data: str = field(metadata={"positional": str})
    """KIND:PATH, one of asd:ROOT/val, streetsim:ROOT/test, kins:ROOT/train, kinscar:ROOT/test, sailvos:ROOT/val,
    sailvos-cut:ROOT/val, kitti_mots:ROOT/val, coco:ANN.json,IMAGES, cocoa:ANN.json,IMAGES, coco-vid:ANN.json,IMAGES,
    ytvis:ANN.json,IMAGES, chewing-gum:val; docs/data.md explains each."""
    pixels: bool = True
    """Also read every image to its end; without it, what is damaged or of another size stays unnoticed."""


@dataclass
class Tally:
    """What a data set holds.

    Attributes:
        clips, frames, labelled: how many; a frame without a label file is not labelled.
        without: labelled frames without any instance.
        classes: instances by class; an instance of a video counts for one.
        masks: amodal masks, one for each instance and frame.
        occlusions, sizes: masks by bin.
        images: frames by (H, W).
        crowds: masks left out as crowds.
        only_visible: whether nothing is known of what is hidden, as in KITTI MOTS; masks are then visible ones.
        odd: what is strange but breaks nothing, in words.
        problems: what is broken, in order, none twice.
    """

    clips: int = 0
    frames: int = 0
    labelled: int = 0
    without: int = 0
    classes: Counter = field(default_factory=Counter)
    masks: int = 0
    occlusions: Counter = field(default_factory=Counter)
    sizes: Counter = field(default_factory=Counter)
    images: Counter = field(default_factory=Counter)
    crowds: int = 0
    only_visible: bool = False
    odd: list[str] = field(default_factory=list)
    problems: dict[str, None] = field(default_factory=dict)

    def report(self, problem: str) -> None:
        """Keep a problem; one that is known already is not kept twice."""
        self.problems[problem] = None


def check(data: str, pixels: bool = True) -> Tally:
    """Count what a data set holds and gather everything that is broken in it.

    Args:
        data: what `open_dataset` takes.
        pixels: whether to read the images, too.

    Raises:
        InputError: if there is no such kind of data set.
    """
    from samodal.data.open import KINDS, open_dataset
    from samodal.progress import frames_bar

    tally = Tally()
    try:
        dataset = open_dataset(data, tally.report)
    except InputError as error:
        if data.partition(":")[0] not in KINDS:
            raise
        tally.report(str(error))
        return tally
    with frames_bar("clips", len(dataset.sequences)) as advance:
        for name in dataset.sequences:
            try:
                video = dataset.video(name)
                _check_video(video, tally, pixels)
                video.forget()
            except InputError as error:
                tally.report(str(error))
            advance(1)
    _note_odd(tally, dataset.unlisted())
    return tally


def lines(tally: Tally) -> list[str]:
    """The tally in words."""
    parts = {
        "holds": f"{tally.clips} clips, {tally.frames} frames ({tally.labelled} labelled), "
        f"{tally.classes.total()} instances, {tally.masks} masks",
        "classes": _counts(dict(tally.classes.most_common())),
        "occlusion": "not known: visible masks only"
        if tally.only_visible
        else _counts({name: tally.occlusions[name] for name in OCCLUSIONS}),
        "size": _counts({name: tally.sizes[name] for name in SIZES}),
        "images": _counts({f"{height}x{width}": n for (height, width), n in tally.images.most_common()}),
        "odd": "; ".join(tally.odd) or "nothing",
        "broken": _number(len(tally.problems), "problem") if tally.problems else "nothing",
    }
    text = [f"  {name:<10} {printable(value)}" for name, value in parts.items()]
    problems = list(tally.problems)
    text += [f"    {printable(problem)}" for problem in problems[:SHOWN]]
    return text + ([f"    and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else [])


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _counts(counts: dict[str, int]) -> str:
    text = [f"{name} {count}" for name, count in counts.items()]
    others = [f"and {len(text) - SHOWN} others"] if len(text) > SHOWN else []
    return ", ".join(text[:SHOWN] + others) or "none"


def _check_video(video: LabelledVideo, tally: Tally, pixels: bool) -> None:
    """Count one sequence, frame by frame, past what is broken."""
    tally.clips += 1
    tally.frames += video.length
    tally.images[tuple(video.size)] += video.length
    if pixels:
        for t in range(video.length):
            _attempt(lambda t=t: video.frame(t), tally)
    _attempt(lambda: video.detections, tally)
    tally.only_visible = not video.has_amodal
    classes: dict[int | str, str] = {}
    for t in _labelled(video, tally):
        instances = video.labels(t, tally.report)
        if instances is not None:
            tally.labelled += 1
            tally.crowds += video.crowds(t)
            tally.without += not instances
            classes |= {instance.id: instance.category for instance in instances}
            _count_masks(instances, tally)
    tally.classes.update(classes.values())


def _labelled(video: LabelledVideo, tally: Tally) -> Iterable[int]:
    """The frames that have labels; all of them where the tracks cannot be told as a whole."""
    try:
        if video.truth is None:
            return ()
        labelled = video.truth.labelled
    except InputError as error:
        tally.report(str(error))
        labelled = None
    return range(video.length) if labelled is None else labelled


def _attempt(read: Callable[[], object], tally: Tally) -> None:
    try:
        read()
    except InputError as error:
        tally.report(str(error))


def _count_masks(instances: Iterable[InstanceTruth], tally: Tally) -> None:
    from samodal.tracks import occlusion_rate

    for instance in instances:
        tally.masks += 1
        tally.occlusions[occlusion_bin(occlusion_rate(instance.visible, instance.amodal))] += 1
        tally.sizes[size_bin(instance.amodal)] += 1


def occlusion_bin(rate: float) -> str:
    """The name, of `OCCLUSIONS`, of the bin that an occlusion rate in [0, 1] is in."""
    if rate == 1:
        return "fully hidden"
    return list(OCCLUSIONS)[bisect_left(list(OCCLUSIONS.values()), rate)]


def size_bin(amodal: Rle) -> str:
    """small, medium or large by the pixels of a mask; one on a border is in the smaller bin."""
    return list(SIZES)[bisect_left(list(SIZES.values()), amodal.area)]


def _note_odd(tally: Tally, unlisted: list) -> None:
    from samodal.data.dataset import ALL_CROWDS

    if unlisted:
        tally.odd.append(f"{_number(len(unlisted), 'image')} that the annotations do not list, first {unlisted[0]}")
    if tally.crowds and not tally.masks:
        tally.odd.append(ALL_CROWDS.format(f"all {tally.crowds} masks are crowds (iscrowd 1)"))
    elif tally.crowds:
        tally.odd.append(f"{tally.crowds} of {tally.crowds + tally.masks} masks are crowds (iscrowd 1) and left out")
    if tally.without:
        tally.odd.append(f"{_number(tally.without, 'labelled frame')} without an instance")
    if tally.labelled < tally.frames:
        tally.odd.append(f"{_number(tally.frames - tally.labelled, 'frame')} without labels")
    if tally.masks and tally.occlusions["none"] == tally.masks and not tally.only_visible:
        tally.odd.append("nothing is hidden anywhere: do the labels say what is visible?")
