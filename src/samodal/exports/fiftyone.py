"""A data set in FiftyOne's database: one video, whose frames have the fields `visible` and `amodal`.

Source: https://docs.voxel51.com, video datasets. Frames count from 1, and a mask is that of its box.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samodal.errors import InputError
from samodal.exports.source import Losses, Source
from samodal.masks import Mask
from samodal.tracks import Instance


def write(source: Source, path: Path) -> list[str]:
    """Make the data set, named after the clip; gives what it does not hold.

    Args:
        path: its last part names the data set, where it is not the default.

    Raises:
        InputError: if there is a data set of this name.
    """
    import fiftyone

    name = f"samodal-{source.name}" if path.name == "fiftyone" else path.name
    if fiftyone.dataset_exists(name):
        raise InputError(f"FiftyOne has a data set {name!r} already; give another name, as fiftyone:NAME")
    losses = Losses(source)
    sample = fiftyone.Sample(filepath=str(Path(source.video).absolute()))
    for shot in source.shots():
        frame = fiftyone.Frame()
        for kind in ("visible", "amodal"):
            found = [
                _detection(fiftyone, source, key, instance, getattr(instance, kind))
                for key, instance in shot.instances
                if getattr(instance, kind)
            ]
            frame[kind] = fiftyone.Detections(detections=found)
        sample.frames[shot.number + 1] = frame
    dataset = fiftyone.Dataset(name, persistent=True)
    dataset.add_sample(sample)
    return [*losses.lines(), f"FiftyOne has the data set {name!r}; see it with: fiftyone app launch {name}"]


def _detection(fiftyone: Any, source: Source, key: int | str, instance: Instance, mask: Mask) -> Any:
    (height, width), (x0, y0, x1, y1), rate = mask.size, mask.box, instance.occlusion
    return fiftyone.Detection(
        label=instance.category,
        bounding_box=[x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height],
        mask=mask.inside,
        confidence=instance.score,
        index=source.contents.tracks[key].number,
        track=str(key),
        state=str(instance.state),
        visible_share=None if rate is None else 1 - rate,
    )
