"""AmodalSynthDrive as a folder, on a miniature that is written here."""

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from PIL import Image

from samodal.cli.app import main
from samodal.data.asd import InstanceTruth, write_frame
from samodal.data.open import open_dataset, several
from samodal.errors import InputError
from samodal.rle import Rle

SIZE = (8, 12)
NAME = "20230706091850_WetNoon_Town10HD"


def rectangle(x0: int, x1: int) -> Rle:
    mask = np.zeros(SIZE, bool)
    mask[2:6, x0:x1] = True
    return Rle.encode(mask)


@pytest.fixture
def root(tmp_path):
    """Three frames: car 5 drives right, wholly hidden in the second; bus 9 stands from frame 1 on."""
    images = tmp_path / "val/images/front" / NAME
    labels = tmp_path / "val/amodal_instance_seg/front" / NAME
    images.mkdir(parents=True)
    for t in range(3):
        Image.fromarray(np.full((*SIZE, 3), 40 * t, np.uint8)).save(images / f"front_full_{t:04d}_rgb.jpg")
        car = rectangle(2 * t, 2 * t + 3)
        instances = [InstanceTruth(5, "car", car, None if t == 1 else car)]
        if t:
            instances.append(InstanceTruth(9, "bus", rectangle(8, 11), rectangle(8, 11)))
        write_frame(labels, t, instances, SIZE)
    return tmp_path


def labels(root):
    return root / "val/amodal_instance_seg/front" / NAME


def images(root):
    return root / "val/images/front" / NAME


@pytest.mark.parametrize("kind", ["asd", "streetsim"])
def test_a_sequence_is_a_video_with_its_truth(root, kind):
    dataset = open_dataset(f"{kind}:{root}/val")
    (video,) = dataset
    assert (video.name, video.size, video.length, video.fps) == (NAME, SIZE, 3, 10.0)
    assert video.number == 1
    frames = list(video)
    assert [f.t for f in frames] == [0, 1, 2] and frames[2].time == pytest.approx(0.2)
    assert frames[1].image.shape == (*SIZE, 3) and frames[1].image.dtype == np.uint8
    car, bus = dataset.truth(NAME).tracks
    assert (car.id, car.category, bus.id, bus.category) == (5, "car", 9, "bus")
    assert car.amodal == (rectangle(0, 3), rectangle(2, 5), rectangle(4, 7))
    assert car.visible == (rectangle(0, 3), None, rectangle(4, 7))
    assert bus.amodal[0] is None and video.truth.labelled is None
    assert video.truth is video.truth


def test_one_frame_is_read_without_the_others(root):
    (labels(root) / "front_full_0000_aminseg.json").write_text("{")
    instances = open_dataset(f"asd:{root}/val").video(NAME).frame_truth(1)
    assert [(one.id, one.visible is None) for one in instances] == [(5, True), (9, False)]


def test_frames_without_labels_are_not_labelled(root):
    (labels(root) / "front_full_0001_aminseg.json").unlink()
    assert open_dataset(f"asd:{root}/val").truth(NAME).labelled == (0, 2)


def test_a_sequence_without_any_label_has_no_truth(root):
    for path in labels(root).iterdir():
        path.unlink()
    dataset = open_dataset(f"asd:{root}/val")
    assert dataset.video(NAME).truth is None
    with pytest.raises(InputError, match="no truth"):
        dataset.truth(NAME)


def test_a_label_without_its_image_is_refused(root):
    (images(root) / "front_full_0001_rgb.jpg").unlink()
    with pytest.raises(InputError, match="no image front_full_0001_rgb.jpg"):
        open_dataset(f"asd:{root}/val").truth(NAME)


def test_a_cut_off_label_or_image_is_refused(root):
    label = labels(root) / "front_full_0002_aminseg.json"
    label.write_text(label.read_text()[:-20])
    image = images(root) / "front_full_0002_rgb.jpg"
    image.write_bytes(image.read_bytes()[:200])
    dataset = open_dataset(f"asd:{root}/val")
    with pytest.raises(InputError, match="front_full_0002_aminseg.json.*cut off"):
        dataset.truth(NAME)
    with pytest.raises(InputError, match="front_full_0002_rgb.jpg: damaged"):
        list(dataset.video(NAME))


def test_an_image_of_another_size_is_refused(root):
    Image.fromarray(np.zeros((9, 12, 3), np.uint8)).save(images(root) / "front_full_0001_rgb.jpg")
    with pytest.raises(InputError, match="9x12.*8x12"):
        list(open_dataset(f"asd:{root}/val").video(NAME))


def test_a_track_that_changes_its_class_is_refused(root):
    write_frame(labels(root), 2, [InstanceTruth(5, "bus", rectangle(0, 3), None)], SIZE)
    with pytest.raises(InputError, match="track 5 is a bus in front_full_0002_rgb.jpg but a car before"):
        open_dataset(f"asd:{root}/val").truth(NAME)


