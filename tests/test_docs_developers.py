"""Commands of the pages for developers and researchers run, in their order, on miniatures and at toy lengths."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_up import image_of, passing_square, post, square
from samodal.data.asd import write_frame
from samodal.data.dataset import InstanceTruth
from samodal.drawing.video import VideoWriter
from samodal.frontends.detector import Detector, DetectorConfig
from samodal.frontends.detector.weights import save
from samodal.results.frames import read_frames
from samodal.rle import Rle
from samodal.trackers.cotracker import config
from test_datasets_sailvos import example
from test_datasets_sailvos import write as write_sailvos
from test_datasets_visible_json import WHOLE
from test_datasets_visible_json import write as write_visible
from test_docs import blocks
from test_training_tracker import dots, write_split
from tiny_cotracker import TINY, tiny
from toy_data import write_toy
from toy_kinscar import write_kinscar
from toy_pages import DOCS, README, programs, run_all

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("one_thread")]
FRAMES, STEP = 6, 13
SMALL_SAM = "--init '' --adapters keep --size tiny --epochs 0 --steps 1 --precision float32 --workers 1 --device cpu "


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder, and no way to fetch anything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def write_drive(root: Path) -> None:
    """A square that passes behind a post: `drive/`, `drive.mp4`, and its visible masks in `results.json`."""
    (root / "drive").mkdir()
    _, observed = passing_square(FRAMES, step=STEP)
    with VideoWriter(root / "drive.mp4", post().shape, 10.0) as video:
        for seen in observed:
            Image.fromarray(seen.frame.image).save(root / "drive" / f"{seen.frame.name}.png")
            video.write(seen.frame.image, seen.frame.time)
    masks = [next((one.mask.rle.to_coco() for one in seen.visible), None) for seen in observed]
    result = {"video_id": 1, "category_id": 1, "score": 0.9, "segmentations": masks}
    (root / "results.json").write_text(json.dumps([result]))


def write_street(root: Path) -> None:
    """A clip of the same square as StreetSim writes it, with points."""
    images, points = root / "images" / "front" / "one", root / "points" / "front"
    images.mkdir(parents=True)
    points.mkdir(parents=True)
    for t in range(FRAMES):
        car, seen = square(10 + STEP * t), square(10 + STEP * t) & ~post()
        Image.fromarray(image_of(t, car, post())).save(images / f"front_full_{t:04d}_rgb.png")
        shown = Rle.encode(seen) if seen.any() else None
        write_frame(
            root / "amodal_instance_seg/front/one", t, [InstanceTruth(7, "car", Rle.encode(car), shown)], car.shape
        )
    at = np.stack(np.meshgrid([3, 8, 12], [3, 8, 12]), -1).reshape(-1, 1, 2) + [10, 20]
    xy = (at + np.arange(FRAMES)[None, :, None] * [STEP, 0]).astype(np.float32)
    visible = ~post()[xy[..., 1].astype(int), np.minimum(xy[..., 0], 119).astype(int)] & (xy[..., 0] < 120)
    ids = np.full(9, 7, np.int32)
    np.savez(points / "one.npz", xy=xy, visible=visible, ids=ids, anchors=np.zeros(9, np.int32))


def test_the_parts_of_the_page_about_own_parts_run_from_the_command_line(place, capsys, monkeypatch):
    write_drive(place)
    for page, starts in (
        (README, ("# my_vis.py",)),
        (DOCS / "extend.md", ("# my_tracker.py", "# my_prompts.py", "# my_amodal.py")),
    ):
        for code in blocks(page, "python"):
            if code.startswith(starts):
                Path(code.split()[1]).write_text(code)
    (place / "src/samodal").mkdir(parents=True)
    write_street(place / "src/samodal/clip")
    monkeypatch.syspath_prepend(str(place))
    short = {r"--out \S+": r"\g<0> --overwrite --device cpu"}
    assert run_all(README, "my_vis", capsys, short) == 1
    assert run_all(DOCS / "extend.md", "", capsys, short) == 5
    found = read_frames(place / "runs/mine/frames.jsonl").results
    assert [len(result.instances) for result in found] == [1] * FRAMES


def test_the_data_sets_of_the_page_about_data_are_checked_run_scored_and_learned_from(place, capsys):
    pytest.importorskip("accelerate")
    write_sailvos(place / "ROOT", example())
    (place / "ROOT/train.json").write_bytes((place / "ROOT/valid.json").read_bytes())
    write_visible(place / "train", "ytvis", WHOLE["ytvis"]())
    write_visible(place / "data", "coco-vid", WHOLE["coco-vid"]())
    (place / "train/train.json").rename(place / "train.json")
    (place / "data/train.json").rename(place / "val.json")
    shutil.move(place / "data/JPEGImages", place / "pictures")
    (place / "data").rmdir()
    (place / "pictures").rename(place / "data")
    write_kinscar(place / "ROOT")
    changes = {
        "train --config asd-paper": f"train --config asd-paper {SMALL_SAM}",
        "train vis": "train vis --size mini --input 32x96 --steps 2 --batch 3 --held_out 1 --images 0.5 --longest 3 "
        "--stride 1 --device cpu --precision float32 --workers 1",
    }
    assert run_all(DOCS / "data.md", "sailvos|ytvis|coco-vid|kinscar", capsys, changes) == 11


def test_the_measurement_of_the_page_about_data_runs(place, capsys):
    pytest.importorskip("panda3d")
    for name in ("mine", "held"):
        write_toy(place / name, sequences=1, frames=2, seed=0)
        for path in sorted((place / name).rglob("toy_0000")):
            path.rename(path.with_name(name))
    changes = {r"--first \$k --count 1": "--first 13 --count 1 --height 36 --width 64", "--vis videomt": "--vis truth"}
    assert run_all(DOCS / "data.md", "synth|streetsim:(mine|held)", capsys, changes) == 4
    assert (place / "final/mine.safetensors").exists() and list((place / "data/test/images/front").iterdir())


def test_many_videos_run_in_every_way_of_the_page_about_fleets(place, capsys):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    write_drive(place)
    for folder in ("drives", "day1", "day2"):
        (place / folder).mkdir()
        shutil.copy("drive.mp4", place / folder / f"{folder}.mp4")
    names = [f"day{n}/day{n}.mp4" for n in (1, 2)]
    (place / "videos.txt").write_text("\n".join(names))
    pandas.DataFrame({"video": names}).to_parquet("videos.parquet")
    changes = {
        r"--workers 8": "",
        r"--device cuda --out /shared/fleet": "--out runs/shards",
        r"\$SLURM_ARRAY_TASK_ID/16": "1/1",
        r"(samodal run .*)": r"\1 --workers 1 --method copy-visible --no-overlay --device cpu",
    }
    assert run_all(DOCS / "fleet.md", "", capsys, changes) == 6
    assert len(list((place / "runs/fleet").glob("*/tracks.json"))) == 3
    assert len(list((place / "runs/shards").glob("*/tracks.json"))) == 2


def test_detector_and_cutter_are_trained_as_the_page_about_real_video_says(place, capsys):
    write_drive(place)
    for kind in ("images", "photos/images", "photos/masks"):
        (place / kind).mkdir(parents=True)
    picture = np.full((60, 100, 3), 90, np.uint8)
    picture[20:50, 20:60] = (220, 30, 30)
    for name in ("a1", "b0"):
        Image.fromarray(picture).save(place / "images" / f"{name}.png")
    mask = np.zeros((60, 100), np.uint8)
    mask[20:50, 20:60] = 255
    Image.fromarray(picture).save(place / "photos/images/p.png")
    Image.fromarray(mask).save(place / "photos/masks/p.png")
    outline = {"bbox": [20, 20, 40, 30], "segmentation": [[20, 20, 60, 20, 60, 50, 20, 50]], "category_id": 1}
    for file, kind in (("street", "car"), ("people", "person")):
        (place / f"{file}.json").write_text(json.dumps({
            "images": [{"id": n, "file_name": f"{name}.png"} for n, name in ((1, "a1"), (2, "b0"))],
            "annotations": [outline | {"id": n, "image_id": n} for n in (1, 2)],
            "categories": [{"id": 1, "name": kind}],
        }))  # fmt: skip
    save(Detector.initialise(DetectorConfig(width=0.125), 0), place / "start.safetensors")
    small = "--side 100 --batch 4 --precision float32 --workers 1 --device cpu --warmup 1 --held_out_names b0.*"
    changes = {
        "--init yolox_nano.pth": "--init start.safetensors",
        "train detector": f"train detector {small} --size 64x128",
        "train cutter": f"train cutter {small} --crop 32 --width 8",
        "run drive.mp4": "run drive.mp4 --device cpu --no-overlay",
    }
    assert run_all(DOCS / "real-video.md", "street.json|detector:", capsys, changes) == 3


def test_savos_is_trained_run_and_drawn_as_its_page_says(place, capsys, monkeypatch):
    pytest.importorskip("panda3d")
    write_toy(place / "toy", sequences=3, frames=8, seed=0)
    (place / "data").mkdir()
    shutil.copytree("toy", "data/test")
    changes = {
        r"synth --out data (.*) --height 270 --width 480": r"synth --out rendered \1 --count 1 --height 36 --width 64",
        "streetsim:data/tracks": "streetsim:toy",
        "--clips 400": "--clips 3",
        r"(chewing-gum:\w+)(,\d+)?": r"\1,2",
        r"train savos (?!.*--device)": "train savos --held_out 1 --batch 2 --length 4 --device cpu --workers 1 "
        "--min_length 4 --min_area 16 ",
        "train savos": "train savos --log_every 1",
        r"run --data streetsim": "run --device cpu --no-overlay --data streetsim",
    }
    assert run_all(DOCS / "savos.md", "", capsys, changes) == 6
    (line,) = programs(DOCS / "savos.md")
    _, path, *words = line.split()
    (place / "docs/results").mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", [path, *words])
    runpy.run_path(str(DOCS.parent / path), run_name="__main__")
    assert (place / words[-1]).read_text().startswith("<svg")


def test_point_trackers_are_trained_as_the_page_of_results_says(place, capsys, monkeypatch):
    pytest.importorskip("panda3d")
    for name in ("mini", "fine"):
        monkeypatch.setitem(config.SIZES, name, TINY)
    write_split(place / "data/tracks", dots(clips=3))
    tiny().save(place / "warm.safetensors")
    (place / "images").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)).save(place / "images/a.png")
    car = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 20, 90, 60]}
    kinds = [{"id": 1, "name": "car"}]
    pictures = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [car], "categories": kinds}
    (place / "PICTURES.json").write_text(json.dumps(pictures))
    outline = {"category_id": 3, "segmentation": [[0, 0, 90, 0, 90, 60, 0, 60]]}
    (place / "silhouettes.json").write_text(json.dumps({"silhouettes": [outline]}))
    changes = {
        "--out data": "--out rendered",
        "--count 1000 --height 288 --width 512": "--count 1 --height 36 --width 64",
        r"--clips 150": "--clips 3",
        r"--size (\w+)": r"--size \1 --name \1",
        r"--stills 1000": "--stills 2 --name stills",
        r"train tracker": "train tracker --out runs/tracker --precision float32 --workers 1 --device cpu --batch 2 "
        "--instances 2 --points 4",
    }
    assert run_all(DOCS / "results.md", "train tracker|split tracks", capsys, changes) == 4
