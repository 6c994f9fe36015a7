"""Writes StreetSim in AmodalSynthDrive's own layout, so that the same reader reads both."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from samodal.data.asd import InstanceTruth, frame_stem, write_frame
from samodal.data.streetsim import camera_file
from samodal.errors import InputError
from samodal.executors import Executor, Retrying, executor_for, results
from samodal.files import read_json
from samodal.outputs import locked, make_folder, writing
from samodal.sim.flow import write_flow
from samodal.sim.layout import scene as lay_out
from samodal.sim.motion import forward_flow, point_tracks
from samodal.sim.point_files import points_file
from samodal.sim.render import frames
from samodal.sim.splits import SPLITS, sequences, split_of
from samodal.sim.stage import Stage

QUALITY = 70
"""Of the JPEG images."""


def write_split(
    root: Path,
    split: str,
    *,
    first: int = 0,
    count: int | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    size: tuple[int, int] = (540, 960),
    flow: bool = False,
    points: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Render sequences of a split into `<root>/<split>/`; finished sequences are kept.

    Args:
        root: folder of the data set.
        split: a name in `samodal.sim.splits.SPLITS`.
        first, count: which sequences, by their place in the split; count None means all that follow.
        workers: processes.
        executor: does the work in their place, as on a cluster.
        size: (H, W) in pixels.
        flow, points: write the side files too, see `write_sequence`.
        progress: called with (finished frames, all frames).

    Returns:
        The names of the sequences that are there now.

    Raises:
        InputError: if there is no such split or sequence, a sequence is there in another size, Panda3D is not
            installed, or the disk is full.
    """
    if first >= len(sequences(split)):
        raise InputError(f"StreetSim's split {split} has {len(sequences(split))} sequences, so none from {first} on")
    names = list(sequences(split)[first : None if count is None else first + count])
    folder, length = Path(root) / split, SPLITS[split].frames
    make_folder(folder)
    missing = [name for name in names if not _finished(folder, name, size, flow, points)]
    finished = length * (len(names) - len(missing))
    report = progress or (lambda done, total: None)
    report(finished, length * len(names))
    # A disk that is full for one is full for all: the first failure ends the work.
    executor = executor or executor_for("processes", workers, len(missing))
    for _ in results(Retrying(executor), partial(_write_or_tell, folder, (size, flow, points)), missing):
        finished += length
        report(finished, length * len(names))
    return names


def _write_or_tell(folder: Path, settings: tuple, name: str) -> None:
    size, flow, points = settings
    try:
        with locked(folder / f".{name}.lock", f"{folder}: {name}"):
            if not _finished(folder, name, size, flow, points):  # by another process, meanwhile
                write_sequence(folder, name, size, flow, points)
    except OSError as error:
        raise InputError(f"{folder}: cannot write: {error.strerror or error}; finished sequences are kept") from error


def _finished(folder: Path, name: str, size: tuple[int, int], flow: bool, points: bool) -> bool:
    """Whether a sequence and its side files are there.

    Raises:
        InputError: if it is there in another size.
    """
    sides = [_flow_file(folder, name, split_of(name).frames - 2)] * flow + [points_file(folder, name)] * points
    return _written(folder, name, size) and all(path.exists() for path in sides)


def _written(folder: Path, name: str, size: tuple[int, int]) -> bool:
    """Whether images and masks of a sequence are there: its camera file, which is written last, says their size."""
    marker = camera_file(folder, name)
    try:
        before = tuple(read_json(marker)["size"])
    except (InputError, KeyError, TypeError):
        return False
    if before != size:
        raise InputError(
            f"{folder}: {name} is there with {before[0]}x{before[1]} pixels (height x width), not {size[0]}x{size[1]}; "
            "give the same --height and --width, or another --out"
        )
    return True


def _flow_file(folder: Path, name: str, t: int) -> Path:
    return folder / "flow" / "front" / name / f"{frame_stem(t)}_flow.png"


def write_sequence(folder: Path, name: str, size: tuple[int, int], flow: bool = False, points: bool = False) -> None:
    """Render a sequence into the folder of its split.

    Writes `images/front/<name>/front_full_%04d_rgb.jpg`, `amodal_instance_seg/front/<name>/…_aminseg.json` and
    `.png`; with `flow` also `flow/front/<name>/front_full_%04d_flow.png` of every frame but the last, see
    `samodal.sim.flow`; with `points` also `points/front/<name>.npz` with the arrays of
    `samodal.sim.point_files.PointTracks`; and last `camera/front/<name>.json` with size, seconds and camera per frame.
    """
    images = folder / "images" / "front" / name
    masks = folder / "amodal_instance_seg" / "front" / name
    for place in (images, camera_file(folder, name).parent):  # readers see by the latter that it is not finished
        place.mkdir(parents=True, exist_ok=True)
    cameras, truth, written = [], [], _written(folder, name, size)
    for frame in frames(name, size):
        if not written:  # else only side files are wanted; what is finished is not touched
            Image.fromarray(frame.image).save(images / f"{frame_stem(frame.t)}_rgb.jpg", quality=QUALITY)
            rows = [InstanceTruth(i.id, i.category, i.amodal, i.visible, i.depth_order) for i in frame.instances]
            write_frame(masks, frame.t, rows, size)
        cameras.append({"t": frame.t, "time": frame.time, **frame.camera})
        truth.append(frame.instances)
    if flow or points:
        stage = Stage(lay_out(name), size)
        try:
            _write_sides(stage, folder, name, truth, flow, points)
        finally:
            stage.close()
    if not written:
        _write_whole(camera_file(folder, name), json.dumps({"size": list(size), "frames": cameras}).encode())


def _write_sides(stage: Stage, folder: Path, name: str, truth: list, flow: bool, points: bool) -> None:
    if points:
        _write_whole(points_file(folder, name), point_tracks(stage, truth).to_npz())
    for t in range(len(truth) - 1 if flow else 0):
        path = _flow_file(folder, name, t)
        with writing(path) as partial:
            write_flow(partial, *forward_flow(stage, t))


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there completely or not at all."""
    with writing(path) as partial:
        partial.write_bytes(data)