def as_camera(root, camera: str, flat: bool) -> str:
    """The same sequence as seen by another camera beside the front one; flat is the early release without folders."""
    for kind, folder in (("images", images(root)), ("amodal_instance_seg", labels(root))):
        target = root / "early" / kind / NAME if flat else root / "val" / kind / camera / NAME
        target.mkdir(parents=True)
        for path in folder.iterdir():
            (target / path.name.replace("front_", f"{camera}_")).write_bytes(path.read_bytes())
            if flat:
                (target / path.name).write_bytes(path.read_bytes())
    for path in (root / "early" if flat else root / "val").rglob(f"{camera}_full_0002_aminseg.*"):
        path.unlink()
    return f"asd:{root}/early" if flat else f"asd:{root}/val"


@pytest.mark.parametrize("flat", [False, True])
def test_another_camera_is_read_where_it_is_named(root, flat):
    data = as_camera(root, "back", flat)
    (front,), (back,) = open_dataset(data), open_dataset(f"{data},camera=back")
    assert (front.name, back.name, back.length, back.size) == (NAME, NAME, 3, SIZE)
    assert (front.truth.labelled, back.truth.labelled) == (None, (0, 1))
    assert back.frame_names[0] == "back_full_0000_rgb.jpg" and back.frame(1).image.shape == (*SIZE, 3)
    assert [one.id for one in back.frame_truth(1)] == [5, 9] and [one.id for one in back.frame_visible(1)] == [9]
    assert main(["data", "check", f"{data},camera=back"]) == 0
    with pytest.raises(InputError, match="left"):
        list(open_dataset(f"{data},camera=left"))


def test_a_camera_that_is_not_there_is_refused_with_those_that_are(root):
    data = as_camera(root, "back", flat=False)
    with pytest.raises(InputError, match="no folder images/right in it; there is front, back"):
        open_dataset(f"{data},camera=right")


@pytest.fixture
def lists(root):
    """Two more sequences, and a file of lists with one of the three each."""
    for name in ("another_Town10HD", "third_Town10HD"):
        for folder in (images(root), labels(root)):
            copytree(folder, folder.with_name(name))
    path = root / "amsynthdrive.json"
    path.write_text(json.dumps({"train": ["third_Town10HD"], "val": [NAME], "test": ["gone"], "twice": [NAME] * 2}))
    return path


def test_a_list_chooses_the_sequences_of_a_split(root, lists):
    assert open_dataset(f"asd:{root}/val").sequences == (NAME, "another_Town10HD", "third_Town10HD")
    (video,) = open_dataset(f"asd:{root}/val,split={lists}:train")
    assert (video.name, video.number) == ("third_Town10HD", 1)
    both = open_dataset(f"asd:{root}/val,camera=front,split={lists}:val")
    assert both.sequences == open_dataset(f"asd:{root}/val,split={lists}:val,camera=front").sequences == (NAME,)
    assert several(f"asd:{root}/val,split={lists}:val,kins:x/train") == [
        f"asd:{root}/val,split={lists}:val",
        "kins:x/train",
    ]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("split={lists}:valid", "no list 'valid' in it; there is train, val, test, twice"),
        ("split={lists}:test", "1 of the 1 sequences of the split are not in it, first gone"),
        ("split={lists}:twice", "'twice' has .* twice"),
        ("split={lists}", "expected split=LIST.json:NAME"),
        ("split=nowhere.json:val", "nowhere.json: no such file"),
        ("kamera=back", "unknown option 'kamera'; did you mean 'camera'"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(root, lists, option, message):
    with pytest.raises(InputError, match=message):
        open_dataset(f"asd:{root}/val,{option.format(lists=lists)}")


PUBLISHED = Path(__file__).parents[2] / "shared" / "real" / "formats" / "amodalsynthdrive_split.json"


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="no published list in ../shared/real/formats beside the repository")
def test_the_published_list_names_105_15_and_30_sequences(root):
    lists = json.loads(PUBLISHED.read_text())
    assert {name: len(names) for name, names in lists.items()} == {"train": 105, "val": 15, "test": 30}
    for name in lists["val"]:
        if name != NAME:
            copytree(images(root), images(root).with_name(name))
    dataset = open_dataset(f"asd:{root}/val,split={PUBLISHED}:val")
    assert set(dataset.sequences) == set(lists["val"]) and NAME in dataset.sequences
    with pytest.raises(InputError, match="105 of the 105 sequences of the split are not in it"):
        open_dataset(f"asd:{root}/val,split={PUBLISHED}:train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adsd:/data", "did you mean asd:/data"),
        ("streetsin:/data", "did you mean streetsim:/data"),
        ("/data/val", "expected one of asd:PATH, streetsim:PATH"),
        ("asd:", "expected one of"),
        ("asd:/nowhere", "no folder images/front"),
    ],
)
def test_what_is_no_data_set_is_refused_with_a_way_out(text, message):
    with pytest.raises(InputError, match=message):
        open_dataset(text)
