"""Writes StreetSim in AmodalSynthDrive's own layout, so that one reader reads both."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from samodal.errors import InputError
from samodal.formats.asd import InstanceTruth, frame_stem, write_frame
from samodal.sim.splits import SPLITS, sequences

QUALITY = 70
"""Of the JPEG images."""


def write_split(
    root: Path,
    split: str,
    *,
    first: int = 0,
    count: int | None = None,
    workers: int = 1,
    size: tuple[int, int] = (540, 960),
    flow: bool = False,
    points: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Render sequences of a split into `<root>/<split>/`; finished ones are kept.

    Args:
        root: folder of the data set.
        split: one of `samodal.sim.splits.SPLITS`.
        first, count: which sequences, by their place in the split; count None means all that follow.
        workers: processes.
        size: (H, W) in pixels.
        flow, points: write the side files too, see `write_sequence`.
        progress: called with (finished frames, all frames).

    Returns:
        The names of the sequences that are there now.

    Raises:
        InputError: if there is no such split or sequence, Panda3D is not installed, or the disk is full.
    """
    if first >= len(sequences(split)):
        raise InputError(
            f"StreetSim's split {split} has {len(sequences(split))} sequences, so none from {first} on"
        )
    names = list(sequences(split)[first : None if count is None else first + count])
    folder, length = Path(root) / split, SPLITS[split].frames
    missing = [name for name in names if not _marker(folder, name).exists()]
    finished = length * (len(names) - len(missing))
    report = progress or (lambda done, total: None)
    report(finished, length * len(names))
    try:
        for _ in _each(folder, missing, workers, (size, flow, points)):
            finished += length
            report(finished, length * len(names))
    except OSError as error:
        raise InputError(
            f"{folder}: cannot write: {error.strerror or error}; finished sequences are kept"
        ) from error
    return names


def _each(folder: Path, names: list[str], workers: int, settings: tuple):
    """Write sequences one after the other, or in processes that start afresh."""
    if workers <= 1 or len(names) <= 1:
        for name in names:
            write_sequence(folder, name, *settings)
            yield name
        return
    with ProcessPoolExecutor(min(workers, len(names)), mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(write_sequence, folder, name, *settings) for name in names]
        try:
            for job in as_completed(jobs):
                job.result()
                yield job
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _marker(folder: Path, name: str) -> Path:
    """The camera file, written last: it says that a sequence is complete."""
    return folder / "camera" / "front" / f"{name}.json"


def write_sequence(
    folder: Path, name: str, size: tuple[int, int], flow: bool = False, points: bool = False
) -> None:
    """Render one sequence into the folder of its split.

    Writes `images/front/<name>/front_full_%04d_rgb.jpg`, `amodal_instance_seg/front/<name>/…_aminseg.json` and
    `.png`, and `camera/front/<name>.json` with size, seconds and camera per frame.
    """
    from samodal.sim.render import frames

    images = folder / "images" / "front" / name
    masks = folder / "amodal_instance_seg" / "front" / name
    images.mkdir(parents=True, exist_ok=True)
    cameras = []
    for frame in frames(name, size):
        Image.fromarray(frame.image).save(images / f"{frame_stem(frame.t)}_rgb.jpg", quality=QUALITY)
        truth = [InstanceTruth(o.id, o.category, o.amodal, o.visible, o.depth_order) for o in frame.instances]
        write_frame(masks, frame.t, truth, size)
        cameras.append({"t": frame.t, "time": frame.time, **frame.camera})
    marker = _marker(folder, name)
    marker.parent.mkdir(parents=True, exist_ok=True)
    draft = marker.with_suffix(".part")
    draft.write_text(json.dumps({"size": list(size), "frames": cameras}), encoding="utf-8")
    os.replace(draft, marker)
