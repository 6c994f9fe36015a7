"""KITTI MOTS in its published layout, on a miniature that is written here, and on real labels where they are."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samodal.cli.app import main
from samodal.data.open import open_dataset, several
from samodal.errors import InputError
from samodal.rle import Rle

SIZE = (8, 12)
REAL = Path(__file__).parents[2] / "shared" / "real" / "kitti_tracking_0005"


def box(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def line(t: int, key: int, kind: int, mask: np.ndarray) -> str:
    rle = Rle.encode(mask)
    return f"{t} {key} {kind} {rle.size[0]} {rle.size[1]} {rle.counts}\n"


CAR, LATER, WALKER, IGNORED = box(1, 1, 5, 4), box(2, 1, 6, 4), box(7, 0, 9, 6), box(10, 0, 12, 8)
LINES = [
    line(0, 1001, 1, CAR),
    line(0, 2004, 2, WALKER),
    line(0, 10000, 10, IGNORED),
    line(2, 1001, 1, LATER),
]


def write(root: Path, lines: list[str] = LINES, frames: int = 3, size: tuple[int, int] = SIZE) -> str:
    """Sequence 0005 of three frames, the middle one without an object; gives what `open_dataset` takes."""
    folder = root / "training" / "image_02" / "0005"
    folder.mkdir(parents=True)
    for t in range(frames):
        Image.fromarray(np.full((*size, 3), 40 * t, np.uint8)).save(folder / f"{t:06d}.png")
    (root / "instances_txt").mkdir()
    (root / "instances_txt" / "0005.txt").write_text("".join(lines))
    return f"kitti_mots:{root}/all"


def write_pictures(root: Path) -> str:
    """The same with its labels as pictures alone."""
    data = write(root)
    (root / "instances_txt" / "0005.txt").unlink()
    folder = root / "instances" / "0005"
    folder.mkdir(parents=True)
    for t, masks in enumerate([{1001: CAR, 2004: WALKER, 10000: IGNORED}, {}, {1001: LATER}]):
        pixels = np.zeros(SIZE, np.uint16)
        for key, mask in masks.items():
            pixels[mask] = key
        Image.fromarray(pixels).save(folder / f"{t:06d}.png")
    return data


@pytest.mark.parametrize("written", [write, write_pictures])
def test_a_sequence_has_its_images_and_visible_masks_and_regions_to_ignore_are_no_tracks(tmp_path, written):
    dataset = open_dataset(written(tmp_path))
    assert dataset.sequences == ("0005",) and len(dataset) == 1
    (video,) = dataset
    assert (video.name, video.number, video.length, video.size) == ("0005", 1, 3, SIZE)
    assert [(f.t, f.time, f.name, int(f.image[0, 0, 0])) for f in video] == [
        (0, 0.0, "000000.png", 0),
        (1, 0.1, "000001.png", 40),
        (2, 0.2, "000002.png", 80),
    ]
    truth = dataset.truth("0005")
    assert [(one.id, one.category) for one in truth.tracks] == [(1001, "car"), (2004, "pedestrian")]
    car = truth.tracks[0]
    np.testing.assert_array_equal(car.visible[0].decode(), CAR)
    np.testing.assert_array_equal(car.visible[2].decode(), LATER)
    assert car.visible[1] is None and car.amodal == (None, None, None) and truth.labelled is None
    assert [len(video.frame_visible(t)) for t in range(3)] == [2, 0, 1]


def test_frames_are_told_by_their_number(tmp_path):
    data = write(tmp_path)
    (tmp_path / "training" / "image_02" / "0005" / "000001.png").unlink()  # a frame without an object
    (video,) = open_dataset(data)
    assert (video.length, [f.time for f in video]) == (2, [0.0, 0.2])
    np.testing.assert_array_equal(video.truth.tracks[0].visible[1].decode(), LATER)


def test_amodal_truth_is_refused_with_the_way_out(tmp_path):
    (video,) = open_dataset(write(tmp_path))
    with pytest.raises(
        InputError, match="there are no amodal masks; it serves run, train vis, train --paste-occluders"
    ):
        video.frame_truth(0)


def test_the_published_splits_want_every_sequence(tmp_path):
    data = write(tmp_path)
    with pytest.raises(InputError, match="no labels of sequence 0000 of split train; for the part .*/all"):
        open_dataset(data.replace("/all", "/train"))
    with pytest.raises(InputError, match="expected ROOT/train, ROOT/val, ROOT/all or ROOT/test"):
        open_dataset(data.replace("/all", "/trian"))
    from samodal.data.kitti_mots import SPLITS

    assert sorted(SPLITS["train"] + SPLITS["val"]) == [f"{n:04d}" for n in range(21)]


def test_the_split_test_has_images_alone(tmp_path):
    write(tmp_path)
    (tmp_path / "training").rename(tmp_path / "testing")
    dataset = open_dataset(f"kitti_mots:{tmp_path}/test")
    assert dataset.video("0005").truth is None
    with pytest.raises(InputError, match="no labels"):
        dataset.truth("0005")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0 1001 1 8\n"], "line 1: expected .frame id class"),
        ([LINES[0][:-3] + "\n"], "track 1001, frame 0"),
        ([line(0, 1001, 1, box(0, 0, 2, 2, (9, 12)))], "9x12 but the frame is 8x12"),
        ([LINES[0], LINES[0]], "there twice"),
        ([LINES[0], line(0, 1002, 1, box(4, 1, 6, 4))], "masks overlap in frame 0"),
        ([line(0, 3001, 3, CAR)], "unknown class 3"),
    ],
)
def test_damaged_labels_are_refused(tmp_path, lines, message):
    data = write(tmp_path, lines)
    with pytest.raises(InputError, match=message):
        _ = open_dataset(data).video("0005").truth
    assert main(["data", "check", data]) == 1


def test_missing_and_damaged_images_are_refused(tmp_path):
    data = write(tmp_path, [LINES[0], line(1, 1001, 1, CAR), LINES[3]])
    folder = tmp_path / "training" / "image_02" / "0005"
    Image.fromarray(np.zeros((9, 12, 3), np.uint8)).save(folder / "000002.png")
    with pytest.raises(InputError, match="000002.png: 9x12 .* begins with 8x12"):
        open_dataset(data).video("0005").frame(2)
    (folder / "000002.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match="000002.png: damaged picture"):
        open_dataset(data).video("0005").frame(2)
    (folder / "000001.png").unlink()
    with pytest.raises(InputError, match="no image 000001.png, but .*0005.txt has masks in it"):
        _ = open_dataset(data).video("0005").truth
    assert main(["data", "check", data]) == 1


def test_images_of_a_labelled_sequence_must_be_there(tmp_path):
    data = write(tmp_path)
    (tmp_path / "instances_txt" / "0007.txt").write_text(LINES[0])
    with pytest.raises(InputError, match="no images of sequence 0007"):
        open_dataset(data)


def test_only_the_excerpt_split_lets_labels_go_on_behind_the_images(tmp_path):
    from samodal.data.kitti_mots import KittiMotsVideo

    data = write(tmp_path, [*LINES, line(3, 1007, 1, CAR)])
    assert [one.id for one in open_dataset(data).truth("0005").tracks] == [1001, 2004]
    folder, labels = tmp_path / "training" / "image_02" / "0005", tmp_path / "instances_txt" / "0005.txt"
    with pytest.raises(InputError, match="no image 000003.png"):
        _ = KittiMotsVideo(folder, labels).truth


def test_data_check_says_that_only_visible_masks_are_known(tmp_path, capsys):
    assert main(["data", "check", write(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "1 clips, 3 frames (3 labelled), 2 instances, 3 masks" in said
    assert "not known: visible masks only" in said and "car 1, pedestrian 1" in said


def test_run_and_evaluate_visible(tmp_path, capsys):
    data, out = write(tmp_path / "data"), tmp_path / "runs"
    assert main(["run", "--data", data, "--method", "copy-visible", "--out", str(out), "--no-overlay"]) == 0
    scores = tmp_path / "scores.json"
    command = ["evaluate", str(out), "--truth", data, "--masks", "visible", "--json", str(scores)]
    assert main(command) == 0
    metrics = json.loads(scores.read_text())["metrics"]
    assert metrics["image"]["AP"] == metrics["video"]["AP"] == 1.0
    assert main(["evaluate", str(out), "--truth", data]) == 2
    assert "visible masks alone, no amodal ones: give --masks visible" in capsys.readouterr().err


def test_several_sets_are_separated():
    assert several("kins:a/train,kitti_mots:b/train") == ["kins:a/train", "kitti_mots:b/train"]


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/real/kitti_tracking_0005")
def test_real_labels_on_real_images():
    (video,) = open_dataset(f"kitti_mots:{REAL}/all")
    assert (video.size, video.length) == ((375, 1242), 16)
    tracks = video.truth.tracks
    assert len(tracks) == 4 and {one.category for one in tracks} == {"car"}
    assert sum(mask is not None for one in tracks for mask in one.visible) == 52
