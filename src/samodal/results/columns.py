"""Collecting what a file says frame by frame into the tracks of a clip."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from samodal.columns import Column, present
from samodal.errors import InputError
from samodal.files import read_mask
from samodal.results.fields import FrameNumber, Id, Share, check_frames, value_of
from samodal.rle import Rle
from samodal.tracks import COLUMNS, Clip, Track


def frame_names(length: int) -> tuple[str, ...]:
    """ "000000", "000001", …: the names of frames that have none."""
    return tuple(f"{t:06d}" for t in range(length))


def fitted(clip: Clip, places: Sequence[int]) -> Clip:
    """The clip with the frames of these places alone, and absent masks where it has no such frame.

    Tracks without a visible mask in these frames are left out.
    """
    frames_at: dict[int, list[int]] = {}
    for t, place in enumerate(places):
        frames_at.setdefault(place, []).append(t)

    def column(values: Sequence) -> Column:
        return Column(len(places), {t: value for n, value in present(values) for t in frames_at.get(n, ())})

    tracks = (replace(t, **{name: column(getattr(t, name)) for name in COLUMNS}) for t in clip.tracks)
    return replace(clip, frames=frame_names(len(places)), tracks=tuple(t for t in tracks if any(t.visible)))


class VisibleColumns:
    """Gathers visible masks of one clip in any order; what cannot belong to it is refused.

    Args:
        path: the file that is read, for messages.
        name: of the clip.
        size: (H, W) of its frames.
        length: number of its frames, None where it is not known.
        excerpt: the video may be the beginning of what the file speaks of; later frames are left out, and
            how many there are is said in the clip's info as "frames_beyond".
    """

    def __init__(self, path: Path, name: str, size: tuple[int, int], length: int | None, excerpt: bool = False):
        self.path = path
        self.excerpt = excerpt
        self.name = name
        self.size = (int(size[0]), int(size[1]))
        self.length = length
        self._masks: dict[int | str, dict[int, Rle]] = {}
        self._scores: dict[int | str, dict[int, float | None]] = {}
        self._categories: dict[int | str, str] = {}
        self._crowds: set[int | str] = set()
        self._last = -1
        self._beyond: set[int] = set()

    def add(
        self,
        key: Any,
        category: str,
        t: Any,
        mask: Any,
        score: Any = None,
        where: str | None = None,
        crowd: bool = False,
    ) -> None:
        """Add one instance in one frame.

        Args:
            key: its id in the clip, a whole number or text.
            category: class name; where a track changes it, its first one stays.
            t: frame index.
            mask: an `Rle`, or run lengths or polygons as a file holds them; without any pixel it is skipped.
            score: in [0, 1] or None.
            where: file and entry, for messages; where it is None, file, track and frame.
            crowd: whether it is a region that evaluation leaves out.

        Raises:
            InputError: if the frame is not one of the clip's, the mask has another size, the id is in this frame
                already, or a value is of another type.
        """
        where = where or f"{self.path}: track {str(key)[:60]}, frame {t}"
        values = {"id": key, "frame": t, "score": score}
        key, t = value_of(values, "id", Id, where), value_of(values, "frame", FrameNumber, where)
        score = value_of(values, "score", Share, where)
        if self.length is not None and t >= self.length:
            if self.excerpt:
                self._beyond.add(t)
                return
            raise InputError(
                f"{where}: the video has only {self.length} frames; were the results made on another video?"
            )
        if not isinstance(mask, Rle):
            mask = read_mask(mask, self.size, where)
        if mask is None:
            return
        if t in self._masks.get(key, {}):
            raise InputError(f"{where}: this id is there twice in one frame; ids must be unique within a frame")
        self._masks.setdefault(key, {})[t] = mask
        self._scores.setdefault(key, {})[t] = score
        self._categories.setdefault(key, category)
        if crowd:
            self._crowds.add(key)
        self._last = max(self._last, t)

    def clip(self) -> Clip:
        """All tracks, ordered by first addition; their amodal columns are empty.

        Raises:
            InputError: if frames and tracks are too many.
        """
        length = self._last + 1 if self.length is None else self.length
        check_frames(length, len(self._masks), self.path)
        tracks = []
        for key, masks in self._masks.items():
            # In the order of frames: the last digits of a sum depend on its order.
            known = [score for _, score in sorted(self._scores[key].items()) if score is not None]
            tracks.append(
                Track(
                    id=key,
                    category=self._categories[key],
                    score=sum(known) / len(known) if known else None,
                    visible=Column(length, masks),
                    amodal=Column(length),
                    scores=Column(length, self._scores[key]),
                    crowd=key in self._crowds,
                )
            )
        info = {"frames_beyond": len(self._beyond)} if self._beyond else {}
        return Clip(self.name, self.size, frame_names(length), tuple(tracks), info=info)
