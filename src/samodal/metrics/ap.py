"""Average precision of images and videos, class-agnostic, over the engine of faster-coco-eval.

The engine knows areas but not occlusion; an instance outside a bin's occlusion range is ignored by marking it so
after the engine has prepared its data. A video is a wide image of all its frames (`samodal.rle.join`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from samodal.metrics.profiles import Bin, Number, Profile
from samodal.results.entries import Annotated, Entry
from samodal.rle import join

THRESHOLDS = np.linspace(0.5, 0.95, 10)
DETECTIONS = (1, 10, 100)

# The matcher stores the number of the truth that it matched, and 0 means none: nothing may be numbered 0.
_FIRST = 1


@dataclass(frozen=True, eq=False)
class Curves:
    """What the engine gives for a bin.

    Attributes:
        precision: (10 thresholds, 101 recalls) at 100 detections; -1 where the bin is empty.
        recall: (10 thresholds, 3 numbers of detections); -1 where the bin is empty.
    """

    precision: np.ndarray
    recall: np.ndarray

    def value(self, number: Number) -> float | None:
        """The mean over what `number` names, None where its bin is empty."""
        values = self.precision
        if number.kind == "recall":
            values = self.recall[:, DETECTIONS.index(number.detections), None]
        if number.iou is not None:
            values = values[np.isclose(THRESHOLDS, number.iou)]
        values = values[values > -1]
        return float(values.mean()) if values.size else None


class _Engine(COCOeval_faster):
    """The engine with an occlusion rate for each truth; IoUs are computed once for all bins."""

    def __init__(self, truth: COCO, results: COCO):
        super().__init__(truth, results, iouType="segm", rle_iou_max_workers=1, print_function=_silent)
        self.params.useCats = 0
        self.params.maxDets = list(DETECTIONS)
        self.counted: Bin | None = None
        self._prepared = False
        self._known: dict[tuple[int, int], np.ndarray | list] = {}

    def _prepare(self) -> None:
        """Only what is ignored differs from bin to bin; the engine would prepare every mask again."""
        if not self._prepared:
            super()._prepare()
            self._prepared = True
        self.gt_dataset.clean()
        for entry in self.cocoGt.anns.values():
            outside = not self.counted.occlusion.holds(entry["occlusion"])
            entry["ignore"] = int(outside or entry["iscrowd"])
            self.gt_dataset.append_ref(entry["image_id"], entry["category_id"], entry)

    def computeIoU(self, imgId: int, catId: int) -> np.ndarray | list:
        if (imgId, catId) not in self._known:
            self._known[imgId, catId] = super().computeIoU(imgId, catId)
        return self._known[imgId, catId]

    def curves(self, bin_: Bin) -> Curves:
        self.counted = bin_
        self.params.areaRng = [list(bin_.area)]
        self.params.areaRngLbl = ["all"]
        self.evaluate()
        self.accumulate()
        shape = (len(THRESHOLDS), -1)
        precision = np.asarray(self.eval["precision"])[..., -1].reshape(shape)
        return Curves(precision, np.asarray(self.eval["recall"]).reshape(shape))


class Problem:
    """Truth and results of a level, for any bin.

    Args:
        truth: images or videos.
        results: entries of the same groups, each with a score; ties keep their order.
        profile: says how the rates of a track's frames become a single rate.
        tied: no detection ranks before another, so that their order must not matter; they are put into an order of
            their masks, by which those within a group are matched, and `samodal.metrics.matching` counts them together.
    """

    def __init__(self, truth: Annotated, results: Sequence[Entry], profile: Profile, tied: bool = False):
        self.truth, self.profile, self.tied = truth, profile, tied
        self.results = sorted(results, key=_masks) if tied else list(results)
        self.numbers = {group: n for n, group in enumerate(truth.sizes, start=_FIRST)}
        self._curves: dict[Bin, Curves] = {}

    def value(self, number: Number) -> float | None:
        """A number of the profile, None where its bin is empty."""
        bin_ = self.profile.bins[number.bin]
        if bin_ not in self._curves:
            self._curves[bin_] = self._engine.curves(bin_)
        return self._curves[bin_].value(number)

    @cached_property
    def coded_truth(self) -> list[dict]:
        """Truth in the engine's form; `occlusion` is that of the whole entry."""
        return [
            self._coded(entry, n) | {"iscrowd": int(entry.crowd), "occlusion": self.profile.occlusion(entry.occlusion)}
            for n, entry in enumerate(self.truth.entries, start=_FIRST)
        ]

    @cached_property
    def coded_results(self) -> list[dict]:
        """Results in the engine's form."""
        return [
            self._coded(entry, n) | {"score": float(entry.score)} for n, entry in enumerate(self.results, start=_FIRST)
        ]

    def ious(self) -> dict[int, np.ndarray]:
        """By number of the group: (detections by falling score, truth in order) IoUs, where there are both."""
        self._engine.curves(Bin(self.profile.bins["all"].occlusion))
        return {
            group: np.asarray(values)
            for (group, _), values in self._engine.ious.items()
            if len(values) and len(values[0])
        }

    @cached_property
    def _engine(self) -> _Engine:
        images = [
            {"id": n, "height": size[0], "width": size[1] * self.truth.lengths[group]}
            for (group, size), n in zip(self.truth.sizes.items(), self.numbers.values(), strict=True)
        ]
        return _Engine(_indexed(images, self.coded_truth), _indexed(images, self.coded_results))

    def _coded(self, entry: Entry, number: int) -> dict:
        size = self.truth.sizes[entry.group]
        areas = [area for area in entry.areas if area]
        return {
            "id": number,
            "image_id": self.numbers[entry.group],
            "category_id": 1,
            "segmentation": join(entry.masks, size).to_coco(),
            "area": float(np.mean(areas)) if areas else 0.0,
        }


def _masks(entry: Entry) -> list[str]:
    return [mask.counts if mask else "" for mask in entry.masks]


def _indexed(images: list[dict], annotations: list[dict]) -> COCO:
    coco = COCO(print_function=_silent)
    coco.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "any"}]}
    coco.createIndex()
    return coco


def _silent(*_: object) -> None:
    """The engine prints its progress; here only the table at the end is printed."""
