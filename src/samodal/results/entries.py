"""What evaluation reads out of COCO-like files: one entry per instance of an image, or per track of a video."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from samodal.columns import Column, present
from samodal.errors import InputError
from samodal.rle import Rle


@dataclass(frozen=True, eq=False)
class Entry:
    """One instance in one image (columns of length 1), or one track through a video; truth or result.

    Attributes:
        group: the image or video it belongs to.
        id: identity within the group, None where the file has none.
        masks: what is evaluated, one per frame, None where absent.
        visible: the visible masks, None where they are not known at all.
        areas: pixels of each mask as the file says or as counted; None or 0 where absent.
        occlusion: share of each amodal mask that is not visible, in [0, 1]; None where absent; the whole is
            None where it is not known.
        score: confidence, None where there is none.
        crowd: a region that may be matched many times and never counts as missed.
        category: class name, None where none is known.
    """

    group: Hashable
    id: int | str | None
    masks: Sequence[Rle | None]
    visible: Sequence[Rle | None] | None = None
    areas: Sequence[float | None] = ()
    occlusion: Sequence[float | None] | None = None
    score: float | None = None
    crowd: bool = False
    category: str | None = None

    def __post_init__(self):
        if not self.areas:
            areas = {t: mask.area for t, mask in present(self.masks)}
            object.__setattr__(self, "areas", Column(len(self.masks), areas))


@dataclass(frozen=True, eq=False)
class Annotated:
    """The truth of a set of images or videos.

    Attributes:
        sizes: (H, W) of each group.
        lengths: number of frames of each group, 1 for images.
        entries: in the file's order.
        clips: which clip each group is part of, for resampling; a group on its own where this is empty.
        categories: class names by number, as the file has them.
    """

    sizes: dict[Hashable, tuple[int, int]]
    lengths: dict[Hashable, int]
    entries: list[Entry]
    clips: dict[Hashable, str]
    categories: dict[int | str, str] = field(default_factory=dict)

    def clip_of(self, group: Hashable) -> str:
        """The clip that a group is part of."""
        return str(self.clips.get(group, group))

    @property
    def instances(self) -> list[Entry]:
        """What is to be found: the entries that are no crowds."""
        return [entry for entry in self.entries if not entry.crowd]


def without_doubles(entries: list[Entry], path: object) -> list[Entry]:
    """The entries themselves.

    Raises:
        InputError: if an id is there twice in an image, or a video.
    """
    known = set()
    for entry in entries:
        if entry.id is not None and (entry.group, entry.id) in known:
            raise InputError(f"{path}: id {entry.id} is there twice in image or video {entry.group}")
        known.add((entry.group, entry.id))
    return entries
