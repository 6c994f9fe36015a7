"""CVAT for video 1.1, as CVAT's importer takes it.

What its importer does with tracks decides the form (cvat/apps/dataset_manager/formats/cvat.py): of a track of masks it
keeps the first mask alone, and a track without a key frame is an error. So a track has polygons, or a single mask,
and every shape is a key frame. An object is several tracks in one group: what is visible has the label of its class,
the whole object "CLASS (amodal)", and each further part of a mask a track of its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from samodal.errors import printable
from samodal.exports.polygons import pixels_lost, polygons
from samodal.exports.source import Losses, Source
from samodal.files import write_json
from samodal.masks import Mask
from samodal.outputs import writing
from samodal.results.spool import Spool
from samodal.tracks import Instance, State

WHOLE = " (amodal)"
"""End of the label of a whole object."""
ATTRIBUTES = {
    "id": (False, "text", "", ()),
    "state": (True, "select", "visible", tuple(map(str, State))),
    "visible_share": (True, "text", "", ()),
    "confidence": (True, "text", "", ()),
}
"""Of a shape: whether it changes through a track, its input, default, and values."""


LOST_PIXELS = "pixels that polygons have too many or too few: no holes, no specks, round corners"

Shapes = Callable[[Mask, int], Iterator[tuple[int, dict[str, str]]]]
"""From a mask and the number of its frame to its shapes: which track of the mask, and the attributes of the shape."""


def write_polygons(source: Source, path: Path) -> list[str]:
    """Write tracks of polygons; gives what they do not hold."""
    losses = Losses(source)

    def shapes(mask: Mask, frame: int) -> Iterator[tuple[int, dict[str, str]]]:
        parts = polygons(mask)
        losses.add(LOST_PIXELS, pixels_lost(mask, parts), mask.area)
        for place, part in enumerate(parts):
            yield place, {"points": ";".join(f"{x:.2f},{y:.2f}" for x, y in part)}

    return [*_write(source, path, "polygon", shapes, losses)]


def write_masks(source: Source, path: Path) -> list[str]:
    """Write exact masks, each a track of one frame; gives what they do not hold."""

    def shapes(mask: Mask, frame: int) -> Iterator[tuple[int, dict[str, str]]]:
        x0, y0, x1, y1 = (int(n) for n in mask.box)
        place = {"left": str(x0), "top": str(y0), "width": str(x1 - x0), "height": str(y1 - y0)}
        yield frame, {"rle": ", ".join(map(str, _row_runs(mask))), **place}

    note = "CVAT drops the groups of masks as it reads them; the attribute id tells which belong together"
    return [*_write(source, path, "mask", shapes, Losses(source)), note]


def _row_runs(mask: Mask) -> list[int]:
    """Run lengths of a mask along the rows of its box, outside first."""
    flat = mask.inside.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs


def _write(source: Source, path: Path, tag: str, shapes: Shapes, losses: Losses) -> list[str]:
    classes = source.contents.categories
    with writing(path) as partial, Spool(partial.parent) as rows, partial.open("w", encoding="utf-8") as file:
        for shot in source.shots():
            for key, instance in shot.instances:
                for kind, mask in (("visible", instance.visible), ("amodal", instance.amodal)):
                    for place, shape in shapes(mask, shot.number) if mask else ():
                        rows.add((key, kind, place), [shot.number, shape, *_told(key, instance)])
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        _write_meta(file, source)
        for number, piece in enumerate(rows):
            _write_track(file, source, number, piece, tag, rows)
        file.write("</annotations>\n")
    labels = path.with_suffix(".labels.json")
    write_json(labels, [_label(name) for name in label_names(classes)], indent=1)
    return [*losses.lines(), f"labels for the raw editor of a new CVAT task: {labels}"]


def _told(key: int | str, instance: Instance) -> tuple[bool, dict[str, str]]:
    """Whether something is hidden, and the attributes."""
    share = 1 - (instance.occlusion or 0.0) if instance.visible else 0.0
    score = "" if instance.score is None else f"{instance.score:.4f}"
    values = {"id": str(key), "state": str(instance.state), "visible_share": f"{share:.4f}", "confidence": score}
    return share < 1, values


def _write_track(
    file: TextIO, source: Source, number: int, piece: tuple[int | str, str, int], tag: str, rows: Spool
) -> None:
    key, kind, _ = piece
    track, frames = source.contents.tracks[key], source.contents.numbers
    label = track.category + (WHOLE if kind == "amodal" else "")
    file.write(f'  <track id="{number}" label={quoteattr(printable(label))} source="auto" group_id="{track.number}">\n')
    values = rows.values(piece)
    value = next(values, None)
    while value is not None:
        following = next(values, None)
        _write_shape(file, tag, kind, value, outside=False)
        place = bisect_right(frames, value[0])
        if place < len(frames) and (following is None or following[0] != frames[place]):
            _write_shape(file, tag, kind, [frames[place], *value[1:]], outside=True)
        value = following
    file.write("  </track>\n")


def _write_shape(file: TextIO, tag: str, kind: str, value: list, outside: bool) -> None:
    frame, shape, occluded, attributes = value
    written = {
        "frame": frame, "keyframe": 1, "outside": int(outside), "occluded": int(occluded), **shape,
        "z_order": int(kind == "visible"),
    }  # fmt: skip
    file.write(f"    <{tag} {' '.join(f'{name}={quoteattr(str(v))}' for name, v in written.items())}>\n")
    for name, text in attributes.items():
        file.write(f"      <attribute name={quoteattr(name)}>{_text(text)}</attribute>\n")
    file.write(f"    </{tag}>\n")


def label_names(classes: Iterable[str]) -> list[str]:
    """The labels of classes: what is visible, and whole objects."""
    return [printable(name) + end for name in classes for end in ("", WHOLE)]


def _label(name: str) -> dict[str, Any]:
    """A label as CVAT's raw editor takes it."""
    attributes = [
        {"name": attribute, "mutable": mutable, "input_type": kind, "default_value": default, "values": list(values)}
        for attribute, (mutable, kind, default, values) in ATTRIBUTES.items()
    ]
    return {"name": name, "type": "any", "attributes": attributes}


def _write_meta(file: TextIO, source: Source) -> None:
    """What CVAT writes of a task itself; of a new import it reads none of it."""
    contents, (height, width) = source.contents, source.size
    labels = "".join(_label_element(_label(name)) for name in label_names(contents.categories))
    values = {
        "name": source.name, "size": contents.end, "mode": "interpolation", "start_frame": 0,
        "stop_frame": contents.end - 1, "source": source.video,
    }  # fmt: skip
    file.write("  <meta><task>\n")
    for name, value in values.items():
        file.write(f"    <{name}>{_text(str(value))}</{name}>\n")
    size = f"<original_size><width>{width}</width><height>{height}</height></original_size>"
    file.write(f"    {size}\n    <labels>\n{labels}    </labels>\n  </task></meta>\n")


def _label_element(label: dict[str, Any]) -> str:
    attributes = "".join(
        f"<attribute><name>{entry['name']}</name><mutable>{entry['mutable']}</mutable>"
        f"<input_type>{entry['input_type']}</input_type><default_value>{entry['default_value']}</default_value>"
        f"<values>{'&#10;'.join(entry['values'])}</values></attribute>"
        for entry in label["attributes"]
    )
    head = f"<name>{_text(label['name'])}</name><type>{label['type']}</type>"
    return f"      <label>{head}<attributes>{attributes}</attributes></label>\n"


def _text(value: str) -> str:
    """A text in XML, which has no room for control characters."""
    return escape(printable(value))
