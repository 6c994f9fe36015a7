"""A frame's result with what people do to it: choose instances, make tables, look."""

from __future__ import annotations

import base64
from collections.abc import Hashable, Sequence
from dataclasses import fields, replace
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image

from samodal.errors import InputError
from samodal.exports.table import row
from samodal.results.tracks_json import numbers_of
from samodal.tracks import FrameResult, Instance
from samodal.views.libraries import library

if TYPE_CHECKING:
    import pandas
    import supervision

THUMBNAIL = 480
"""Pixels of a picture's width in a notebook."""
DARK = 40
"""Grey value of a frame whose picture is not known."""


class FrameView(FrameResult):
    """The result of one frame; everything that a `FrameResult` is, and what follows.

    `frame[7]` is an instance. `frame[[7, 9]]`, `frame[frame.visible_share < 0.5]` and `frame[:3]` are frames with these
    instances alone.
    """

    @classmethod
    def of(cls, result: FrameResult) -> FrameView:
        """The view of a result."""
        return cls(**{field.name: getattr(result, field.name) for field in fields(result)})

    @property
    def categories(self) -> np.ndarray:
        """(N,) class names."""
        return np.array([instance.category for instance in self.instances], object)

    @property
    def states(self) -> np.ndarray:
        """(N,) names of states."""
        return np.array([str(instance.state) for instance in self.instances], object)

    @property
    def scores(self) -> np.ndarray:
        """(N,) float64; nan where there is none."""
        return np.array([np.nan if i.score is None else i.score for i in self.instances], float)

    @property
    def visible_share(self) -> np.ndarray:
        """(N,) float64, share of the whole mask that is visible; nan where there is no whole mask."""
        return np.array([np.nan if i.occlusion is None else 1 - i.occlusion for i in self.instances], float)

    def hidden(self, min_share: float = 0.5) -> Self:
        """The instances of which at least this share is hidden."""
        return self[1 - self.visible_share >= min_share]

    def __getitem__(self, key: Any) -> Any:
        """The instance of an id, or a frame with the chosen instances: ids, a boolean array of N, or a slice.

        Raises:
            KeyError: if an id is not in this frame.
            InputError: for a boolean array of another length.
        """
        if isinstance(key, int | str) and not isinstance(key, bool):
            return super().__getitem__(key)
        return replace(self, instances=tuple(self.instances[n] for n in places(key, self.ids)))

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each instance: id, class, state, score, visible share, boxes, who hides it. Needs pandas."""
        rows = [row(self, instance, instance.id) for instance in self.instances]
        return library("pandas").DataFrame(rows)

    def to_supervision(self) -> supervision.Detections:
        """Detections with visible masks and boxes, those of the whole object where nothing is visible.

        `data` has (N, H, W) bool `amodal_mask`, and `state`, `visible_share`, `class_name` and `id`; `tracker_id` is
        there where ids are numbers. Lost instances, which have no mask, are left out. Needs supervision.
        """
        sv = library("supervision")
        frame = self[[bool(i.visible or i.amodal) for i in self.instances]]
        masks = [instance.visible or instance.amodal for instance in frame.instances]
        if not masks:
            return sv.Detections.empty()
        numbers, size = numbers_of(frame.categories), masks[0].size
        ids = np.array(frame.ids, object)
        return sv.Detections(
            xyxy=np.array([mask.box for mask in masks], np.float32),
            mask=np.stack([_decoded(instance.visible, size) for instance in frame.instances]),
            confidence=None if np.isnan(frame.scores).any() else frame.scores.astype(np.float32),
            class_id=np.array([numbers[name] for name in frame.categories], int),
            tracker_id=ids.astype(int) if all(isinstance(key, int) for key in frame.ids) else None,
            data={
                "amodal_mask": np.stack([_decoded(instance.amodal, size) for instance in frame.instances]),
                "state": frame.states.astype(str),
                "visible_share": frame.visible_share,
                "class_name": frame.categories.astype(str),
                "id": ids.astype(str),
            },
        )

    def plot(self, image: np.ndarray | None = None) -> np.ndarray:
        """(H, W, 3) uint8 RGB: the result drawn on its picture, or on a dark one where there is none.

        Args:
            image: (H, W, 3) uint8 RGB, for a result that was read from a file.

        Raises:
            InputError: where neither a picture nor a mask tells the size.
        """
        from samodal.drawing.overlay import Drawer

        picture = self.image if image is None else image
        if picture is None:
            masks = [mask for i in self.instances for mask in (i.visible, i.amodal) if mask is not None]
            if not masks:
                raise InputError(f"frame {self.t}: nothing is in it, and its picture is not known; give image=")
            picture = np.full((*masks[0].size, 3), DARK, np.uint8)
        return Drawer().draw(picture, self)

    def show(self, image: np.ndarray | None = None) -> Any:
        """Show `plot` with matplotlib; gives its axes."""
        pyplot = library("matplotlib.pyplot")
        _, axes = pyplot.subplots()
        axes.imshow(self.plot(image))
        axes.set_axis_off()
        axes.set_title(f"frame {self.t}, {self.time:.2f} s")
        pyplot.show()
        return axes

    def _repr_html_(self) -> str:
        picture = f"<img src='{thumbnail(self.plot())}'>" if self.drawable else ""
        rows = [[i.id, i.category, i.state, _share(i), _number(i.score)] for i in self.instances]
        head = f"<b>frame {self.t}</b>, {self.time:.2f} s<br>"
        return head + picture + html_table(["id", "class", "state", "visible", "score"], rows)

    @property
    def drawable(self) -> bool:
        """Whether `plot` needs no picture."""
        return self.image is not None or any(i.visible or i.amodal for i in self.instances)


def places(key: Any, ids: Sequence[Hashable]) -> list[int]:
    """Which of N entries are chosen: by a boolean array of N, a slice, or ids.

    Raises:
        KeyError: if an id is not there.
        InputError: for a boolean array of another length.
    """
    if isinstance(key, slice):
        return list(range(len(ids))[key])
    values = np.asarray(key)
    if values.dtype == bool:
        if values.shape != (len(ids),):
            raise InputError(f"expected a boolean for each of {len(ids)} instances, got an array of {values.shape}")
        return np.flatnonzero(values).tolist()
    by_name = {str(name): n for n, name in enumerate(ids)}
    missing = [name for name in key if str(name) not in by_name]
    if missing:
        raise KeyError(f"no instance {missing[0]!r}; there are {', '.join(by_name) or 'none'}")
    return [by_name[str(name)] for name in key]


def thumbnail(picture: np.ndarray) -> str:
    """A small JPEG of a (H, W, 3) uint8 picture, as the address of an <img>."""
    image, file = Image.fromarray(picture), BytesIO()
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    image.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def html_table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; texts from files are escaped."""
    lines = ["".join(f"<td>{escape(str(value))}</td>" for value in entry) for entry in rows]
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _share(instance: Instance) -> str:
    return "" if instance.occlusion is None else f"{1 - instance.occlusion:.0%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _decoded(mask: Any, size: tuple[int, int]) -> np.ndarray:
    return mask.decode() if mask else np.zeros(size, bool)
