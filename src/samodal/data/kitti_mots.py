"""KITTI MOTS: KITTI's tracking sequences with masks of what is visible of cars and pedestrians; no amodal masks.

    ROOT/training/image_02/<sequence>/%06d.png      or ROOT/image_02/… or ROOT/images/…
    ROOT/instances_txt/<sequence>.txt               and, or instead, ROOT/instances/<sequence>/%06d.png

The labels may lie in ROOT/training, too; text is taken where both are there. <split> of kitti_mots:ROOT/<split> is
train or val, the published lists, of which every sequence must be there; all, whatever labelled sequence is there, of
which the images may be the beginning (labels behind the last one are left out); or test, ROOT/testing without labels.
Source: https://www.cvlibs.net/datasets/kitti/eval_mots.php
"""

from functools import cached_property
from pathlib import Path

from samodal.data.dataset import Dataset, InstanceTruth, LabelledVideo
from samodal.errors import InputError
from samodal.pictures import image_size
from samodal.results.fields import numbered
from samodal.results.kitti_mots import read_kitti_pictures, read_kitti_text
from samodal.rle import Rle, union
from samodal.tracks import Clip, Track

SPLITS = {
    "train": ("0000", "0001", "0003", "0004", "0005", "0009", "0011", "0012", "0015", "0017", "0019", "0020"),
    "val": ("0002", "0006", "0007", "0008", "0010", "0013", "0014", "0016", "0018"),
    "all": (),
    "test": (),
}
"""Sequences of each split; () takes those that are there."""

_LAYOUT = "ROOT/training/image_02/0002/000000.png and ROOT/instances_txt/0002.txt"


class KittiMotsVideo(LabelledVideo):
    """One sequence: frame t is the t-th image by number.

    Args:
        folder: holds the images.
        labels: a text file or a folder of pictures, None where there are none.
        excerpt: whether the images may end before the labels.
    """

    has_amodal = False

    def __init__(self, folder: Path, labels: Path | None, number: int = 1, excerpt: bool = False):
        self.name, self.number, self.source = folder.name, number, str(folder)
        self._labels, self._excerpt = labels, excerpt
        self.label_places = () if labels is None else (labels,)
        images = numbered(folder)
        self.numbers, self.paths = tuple(images), tuple(images.values())
        if not images:
            raise InputError(f"{folder}: no image named by its frame, such as 000000.png, in it")

    @cached_property
    def size(self) -> tuple[int, int]:
        """(H, W) of the first image in pixels."""
        return image_size(self.paths[0])

    def frame_visible(self, t: int) -> list[InstanceTruth]:
        """What is visible in frame t, as if no amodal masks were there: `amodal` is the visible mask."""
        masks = [(track, track.visible[t]) for track in (self.truth.tracks if self.truth is not None else ())]
        return [InstanceTruth(track.id, track.category, mask, mask) for track, mask in masks if mask is not None]

    @cached_property
    def truth(self) -> Clip | None:
        """All tracks with empty amodal columns, None without labels; regions to ignore (class 10) are no tracks.

        Raises:
            InputError: if labels are damaged, of another size or of a frame without image, if an id is in a frame
                twice, or if two masks of a frame overlap.
        """
        if self._labels is None:
            return None
        read = read_kitti_pictures if self._labels.is_dir() else read_kitti_text
        clip = read(self._labels, self.name, self.size, None)
        end = self.numbers[-1] + 1 if self._excerpt else len(clip)
        there = set(self.numbers)
        for track in clip.tracks:
            for number, mask in enumerate(track.visible[:end]):
                if mask is not None and number not in there:
                    raise InputError(f"{self.source}: no image {number:06d}.png, but {self._labels} has masks in it")
        tracks = tuple(track for track in map(self._fitted, clip.tracks) if any(track.visible))
        for t in range(self.length):
            self._refuse_overlap([track.visible[t] for track in tracks if track.visible[t]], t)
        return Clip(self.name, self.size, self.frame_names, tracks)

    def _fitted(self, track: Track) -> Track:
        """A track by frame number as one by image."""
        column = tuple(track.visible[n] if n < len(track.visible) else None for n in self.numbers)
        return Track(track.id, track.category, None, column, (None,) * self.length)

    def _refuse_overlap(self, masks: list[Rle], t: int) -> None:
        if masks and union(masks).area != sum(mask.area for mask in masks):
            raise InputError(
                f"{self._labels}: masks overlap in frame {self.numbers[t]}; a pixel of KITTI MOTS is of one object"
            )


class KittiMotsDataset(Dataset):
    """The sequences of one split, sorted by name."""

    def __init__(self, root: Path, split: str):
        images = _images_folder(root, split)
        there = {path.name for path in images.iterdir() if path.is_dir()}
        labels = {} if split == "test" else _labels(root)
        names = SPLITS[split] or sorted(there if split == "test" else labels)
        if not names:
            raise InputError(f"{root}: no labelled sequence in it; expected {_LAYOUT}")
        for name in names:
            if split != "test" and name not in labels:
                raise InputError(f"{root}: no labels of sequence {name} of split {split}; {_way_out(root, split)}")
            if name not in there:
                raise InputError(f"{images}: no images of sequence {name} of split {split}; {_way_out(root, split)}")
        videos = {
            name: KittiMotsVideo(images / name, labels.get(name), number, split == "all")
            for number, name in enumerate(names, start=1)
        }
        super().__init__(root, videos, videos.__getitem__)


def open_kitti_mots(path: Path) -> KittiMotsDataset:
    """The data set of ROOT/train, ROOT/val, ROOT/all or ROOT/test.

    Raises:
        InputError: if files are missing, damaged, or do not fit one another.
    """
    if path.name not in SPLITS:
        raise InputError(f"{path}: expected ROOT/train, ROOT/val, ROOT/all or ROOT/test, where ROOT holds {_LAYOUT}")
    return KittiMotsDataset(path.parent, path.name)


def _images_folder(root: Path, split: str) -> Path:
    places = ["testing/image_02"] if split == "test" else ["training/image_02", "image_02", "images"]
    folder = next((root / place for place in places if (root / place).is_dir()), None)
    if folder is None:
        raise InputError(f"{root}: no folder {' or '.join(places)} in it (data_tracking_image_2.zip)")
    return folder


def _labels(root: Path) -> dict[str, Path]:
    """{sequence: text file or folder of pictures}"""
    labels: dict[str, Path] = {}
    for place in (root, root / "training"):
        for path in [*place.glob("instances_txt/*.txt"), *(p for p in place.glob("instances/*") if p.is_dir())]:
            labels.setdefault(path.stem, path)
    return labels


def _way_out(root: Path, split: str) -> str:
    return f"for the part that is there give kitti_mots:{root}/all" if split != "all" else "remove its labels"
