"""Pictures of masks: visible instances in one map of numbers for each frame, and a picture for each whole mask.

visible/NAME.png          16 bits: the number of the track in each pixel, 0 where nothing is
amodal/NUMBER/NAME.png    1 bit: the whole mask of a track; whole masks overlap, and one map could not hold them
about.json                ids and classes by number
"""

from __future__ import annotations

from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from samodal.errors import InputError
from samodal.exports.folder import export_folder
from samodal.exports.source import Losses, Source
from samodal.files import safe_name

MOST = 2**16 - 1


def write(source: Source, path: Path) -> list[str]:
    """Write the folder; gives what it does not hold."""
    losses, tracks = Losses(source), source.contents.tracks
    if len(tracks) > MOST:
        raise InputError(f"{source.where}: {len(tracks)} tracks are more than the {MOST} that 16 bits can number")
    with export_folder(path, source, "png") as folder:
        (folder / "visible").mkdir()
        for shot in source.shots():
            name = safe_name(PurePath(shot.name).stem, f"{source.where}, frame {shot.number}") + ".png"
            numbers = np.zeros(source.size, np.uint16)
            for key, instance in shot.instances:
                if instance.visible:
                    inside = instance.visible.decode()
                    losses.add(
                        "visible pixels of two instances, which the last alone has", int((numbers[inside] > 0).sum())
                    )
                    numbers[inside] = tracks[key].number
                if instance.amodal:
                    own = folder / "amodal" / f"{tracks[key].number:05d}"
                    own.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(instance.amodal.decode()).save(own / name)
            Image.fromarray(numbers).save(folder / "visible" / name)
    return losses.lines()
