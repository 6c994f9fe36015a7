"""Text for each frame, as Ultralytics' save_txt: `class x y x y … score id`, places as shares of the frame.

    amodal/NAME.txt, visible/NAME.txt    an empty file is a frame without instances
    classes.txt                          the name of class N in line N, from 0

Source: ultralytics, `Results.save_txt` of segmentations. An outline is the largest part of a mask.
"""

from __future__ import annotations

from pathlib import Path, PurePath

from samodal.errors import printable
from samodal.exports.folder import export_folder
from samodal.exports.polygons import pixels_lost, polygons
from samodal.exports.source import Losses, Source
from samodal.files import safe_name
from samodal.masks import Mask

LOST_PIXELS = "pixels that outlines have too many or too few: largest parts alone, no holes, round corners"


def write(source: Source, path: Path) -> list[str]:
    """Write the folder; gives what it does not hold."""
    losses, contents = Losses(source), source.contents
    classes = {name: number for number, name in enumerate(contents.categories)}
    with export_folder(path, source, "savetxt") as folder:
        names = [printable(name) for name in classes]
        (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        for kind in ("amodal", "visible"):
            (folder / kind).mkdir()
        for shot in source.shots():
            name = safe_name(PurePath(shot.name).stem, f"{source.where}, frame {shot.number}") + ".txt"
            lines: dict[str, list[str]] = {"amodal": [], "visible": []}
            for key, instance in shot.instances:
                track = contents.tracks[key]
                score = 1.0 if instance.score is None else instance.score
                if instance.score is None and instance.amodal:
                    losses.add("whole masks that get the score 1, as they have none")
                for kind, mask in (("amodal", instance.amodal), ("visible", instance.visible)):
                    if mask:
                        outline = _outline(mask, losses)
                        lines[kind].append(f"{classes[track.category]} {outline} {score:.6g} {track.number}\n")
            for kind, text in lines.items():
                (folder / kind / name).write_text("".join(text), encoding="ascii")
    return losses.lines()


def _outline(mask: Mask, losses: Losses) -> str:
    height, width = mask.size
    largest = polygons(mask)[:1]
    losses.add(LOST_PIXELS, pixels_lost(mask, largest), mask.area)
    return " ".join(f"{x / width:.6f} {y / height:.6f}" for x, y in largest[0])
