"""A Label Studio task of a video, with boxes as predictions: its videos have no masks.

Frames count from 1, places are percents of the frame, and a key frame that is not enabled ends what is shown. Source:
label-studio-sdk, the result type `videorectangle`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from samodal.errors import printable
from samodal.exports.cvat import WHOLE, label_names
from samodal.exports.json_lines import write_object
from samodal.exports.source import Losses, Source
from samodal.files import text_of
from samodal.masks import Mask
from samodal.outputs import writing
from samodal.results.by_track import track_score
from samodal.results.spool import Spool
from samodal.version import __version__


def write(source: Source, path: Path) -> list[str]:
    """Write the tasks, and the labelling configuration beside them; gives what they do not hold."""
    losses = Losses(source)
    with writing(path) as partial, Spool(partial.parent) as rows:
        for shot in source.shots():
            for key, instance in shot.instances:
                for kind, mask in (("visible", instance.visible), ("amodal", instance.amodal)):
                    if mask:
                        losses.add("masks of which the boxes alone are in it")
                        row = [shot.number, shot.result.time, _percents(mask), instance.score, str(instance.state)]
                        rows.add((key, kind), row)
        with partial.open("w", encoding="utf-8") as file:
            head = {"data": {"video": source.video}}
            file.write(f'[{text_of(head)[:-1]},"predictions":[')
            write_object(file, {"model_version": f"samodal {__version__}", "result": _regions(source, rows)})
            file.write("]}]")
    configuration = path.with_suffix(".config.xml")
    with writing(configuration) as partial:
        partial.write_text(_configuration(source), encoding="utf-8")
    return [*losses.lines(), f"labelling configuration of the project: {configuration}"]


def _regions(source: Source, rows: Spool) -> Iterator[dict[str, Any]]:
    contents = source.contents
    for key, kind in rows:
        track = contents.tracks[key]
        values = list(rows.values((key, kind)))
        label = printable(track.category) + (WHOLE if kind == "amodal" else "")
        frames = [frame for frame, *_ in values]
        region = {
            "id": f"{kind}-{track.number}", "type": "videorectangle", "from_name": "box", "to_name": "video",
            "origin": "prediction", "meta": {"text": [f"id {track.key}"]},
            "value": {
                "framesCount": contents.end,
                "duration": round(contents.end / source.fps, 3),
                "labels": [label],
                "sequence": [
                    {"frame": frame + 1, "time": time, **box, "rotation": 0, "enabled": follows}
                    for (frame, time, box, *_), follows in zip(values, _followed(source, frames), strict=True)
                ],
            },
        }  # fmt: skip
        score = track_score([value[3] for value in values], [value[4] for value in values])
        yield region if score is None else region | {"score": score}


def _followed(source: Source, frames: list[int]) -> list[bool]:
    """Of frames that have an instance, whether the next frame of the run has it, too."""
    numbers = source.contents.numbers
    nexts = [numbers[bisect_right(numbers, frame)] for frame in frames[:-1]]
    return [after == there for after, there in zip(nexts, frames[1:], strict=True)] + [False]


def _percents(mask: Mask) -> dict[str, float]:
    (height, width), (x0, y0, x1, y1) = mask.size, mask.box
    places = {"x": x0 / width, "y": y0 / height, "width": (x1 - x0) / width, "height": (y1 - y0) / height}
    return {name: round(100 * value, 6) for name, value in places.items()}


def _configuration(source: Source) -> str:
    labels = "".join(
        f"    <Label value={quoteattr(printable(name))}/>\n" for name in label_names(source.contents.categories)
    )
    video = f'  <Video name="video" value="$video" framerate="{source.fps:g}"/>\n'
    boxes = '  <VideoRectangle name="box" toName="video"/>\n'
    return f'<View>\n  <Labels name="labels" toName="video">\n{labels}  </Labels>\n{video}{boxes}</View>\n'
