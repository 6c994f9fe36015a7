"""KITTI MOTS text: `frame id class height width run-lengths`, where the id is class * 1000 + number.

Source: https://www.cvlibs.net/datasets/kitti/eval_mots.php. A pixel is of one object at most.
"""

from __future__ import annotations

from pathlib import Path

from samodal.exports.folder import export_folder
from samodal.exports.source import Losses, Source
from samodal.masks import Mask

CLASSES = {"car": 1, "person": 2, "pedestrian": 2}
TWICE = "visible pixels of two instances, which the first alone has"
MOST = 1000
"""Instances of a class that ids of this form can tell apart."""


def write(source: Source, path: Path) -> list[str]:
    """Write visible.txt, and amodal.txt with masks that overlap; gives what they do not hold."""
    losses, ids = Losses(source), mots_ids(source)
    height, width = source.size
    with (
        export_folder(path, source, "mots") as folder,
        (folder / "visible.txt").open("w", encoding="ascii") as visible,
        (folder / "amodal.txt").open("w", encoding="ascii") as amodal,
    ):
        for shot in source.shots():
            taken: list[Mask] = []
            for key, instance in shot.instances:
                if key not in ids:
                    if instance.amodal or instance.visible:
                        losses.add("instances of frames left out: neither car nor person, or beyond 1,000 of a class")
                    continue
                start = f"{shot.number} {ids[key]} {ids[key] // MOST} {height} {width} "
                if instance.amodal:
                    amodal.write(f"{start}{instance.amodal.counts}\n")
                if instance.visible:
                    shown = instance.visible
                    for mask in taken:
                        shown = shown.minus(mask)
                    losses.add(TWICE, instance.visible.area - shown.area)
                    if shown:
                        taken.append(shown)
                        visible.write(f"{start}{shown.counts}\n")
    return [*losses.lines(), "masks of amodal.txt overlap, which MOTS has no rule for: evaluators of MOTS refuse them"]


def mots_ids(source: Source) -> dict[int | str, int]:
    """The id of each track that the form has room for."""
    counts = {number: 0 for number in CLASSES.values()}
    ids = {}
    for track in source.contents.tracks.values():
        number = CLASSES.get(track.category)
        if number is not None and counts[number] < MOST:
            ids[track.key] = number * MOST + counts[number]
            counts[number] += 1
    return ids
