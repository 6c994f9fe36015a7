"""Toy files of every reader, and how each is read."""

import contextlib
import functools
import io
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import av
import numpy as np
import torch
from PIL import Image

import test_datasets_coco
import test_datasets_cocoa
import test_datasets_kitti_mots
import test_datasets_sailvos
import test_datasets_visible_json
import toy_kinscar
from made_up import Oracle, passing_square, square
from samodal.checkpoints.files import SHIPPED, read_state_dict
from samodal.cli.app import main
from samodal.data.kitti_boxes import read_kitti_boxes
from samodal.data.open import open_dataset
from samodal.data.pickles import read_pickle
from samodal.exports.convert import convert
from samodal.files import named
from samodal.method.pipeline import Pipeline
from samodal.method.rules import PRESETS
from samodal.metrics.evaluate import ScoringRules, evaluate
from samodal.results import tracks_json
from samodal.results.boxes_files import read_boxes
from samodal.results.frames import FramesWriter, read_frames
from samodal.results.open import open_visible
from samodal.rle import Rle
from samodal.runs.state import read_state, write_state
from samodal.trackers.lucas_kanade import LucasKanade
from samodal.trackers.still import Still
from samodal.trackers.velocity import Velocity
from samodal.tracks import Clip, FrameResult, Instance, State
from samodal.video import open_video
from toy_data import write_toy
from toy_kins import write_kins

SIZE, LENGTH = (40, 60), 3
WRITTEN = "out"
"""The only folder that a target may write into."""


class Unexpected(Exception):
    """A reader's result that cannot be right."""


@dataclass(frozen=True)
class Target:
    """Files and what reads them.

    Attributes:
        name: in reports.
        files: that are damaged, one for each input.
        read: raises InputError for files that are refused.
        quick: whether it takes few milliseconds.
    """

    name: str
    files: tuple[Path, ...]
    read: Callable[[], object]
    quick: bool = True


def coded(x0: int, x1: int) -> dict:
    mask = np.zeros(SIZE, bool)
    mask[10:30, x0:x1] = True
    return Rle.encode(mask).to_coco()


def visible_files() -> dict[str, object]:
    """One video of three frames in the form of every reader of results."""
    empty, box = Rle.encode(np.zeros(SIZE)).to_coco(), [[20, 10, 40, 10, 40, 30, 20, 30]]
    plain = {"size": list(SIZE), "counts": [410, 20, 20, 20, 1930]}
    vertices = {"vertices": [[20, 10], [40, 10], [40, 30], [20, 30]], "types": "LCCL", "closed": True}
    masks = {0: coded(10, 30), 1: coded(12, 32), 2: plain}
    coco_vid = test_datasets_visible_json.coco_vid()
    coco_vid["images"] = [image for image in coco_vid["images"] if image["video_id"] == 1]
    return {
        "genvis.json": [
            {"video_id": 1, "category_id": 26, "score": 0.9, "segmentations": [coded(10, 30), empty, plain]},
            {"video_id": 1, "category_id": 24, "score": 0.5, "segmentations": [None, box, None]},
        ],
        "ytvis.json": {
            "videos": [{"id": 1, "name": "v", "width": 60, "height": 40, "length": 3, "labelled": [0, 2]}],
            "annotations": [
                {"id": 4, "video_id": 1, "category_id": 26, "iscrowd": 0, "segmentations": [coded(10, 30), None, box],
                 "areas": [400, None, 400], "bboxes": [[10, 10, 20, 20], None, [20, 10, 20, 20]],
                 "occlude_rate": [0.2, None, 0.5]},
                {"id": 5, "video_id": 1, "category_id": 24, "iscrowd": 1, "segmentations": [None, plain, None]},
            ],
            "categories": [{"id": 26, "name": "car"}, {"id": 24, "name": "person"}],
        },
        "scalabel.json": [
            {"name": f"{t}.jpg", "videoName": "v", "frameIndex": t, "labels": [
                {"id": "7", "category": "car", "rle": masks[t], "box2d": {"x1": 1}, "score": 0.5},
                {"id": "a", "category": "person", "poly2d": [vertices]}]} for t in range(LENGTH)
        ],
        "mmtracking.json": {
            "track_bboxes": [[[], [[3, 0, 1, 2, 3, 0.75]]], [[[1, 0, 0, 9, 9, 0.5]], []], [[], []]],
            "track_masks": [[[], [coded(0, 20)]], [[coded(30, 40)], []], [[], []]],
        },
        "coco_vid.json": coco_vid,
        "mots.txt": "".join(f"{t} 1001 1 40 60 {coded(10 + t, 30)['counts']}\n" for t in range(LENGTH))
        + f"1 10000 10 40 60 {coded(50, 60)['counts']}\n",
    }  # fmt: skip


