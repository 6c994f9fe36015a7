"""COCO-VID and YouTube-VIS JSON as data sets with visible masks alone, on miniatures and on published samples."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from damage import change, refusals, twice
from samodal.cli.app import main
from samodal.data.open import open_dataset, several
from samodal.errors import InputError
from samodal.rle import Rle

SIZE = (40, 60)
REAL = Path(__file__).parents[2] / "shared" / "real" / "formats"
CATEGORIES = [{"id": 1, "name": "sedan", "supercategory": "object"}, {"id": 5, "name": "person"}]


def box(x0: int, x1: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[10:30, x0:x1] = True
    return mask


CODED = Rle.encode(box(10, 30)).to_coco()
PLAIN = {"size": [40, 60], "counts": [410, 20, 20, 20, 1930]}
"""Columns 10 and 11, uncompressed."""
POLYGON = [[20, 10, 40, 10, 40, 30, 20, 30]]
EMPTY = Rle.encode(np.zeros(SIZE)).to_coco()


def ytvis() -> dict:
    """Two videos; in the first a car is absent in the middle frame, as run lengths of two kinds, a person a polygon."""
    names = [f"0043f083b5/{n:05d}.jpg" for n in range(3)]
    return {
        "videos": [
            {"id": 1, "width": 60, "height": 40, "length": 3, "file_names": names},
            {"id": 2, "width": 60, "height": 40, "length": 1, "file_names": ["00ad5016a4/00000.jpg"]},
        ],
        "annotations": [
            {"id": 4, "video_id": 1, "category_id": 1, "iscrowd": 0, "segmentations": [CODED, None, PLAIN],
             "areas": [400, None, 40], "bboxes": [[10, 10, 20, 20], None, [10, 10, 2, 20]]},
            {"id": 9, "video_id": 1, "category_id": 5, "iscrowd": 0, "segmentations": [None, POLYGON, EMPTY],
             "areas": [None, 400, 0], "bboxes": [None, [20, 10, 20, 20], None]},
            {"id": 10, "video_id": 1, "category_id": 5, "iscrowd": 1, "segmentations": [CODED, CODED, CODED]},
        ],
        "categories": CATEGORIES,
    }  # fmt: skip


def coco_vid() -> dict:
    """The same, image by image."""
    images = [
        {"id": n + 1, "video_id": 1, "frame_id": n, "width": 60, "height": 40, "file_name": f"0043f083b5/{n:05d}.jpg"}
        for n in range(3)
    ]
    last = {"id": 4, "video_id": 2, "frame_id": 0, "width": 60, "height": 40, "file_name": "00ad5016a4/00000.jpg"}
    rows = [(1, 1, 4, 1, CODED), (2, 3, 4, 1, PLAIN), (3, 2, 9, 5, POLYGON), (4, 3, 9, 5, EMPTY)]
    return {
        "videos": [
            {"id": 1, "name": "0043f083b5", "width": 60, "height": 40},
            {"id": 2, "name": "00ad5016a4", "width": 60, "height": 40},
        ],
        "images": [*images, last],
        "annotations": [
            {"id": key, "image_id": image, "video_id": 1, "instance_id": track, "category_id": kind, "iscrowd": False,
             "bbox": [10, 10, 20, 20], "segmentation": mask}
            for key, image, track, kind, mask in rows
        ],
        "categories": CATEGORIES,
    }  # fmt: skip


WHOLE = {"ytvis": lambda: copy.deepcopy(ytvis()), "coco-vid": lambda: copy.deepcopy(coco_vid())}
FILES = [f"0043f083b5/{n:05d}.jpg" for n in range(3)] + ["00ad5016a4/00000.jpg"]


def write(root: Path, kind: str, content: dict) -> str:
    for n, name in enumerate(FILES):
        (root / "JPEGImages" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SIZE, 3), 40 * n, np.uint8)).save(root / "JPEGImages" / name)
    (root / "train.json").write_text(json.dumps(content))
    return f"{kind}:{root}/train.json,{root}/JPEGImages"


@pytest.fixture(params=WHOLE)
def kind(request):
    return request.param


def test_videos_have_their_images_and_visible_masks(tmp_path, kind):
    dataset = open_dataset(write(tmp_path, kind, WHOLE[kind]()))
    assert dataset.sequences == ("0043f083b5", "00ad5016a4")
    video = dataset.video("0043f083b5")
    assert (video.length, video.size, video.fps, video.number) == (3, SIZE, 10.0, 1)
    assert [(f.t, f.time, f.name) for f in video] == [
        (0, 0.0, "00000.jpg"),
        (1, 0.1, "00001.jpg"),
        (2, 0.2, "00002.jpg"),
    ]
    car, person = video.truth.tracks
    assert (car.id, car.category, person.id, person.category) == (4, "sedan", 9, "person")
    assert [mask and mask.area for mask in car.visible] == [400, None, 40]
    np.testing.assert_array_equal(car.visible[0].decode(), box(10, 30))
    np.testing.assert_array_equal(car.visible[2].decode(), box(10, 12))
    assert [mask and mask.box for mask in person.visible] == [None, (20, 10, 40, 30), None]
    assert car.amodal == person.amodal == (None,) * 3 and video.truth.labelled is None
    assert [[one.id for one in video.frame_visible(t)] for t in range(3)] == [[4], [9], [4]]
    assert dataset.truth("00ad5016a4").tracks == ()


def test_what_is_hidden_is_not_known_and_not_made_up(tmp_path, kind):
    data = write(tmp_path, kind, WHOLE[kind]())
    with pytest.raises(
        InputError, match="there are no amodal masks; it serves run, train vis, train --paste-occluders"
    ):
        open_dataset(data).video("0043f083b5").frame_truth(0)


def test_run_evaluate_and_check_visible(tmp_path, kind, capsys):
    data, out, scores = write(tmp_path, kind, WHOLE[kind]()), tmp_path / "runs", tmp_path / "scores.json"
    assert main(["data", "check", data]) == 0
    said = capsys.readouterr().out
    assert "2 clips, 4 frames (4 labelled), 2 instances, 3 masks" in said
    assert "not known: visible masks only" in said and "broken     nothing" in said
    assert main(["run", "--data", data, "--method", "copy-visible", "--out", str(out), "--no-overlay"]) == 0
    assert main(["evaluate", str(out), "--truth", data, "--masks", "visible", "--json", str(scores)]) == 0
    metrics = json.loads(scores.read_text())["metrics"]
    assert metrics["image"]["AP"] == metrics["video"]["AP"] == 1.0
    assert main(["evaluate", str(out), "--truth", data]) == 2
    assert "give --masks visible" in capsys.readouterr().err


def test_a_video_instance_segmenter_learns_from_it(tmp_path, kind, capsys, one_thread):
    data = write(tmp_path, kind, WHOLE[kind]())
    arguments = (
        f"--data {data} --out {tmp_path} --size mini --input 32x96 --steps 2 --batch 3 --classes sedan,person "
        "--held_out 1 --images 0.5 --longest 3 --stride 1 --device cpu --precision float32 --workers 1"
    )
    assert main(["train", "vis", *arguments.split()]) == 0
    facts = json.loads((tmp_path / "vis.json").read_text())
    assert (facts["clips"], facts["frames"], facts["instances"]) == (1, 3, 2)


def test_no_damage_ends_in_anything_but_a_refusal(tmp_path, kind):
    whole = WHOLE[kind]()
    assert refusals(write(tmp_path, kind, whole), tmp_path / "train.json", whole) > 500


WRONG_YTVIS = [
    (
        change("annotations", 0, "segmentations", 0, "size", [60, 40]),
        "annotation 4, frame 0: the mask is 60x40",
    ),
    (change("annotations", 0, "segmentations", [None]), "annotation 4: 1 masks but the video has 3 frames"),
    (change("annotations", 0, "segmentations", 0, [[1, 1, 5, 5]]), "annotation 4, frame 0: .*three points"),
    (change("annotations", 0, "video_id", 7), "annotation 4: unknown video_id 7"),
    (change("annotations", 0, "category_id", 7), "annotation 4: unknown category_id 7"),
    (twice("annotations"), "annotation 4: a second annotation has this id"),
    (twice("videos"), "video 1: a second video has this id"),
    (change("videos", 1, "file_names", ["0043f083b5/00000.jpg"]), "video 2: a file of it is there twice"),
    (change("videos", 0, "file_names", [".."] * 3), "video 1: file_names are no list of paths inside"),
    (change("videos", 0, "length", 4), "video 1: 3 file_names, but its length is 4"),
    (change("annotations", None), "no list 'annotations' .* test and validation splits is not published"),
    (change("annotations", 0, "occlude_rate", [0.1, None, 0]), "annotation 4: its masks are amodal .*--truth .*json"),
]
WRONG_COCO_VID = [
    (
        change("annotations", 0, "segmentation", "size", [60, 40]),
        "annotation 1, segmentation: the mask is 60x40",
    ),
    (lambda content: content["annotations"][0].pop("segmentation"), "annotation 1: no field 'segmentation'; a box"),
    (lambda content: content["annotations"][0].pop("instance_id"), "annotation 1: no field 'instance_id'"),
    (change("annotations", 1, "image_id", 1), "annotation 2: a second annotation of track 4 in 0043f083b5/00000.jpg"),
    (change("images", 1, "frame_id", 0), "video 1: two images have the frame_id 0"),
    (change("images", 0, "video_id", 4), "image 1: unknown video_id 4"),
    (twice("annotations"), "annotation 1: a second annotation has this id"),
]


@pytest.mark.parametrize(
    ("name", "break_it", "message"),
    [("ytvis", *row) for row in WRONG_YTVIS] + [("coco-vid", *row) for row in WRONG_COCO_VID],
)
def test_what_does_not_fit_is_refused_when_it_is_opened(tmp_path, name, break_it, message):
    content = WHOLE[name]()
    break_it(content)
    data = write(tmp_path, name, content)
    with pytest.raises(InputError, match=message):
        open_dataset(data)
    assert main(["data", "check", data]) == 1


def test_broken_run_lengths_are_refused_when_they_are_drawn(tmp_path, kind):
    text = json.dumps(WHOLE[kind]()).replace("[410, 20, 20, 20, 1930]", "[410, 20, 20]")
    data = write(tmp_path, kind, json.loads(text))
    with pytest.raises(InputError, match="run lengths that do not add up to 40x60"):
        _ = open_dataset(data).video("0043f083b5").truth


def test_missing_cut_off_and_resized_files_are_refused(tmp_path, kind):
    data = write(tmp_path, kind, WHOLE[kind]())
    second, third = (tmp_path / "JPEGImages" / name for name in FILES[1:3])
    second.write_bytes(second.read_bytes()[:60])
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(third)
    video = open_dataset(data).video("0043f083b5")
    with pytest.raises(InputError, match="00001.jpg: damaged"):
        video.frame(1)
    with pytest.raises(InputError, match="00002.jpg: 20x30 .*annotations state 40x60"):
        video.frame(2)
    second.unlink()
    with pytest.raises(InputError, match="00001.jpg: no such image, but the annotations list it"):
        open_dataset(data)
    path = tmp_path / "train.json"
    path.write_text(path.read_text()[:-30])
    with pytest.raises(InputError, match="train.json: not valid JSON .*cut off"):
        open_dataset(data)
    with pytest.raises(InputError, match=f"expected {kind}:ANNOTATIONS.json,IMAGES"):
        open_dataset(f"{kind}:{path}")


def test_a_track_may_be_named_track_id(tmp_path):
    content = WHOLE["coco-vid"]()
    for one in content["annotations"]:
        one["track_id"] = one.pop("instance_id")
    assert [one.id for one in open_dataset(write(tmp_path, "coco-vid", content)).truth("0043f083b5").tracks] == [4, 9]


def test_of_amodal_and_visible_columns_the_visible_ones_are_read(tmp_path):
    content = WHOLE["ytvis"]()
    for one in content["annotations"]:
        one |= {"visible_segmentations": one["segmentations"], "segmentations": [CODED] * 3, "occlude_rate": [0.0] * 3}
    (car, _) = open_dataset(write(tmp_path, "ytvis", content)).truth("0043f083b5").tracks
    assert [mask and mask.area for mask in car.visible] == [400, None, 40] and car.amodal == (None,) * 3


def test_several_sets_are_separated():
    text = "coco:a.json,b,coco-vid:c.json,d,ytvis:e.json,f"
    assert several(text) == ["coco:a.json,b", "coco-vid:c.json,d", "ytvis:e.json,f"]


@pytest.mark.skipif(not REAL.is_dir(), reason="no published samples in ../shared/real/formats beside the repository")
def test_published_samples_of_mmtracking(tmp_path):
    # Annotations alone are published with it: a black image stands for the frame.
    (tmp_path / "0043f083b5").mkdir()
    Image.fromarray(np.zeros((720, 1280, 3), np.uint8)).save(tmp_path / "0043f083b5" / "00000.jpg")
    data = f"coco-vid:{REAL}/mmtracking_vis/ann.json,{tmp_path}"
    (track,) = open_dataset(data).truth("0043f083b5").tracks
    x0, y0, x1, y1 = track.visible[0].box
    assert (track.id, track.category) == (1, "sedan") and (x0, y0, x1 - x0, y1 - y0) == (1174, 335, 104, 79)
    assert main(["data", "check", data]) == 0
    with pytest.raises(InputError, match="annotation 1: no field 'segmentation'; a box alone is not enough"):
        open_dataset(f"coco-vid:{REAL}/mmtracking_cocovid/ann.json,{tmp_path}")
