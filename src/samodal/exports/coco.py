"""COCO JSON of pictures, with the fields of amodal data sets (KINS, D2SA) and of videos (COCO-VID, TAO) beside.

`segmentation`, `bbox` and `area` are of the whole object. `visible` and `visible_segmentation` are the same mask, as
`samodal train --data coco:` and `samodal evaluate` read it; [] is completely hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from samodal.exports.json_lines import write_object
from samodal.exports.source import Losses, Shot, Source
from samodal.masks import Mask
from samodal.outputs import writing
from samodal.tracks import Instance
from samodal.version import __version__


def write(source: Source, path: Path) -> list[str]:
    """Write the file; gives what it does not hold."""
    losses, contents = Losses(source), source.contents
    height, width = source.size
    video = {"id": 1, "name": source.name, "width": width, "height": height, "fps": source.fps}
    classes = contents.categories
    images = (
        {"id": number + 1, "file_name": name, "width": width, "height": height, "video_id": 1, "frame_id": number}
        for number, name in zip(contents.numbers, contents.file_names, strict=True)
    )
    tracks = [
        {"id": track.number, "name": str(track.key), "category_id": classes[track.category], "video_id": 1}
        for track in contents.tracks.values()
    ]
    with writing(path) as partial, partial.open("w", encoding="utf-8") as file:
        head = {"info": {"description": f"{source.name}, by samodal {__version__}"}, "videos": [video]}
        categories = [{"id": number, "name": name} for name, number in classes.items()]
        lists = {"categories": categories, "tracks": tracks, "images": images}
        write_object(file, head | lists | {"annotations": _annotations(source, losses)})
    return losses.lines()


def _annotations(source: Source, losses: Losses) -> Iterator[dict[str, Any]]:
    numbers, contents = count(1), source.contents
    for shot in source.shots():
        for key, instance in shot.instances:
            if instance.amodal:
                track = contents.tracks[key]
                labels = {"category_id": contents.categories[track.category], "track_id": track.number}
                yield {"id": next(numbers), **_place(shot), **labels, **_values(instance)}
            elif instance.visible:
                losses.add("visible masks left out: there is no whole one")


def _place(shot: Shot) -> dict[str, int]:
    return {"image_id": shot.number + 1, "video_id": 1}


def _values(instance: Instance) -> dict[str, Any]:
    amodal, visible = instance.amodal, instance.visible
    coded, rate = visible.to_coco() if visible else [], instance.occlusion or 0.0
    return {
        "segmentation": amodal.to_coco(),
        "bbox": box_of(amodal),
        "area": amodal.area,
        "iscrowd": 0,
        "visible": coded,
        "visible_segmentation": coded,
        "amodal_bbox": box_of(amodal),
        "visible_bbox": box_of(visible) if visible else None,
        "occlude_rate": round(rate, 6),
        "visibility": round(1 - rate, 6),
        "state": str(instance.state),
        "score": instance.score,
    }


def box_of(mask: Mask) -> list[int]:
    """[x, y, width, height] in pixels."""
    x0, y0, x1, y1 = (int(n) for n in mask.box)
    return [x0, y0, x1 - x0, y1 - y0]