def image_files() -> dict[str, object]:
    """Truth and results of two images in COCO's form."""
    return {
        "truth.json": {
            "images": [{"id": n, "file_name": f"drive/{n}.png", "height": 40, "width": 60} for n in (1, 2)],
            "categories": [{"id": 26, "name": "car"}],
            "annotations": [
                {"id": n, "image_id": n, "category_id": 26, "iscrowd": n - 1, "area": 400, "track_id": 7,
                 "segmentation": coded(10, 30), "visible_segmentation": coded(10, 20), "occlude_rate": 0.5,
                 "bbox": [10, 10, 20, 20]} for n in (1, 2)
            ],
        },
        "results.json": [
            {"image_id": n, "category_id": 26, "score": 0.5, "segmentation": coded(8, 30), "bbox": [8, 10, 22, 20]}
            for n in (1, 2)
        ],
    }  # fmt: skip


def results() -> list[FrameResult]:
    """A car, visible and then hidden."""
    visible, amodal = (Rle.from_coco(coded(10, end), SIZE) for end in (20, 30))
    points = np.array([[12.5, 15.0], [np.nan, np.nan]], np.float32)
    seen = Instance(3, "car", 0.5, State.VISIBLE, visible, amodal, points, expected_iou=0.75)
    hidden = Instance(3, "car", 0.4, State.HIDDEN, None, amodal, None, points, 1, 0.1, spread=np.ones(4, np.float32))
    return [FrameResult(t, t / 10, (seen if t < 2 else hidden,)) for t in range(LENGTH)]


def put(folder: Path, name: str, content: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


def command(folder: Path, *arguments: str) -> Callable[[], None]:
    """A command whose exit code and messages are looked at."""
    two = arguments[0] == "evaluate"

    def run() -> None:
        shutil.rmtree(folder / WRITTEN, ignore_errors=True)
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = main(list(arguments))
        lines = errors.getvalue().strip().splitlines()
        # What does not fit two files is said of both, without their names.
        named = code != 2 or (lines[-1].startswith("samodal ") and (two or str(folder.parent) in lines[-1]))
        if code not in (0, 1, 2) or not named:
            raise Unexpected(f"exit code {code}: {' / '.join(lines[-3:])[:300]}")
        if code == 1 and "broken" not in out.getvalue():
            raise Unexpected("exit code 1 without anything broken")

    return run


def checked_clip(path: Path) -> None:
    """Read visible tracks and see that they are what a clip may be."""
    clip = open_visible(path, "v", SIZE, None if path.suffix == ".txt" else LENGTH)
    for track in clip.tracks:
        scores = [track.score, *track.scores]
        if not isinstance(track.id, int | str) or not isinstance(track.category, str):
            raise Unexpected(f"track {track.id!r} of class {track.category!r}")
        if not all(score is None or (isinstance(score, int | float) and 0 <= score <= 1) for score in scores):
            raise Unexpected(f"scores {scores}")
        if any(mask is not None and mask.decode().shape != SIZE for mask in track.visible):
            raise Unexpected("a mask of another size")


def scored(results: Path, truth: Path, rules: ScoringRules) -> None:
    """Evaluate, and see that what is no mean over nothing lies in [0, 1]."""
    metrics = evaluate(results, truth, rules)["metrics"]
    if "image" in metrics:  # clips are scored by level
        metrics = {f"{level} {name}": value for level, of in metrics.items() for name, value in of.items()}
    odd = {name: value for name, value in metrics.items() if value is not None and not 0 <= value <= 1}
    if odd:
        raise Unexpected(f"scores {odd}")


def every_label(data: str) -> None:
    """Read all that a data set holds, strictly."""
    for video in open_dataset(data):
        truth = video.truth
        if truth is not None and len(truth) != video.length:
            raise Unexpected(f"truth of {len(truth)} frames, not {video.length}")
        for frame in video:
            if frame.image.shape[:2] != tuple(video.size) or not frame.time >= 0:
                raise Unexpected(f"a frame of {frame.image.shape} at {frame.time}")


def targets(root: Path) -> list[Target]:
    """Write the toy files below `root`; all readers of the package."""
    makers = (result_targets, export_targets, dataset_targets, video_targets, state_targets, other_targets)
    return [target for make in makers for target in make(root)]


def result_targets(root: Path) -> list[Target]:
    found = []
    frames = root / "video"
    frames.mkdir(parents=True)
    for t in range(LENGTH):
        Image.fromarray(np.full((*SIZE, 3), 40 * t, np.uint8)).save(frames / f"{t:06d}.png")
    vis = root / "vis"
    truth = put(root / "truth", "truth.json", visible_files()["ytvis.json"])
    clip_run = ["run", str(frames), "--method", "copy-visible", "--no-overlay", "--out", str(vis / WRITTEN), "--vis"]
    paths = [put(vis, name, content) for name, content in visible_files().items()]
    with FramesWriter(vis / "run" / "frames.jsonl", "v", SIZE, {"a": 1}) as writer:
        for result in results():
            writer.write(result)
    paths.append(vis / "run" / "frames.jsonl")
    clip = read_frames(paths[-1]).tracks()
    for name, most in (("tracks.json", tracks_json.LARGEST_DENSE), ("sparse.json", 0)):
        with mock.patch.object(tracks_json, "LARGEST_DENSE", most):
            tracks_json.write_tracks(vis / name, Clip("v", SIZE, clip.frames, clip.tracks))
        paths.append(vis / name)
    pictures = vis / "pictures"
    pictures.mkdir()
    for t in range(LENGTH):
        ids = np.zeros(SIZE, np.uint16)
        ids[10:30, 10 + t : 30] = 1001
        Image.fromarray(ids).save(pictures / f"{t:06d}.png")
    for path in [*paths, pictures]:
        files = tuple(sorted(path.iterdir())) if path.is_dir() else (path,)
        found.append(Target(f"vis {path.name}", files, lambda path=path: checked_clip(path)))
        found.append(Target(f"run --vis {path.name}", files, command(vis, *clip_run, f"file:{path}"), False))
    evaluate = root / "evaluate"
    images = [put(evaluate, name, content) for name, content in image_files().items()]
    pairs = {"images": images[::-1], "videos": [vis / "genvis.json", truth], "tracks": [vis / "tracks.json", truth]}
    pairs["sparse"] = [vis / "sparse.json", truth]
    visible = {"scalabel": [vis / "scalabel.json"] * 2, "mots": [vis / "mots.txt"] * 2}  # masks that these hold
    for name, (result, true) in (pairs | visible).items():
        arguments = ["evaluate", str(result), "--truth", str(true), "--profile", "strict", "--masks"]
        for masks in ("visible",) if name in visible else ("amodal", "visible"):
            found.append(
                Target(f"evaluate {name} {masks}", (result, true), command(evaluate, *arguments, masks), False)
            )
            rules = ScoringRules("strict", masks)
            read = functools.partial(scored, result, true, rules)
            found.append(Target(f"score {name} {masks}", (result, true), read))
    run = command(evaluate, "evaluate", str(vis / "run"), "--truth", str(truth), "--masks", "visible")
    return [*found, Target("evaluate run", (vis / "run" / "frames.jsonl", truth), run, False)]


def export_targets(root: Path) -> list[Target]:
    """A run that is converted, and files of CVAT that are read back."""
    run, found = root / "exported", []
    with FramesWriter(run / "frames.jsonl", "v", SIZE, {"fps": 10.0}) as writer:
        for result in results():
            writer.write(result)
    paths = [run / "frames.jsonl"]
    for name in ("cvat", "cvat-masks"):
        paths.append(run / f"{name}.xml")
        list(convert(run, f"{name}:{paths[-1]}"))
    for path in paths:
        formats = ",".join(f"{name}:{run / WRITTEN / name}" for name in ("coco", "mots", "cvat", "png"))
        flags = ["--from", "cvat"] if path.suffix == ".xml" else []
        found.append(
            Target(f"convert {path.name}", (path,), command(run, "convert", str(path), "--to", formats, *flags))
        )
    return found


def dataset_targets(root: Path) -> list[Target]:
    """Every kind of data set, read by `data check` and strictly."""
    kinds = ("coco", "cocoa", "sailvos", "sailvos-cut", "ytvis", "coco-vid", "kins", "mots")
    made = {kind: root / kind for kind in kinds}
    for folder in made.values():
        folder.mkdir()
    visible = test_datasets_visible_json
    cocoa = {
        "images": [{"id": 9, "file_name": f"{test_datasets_cocoa.NAME}.jpg", "height": 20, "width": 30}],
        "annotations": [
            {"id": 1, "image_id": 9, "regions": [dict(test_datasets_cocoa.TABLE), dict(test_datasets_cocoa.CUP)]}
        ],
    }
    example = test_datasets_coco.example()
    example["annotations"].append(dict(example["annotations"][0], id=99, iscrowd=1))
    data = {
        "coco": test_datasets_coco.write(made["coco"], example),
        "cocoa": test_datasets_cocoa.write(made["cocoa"], cocoa),
        "sailvos": test_datasets_sailvos.write(made["sailvos"], test_datasets_sailvos.example()),
        "sailvos-cut": test_datasets_sailvos.write(made["sailvos-cut"], test_datasets_sailvos.example()),
        "ytvis": visible.write(made["ytvis"], "ytvis", visible.ytvis()),
        "coco-vid": visible.write(made["coco-vid"], "coco-vid", visible.coco_vid()),
        "kins": write_kins(made["kins"], 2, 1, sizes=((12, 16),)),
        "kinsold": write_kins(root / "kinsold", 2, 1, "old", ((12, 16),)),
        "kinscar": toy_kinscar.write_kinscar(root / "kinscar"),
        "mots": test_datasets_kitti_mots.write(made["mots"]),
        "motspictures": test_datasets_kitti_mots.write_pictures(root / "motspictures"),
        "asd": write_toy(root / "asd", 1, 2, 1, (12, 16)),
    }
    data["sailvos-cut"] = data["sailvos-cut"].replace("sailvos:", "sailvos-cut:")
    put(made["sailvos-cut"], "sailvos_cut_structure.json", {"ah_1_mcs_1__5": ["000003.bmp", "000004.bmp", "000005.bmp"],
        "fbi_3_int__0": ["000003.bmp"]})  # fmt: skip
    found = []
    for name, text in data.items():
        files = sorted(path for path in (root / name).rglob("*") if path.is_file())
        labels = [path for path in files if path.suffix in (".json", ".txt", ".pkl")]
        pictures = [path for path in files if path not in labels]
        for kind, chosen in (("labels", labels or pictures), ("pictures", pictures)):
            run = command(root / name, "data", "check", text)
            found.append(Target(f"data check {name} {kind}", tuple(chosen), run, False))
            found.append(Target(f"open {name} {kind}", tuple(chosen), lambda text=text: every_label(text)))
    return found


def video_targets(root: Path) -> list[Target]:
    """Videos of some containers, and a folder of pictures."""
    found = []
    for name, codec in (("a.mp4", "libx264"), ("a.mkv", "mpeg4"), ("a.avi", "mjpeg"), ("a.webm", "libvpx")):
        path = root / "films" / name
        path.parent.mkdir(exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.height, stream.width = SIZE
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for t in range(LENGTH):
                frame = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 40 * t, np.uint8), "rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        found.append(Target(f"video {name}", (path,), lambda path=path: every_frame(path)))
    pictures = root / "pictures"
    pictures.mkdir()
    for t, suffix in enumerate((".png", ".jpg", ".bmp", ".webp", ".tif")):
        Image.fromarray(np.full((*SIZE, 3), 40 * t, np.uint8)).save(pictures / f"{t}{suffix}")
    return [*found, Target("folder", tuple(sorted(pictures.iterdir())), lambda: every_frame(pictures))]


def every_frame(source: Path) -> None:
    last = -1.0
    with contextlib.redirect_stderr(io.StringIO()):
        for frame in open_video(str(source)):
            if frame.image.ndim != 3 or not frame.time >= last:
                raise Unexpected(f"a frame of {frame.image.shape} at {frame.time} after {last}")
            last = frame.time


def state_targets(root: Path) -> list[Target]:
    """The saved state of an interrupted run, with each tracker that needs no weights."""
    observed = passing_square(14)[1]
    found = []
    for name, tracker in (("still", Still), ("lucas_kanade", LucasKanade), ("velocity", Velocity)):
        pipeline = Pipeline(Oracle([[square(10)]] * 14), tracker(), PRESETS["default"])
        for seen in observed[:12]:
            pipeline.step(seen.frame.image, seen.visible, seen.frame.time)
        path = root / "states" / f"{name}.state"
        path.parent.mkdir(exist_ok=True)
        write_state(path, pipeline.state_dict())
        found.append(Target(f"state {name}", (path,), functools.partial(go_on, path, pipeline, observed)))
    return found


def go_on(path: Path, pipeline: Pipeline, observed: list) -> None:
    """Take a state over, and go on by two frames."""
    state = read_state(path)
    with named(str(path)):
        pipeline.load_state_dict({} if state is None else state)
        for seen in observed[12:]:
            pipeline.step(seen.frame.image, seen.visible, max(seen.frame.time, pipeline.time + 0.1))


def box_targets(folder: Path) -> list[Target]:
    """Boxes of detectors and trackers, in every form."""
    contents = {
        "mot.txt": "".join(f"{t},{n},10.5,20,30,15,0.75,3,1\n" for t in (1, 2) for n in (1, 2)),
        "det.csv": "1,-1,10.5,20,30,15,0.75,-1,-1,-1\n1,-1,12,2,3,15,-1,-1,-1,-1\n",
        "label.txt": "0 -1 DontCare -1 -1 -10 0 0 9 9\n"
        + "".join(f"0 {n} Car 0 0 -1.5 10 20.5 30 40 1 2 3 4 5 6 7 0.5\n" for n in "12"),
        "coco.json": [{"image_id": t, "category_id": 3, "bbox": [1, 2, 30.5, 9], "score": 0.5} for t in range(3)],
        "tao.json": [
            {"image_id": t, "category_id": 1, "bbox": [1, 2, 3, 9], "score": 0.5, "track_id": 4, "video_id": t % 2}
            for t in range(3)
        ],
    }
    paths = [put(folder, name, content) for name, content in contents.items()]
    return [Target(f"boxes {path.name}", (path,), functools.partial(checked_boxes, path)) for path in paths]


def checked_boxes(path: Path) -> None:
    """Read boxes and see that they are what a frame may hold."""
    boxes = read_boxes(path, 1)
    for box in (box for found in boxes.frames.values() for box in found):
        x0, y0, x1, y1 = box.corners
        if not (-1e6 <= x0 < x1 <= 3e6 and -1e6 <= y0 < y1 <= 3e6 and (box.score is None or 0 <= box.score <= 1)):
            raise Unexpected(f"a box {box}")
        if (box.id is not None) != boxes.tracked or not isinstance(box.id, int | str | None):
            raise Unexpected(f"id {box.id!r}")


def other_targets(root: Path) -> list[Target]:
    """Boxes, pickles and weights."""
    from samodal.baselines.savos import weights as savos
    from samodal.baselines.savos.config import SavosConfig
    from samodal.baselines.savos.model import Savos
    from samodal.frontends.centers import weights as centers
    from samodal.segmenters.completion import weights as completion
    from samodal.segmenters.sam import AmodalSam
    from samodal.segmenters.sam.config import SIZES
    from samodal.trackers.cotracker import CoTracker3
    from samodal.training.state import read_tensors
    from tiny_cotracker import tiny

    folder = root / "weights"
    boxes = put(root / "boxes", "0000.txt", "".join(f"0 {n} Car 0 0 -1.5 10 20.5 30 40 1 2 3 4 5 6 7\n" for n in "12"))
    pickled = root / "plain.pkl"
    pickled.write_bytes(pickle.dumps({"a": [1, 2.5, "x", b"y"], "b": np.arange(4), "c": np.float64(2)}, 2))
    folder.mkdir()
    tensors = {"a.weight": torch.ones(2, 3), "b": torch.zeros(1)}
    torch.save({"model": tensors, "epoch": 3, "best": np.float64(0.5)}, folder / "plain.pth")
    torch.save({"settings": {"lr": 0.1}, "model": tensors, "step": 2}, folder / "state.pt")
    savos.save(Savos(SavosConfig((2,) * 6, (2,) * 6, 4)), folder / "savos.safetensors")
    AmodalSam.initialise(SIZES["tiny"], seed=0).save(folder / "sam.safetensors")
    tiny(0).save(folder / "cotracker.safetensors")
    for name in ("centers", "completion"):
        source = next(path for path in sorted(SHIPPED.glob("*.safetensors")) if name[:6] in path.name)
        shutil.copy(source, folder / f"{name}.safetensors")
    loaders = {
        "plain.pth": read_state_dict,
        "state.pt": read_tensors,
        "savos.safetensors": savos.load,
        "centers.safetensors": centers.load,
        "completion.safetensors": completion.load,
        "cotracker.safetensors": CoTracker3.from_checkpoint,
        "sam.safetensors": AmodalSam.from_checkpoint,
    }
    found = [
        *box_targets(root / "boxes"),
        Target("kitti boxes", (boxes,), lambda: read_kitti_boxes(boxes)),
        Target("pickle", (pickled,), lambda: read_pickle(pickled)),
        Target("sam plain.pth", (folder / "plain.pth",), lambda: AmodalSam.from_checkpoint(folder / "plain.pth")),
    ]
    for name, load in loaders.items():
        quick = not name.endswith("safetensors")
        found.append(Target(f"weights {name}", (folder / name,), functools.partial(load, folder / name), quick))
    return found
