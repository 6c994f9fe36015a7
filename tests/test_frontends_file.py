"""Results of other methods beside pictures and videos: which mask belongs to which frame."""

import json

import numpy as np
import pytest
from PIL import Image

import samodal
from made_up import passing_square
from samodal.cli.app import main
from samodal.frontends.file import ResultsFile
from samodal.masks import Mask
from samodal.results.frames import read_frames
from samodal.video import open_video
from test_video import write_container

SIZE = (48, 64)


def mask_of(number: int) -> np.ndarray:
    """A mask that tells the number of its frame: so many pixels and one."""
    mask = np.zeros(SIZE, bool)
    mask.flat[: number + 1] = True
    return mask


def pictures(folder, names):
    folder.mkdir()
    for name in names:
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / name)
    return open_video(folder)


def text(path, numbers):
    lines = [f"{number} 2001 2 {SIZE[0]} {SIZE[1]} {Mask.of(mask_of(number)).rle.counts}" for number in numbers]
    path.write_text("\n".join(lines))
    return path


def numbers_of(path, video):
    """The number that the mask in each frame tells, None where there is none."""
    session = ResultsFile(str(path)).open(video)
    visible = [session.step(frame.image, frame.t) for frame in video]
    return [instances[0].mask.area - 1 if instances else None for instances in visible]


@pytest.mark.parametrize(
    ("numbers", "labelled", "expected"),
    [
        (range(1, 7), range(1, 6), [1, 2, 3, 4, 5, None]),
        (range(1, 7), range(2, 7), [None, 2, 3, 4, 5, 6]),
        (range(0, 6), range(0, 6), [0, 1, 2, 3, 4, 5]),
        (range(0, 6), range(1, 6), [None, 1, 2, 3, 4, 5]),
        (range(0, 30, 10), range(0, 30), [0, 10, 20]),
        (range(100, 103), range(98, 110), [100, 101, 102]),
        ((7,), (7,), [7]),
    ],
)
def test_numbered_pictures_get_the_masks_of_their_numbers(tmp_path, numbers, labelled, expected):
    video = pictures(tmp_path / "img1", [f"{number:06d}.png" for number in numbers])
    assert numbers_of(text(tmp_path / "labels.txt", labelled), video) == expected
    masks = tmp_path / "masks"
    masks.mkdir()
    for number in labelled:
        Image.fromarray((2001 * mask_of(number)).astype(np.uint16)).save(masks / f"{number:06d}.png")
    assert numbers_of(masks, video) == expected


def test_labels_that_count_from_0_beside_pictures_that_do_not_are_taken_in_order_and_told(tmp_path, capsys):
    video = pictures(tmp_path / "img1", [f"{number}.png" for number in range(1, 12)])
    assert numbers_of(text(tmp_path / "labels.txt", range(11)), video) == list(range(11))
    assert "begins in frame 0, but the pictures count from 1" in capsys.readouterr().err


def test_masks_that_no_picture_has_are_told(tmp_path, capsys):
    video = pictures(tmp_path / "img1", ["1.png", "2.png"])
    assert numbers_of(text(tmp_path / "labels.txt", [1, 2, 3]), video) == [1, 2]
    assert "labels.txt: goes on to frame 3, the video has 2 frames" in capsys.readouterr().err


def test_files_that_know_the_names_of_pictures_are_matched_by_name(tmp_path):
    names = ["a/10.png", "a/8.png", "a/9.png"]
    entry = {"id": 1, "video_id": 1, "category_id": 1}
    entry["segmentations"] = [Mask.of(mask_of(number)).to_coco() for number in (10, 8, 9)]
    entry["visible_segmentations"] = entry["segmentations"]
    content = {
        "videos": [{"id": 1, "name": "drive", "file_names": names, "height": SIZE[0], "width": SIZE[1], "length": 3}],
        "annotations": [entry],
        "categories": [{"id": 1, "name": "car"}],
    }
    (tmp_path / "tracks.json").write_text(json.dumps(content))
    video = pictures(tmp_path / "drive", ["8.png", "9.png", "10.png"])
    assert numbers_of(tmp_path / "tracks.json", video) == [8, 9, 10]


def test_scalabel_and_coco_vid_are_matched_by_number(tmp_path):
    video = pictures(tmp_path / "drive", [f"{number}.png" for number in range(1, 6)])
    labels = {n: [{"id": "1", "category": "car", "rle": Mask.of(mask_of(n)).to_coco()}] for n in range(1, 5)}
    frames = [{"name": f"{n}.png", "frameIndex": n, "labels": labels[n]} for n in reversed(labels)]
    (tmp_path / "scalabel.json").write_text(json.dumps(frames))
    assert numbers_of(tmp_path / "scalabel.json", video) == [1, 2, 3, 4, None]
    annotations = [
        {"id": n, "image_id": n, "instance_id": 1, "category_id": 1, "segmentation": Mask.of(mask_of(n)).to_coco()}
        for n in range(1, 5)
    ]
    images = [{"id": n, "video_id": 1, "frame_id": n, "file_name": f"{n}.png"} for n in range(1, 5)]
    categories = [{"id": 1, "name": "car"}]
    content = {"categories": categories, "annotations": annotations, "images": images, "videos": [{"id": 1}]}
    (tmp_path / "vid.json").write_text(json.dumps(content))
    assert numbers_of(tmp_path / "vid.json", video) == [1, 2, 3, 4, None]


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_a_container_that_states_no_length_is_read_with_results(tmp_path, suffix):
    pytest.importorskip("av")
    video = open_video(write_container(tmp_path / f"a.{suffix}", "libx264", "yuv420p", 4))
    results = [{"video_id": 1, "category_id": 1, "score": 0.5}]
    results[0]["segmentations"] = [Mask.of(mask_of(number)).to_coco() for number in range(4)]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert numbers_of(tmp_path / "results.json", video) == [0, 1, 2, 3]
    assert numbers_of(text(tmp_path / "labels.txt", [1, 2]), video) == [None, 1, 2, None]
    video._length = 9  # as packets may tell that hold no frame
    assert numbers_of(tmp_path / "results.json", video) == [0, 1, 2, 3]


def test_a_picture_left_out_leaves_the_others_their_masks(tmp_path):
    video = pictures(tmp_path / "drive", [f"{number}.png" for number in range(5)])
    (tmp_path / "drive" / "2.png").write_bytes(b"broken")
    assert numbers_of(text(tmp_path / "labels.txt", range(5)), video) == [0, 1, 3, 4]


def test_the_tracker_of_python_gives_the_masks_to_their_frames_past_a_picture_left_out(tmp_path):
    video = pictures(tmp_path / "drive", [f"{number}.png" for number in range(5)])
    (tmp_path / "drive" / "2.png").write_bytes(b"broken")
    labels = text(tmp_path / "labels.txt", range(20, 25))
    labels.write_text("\n".join(f"{t} {line[3:]}" for t, line in enumerate(labels.read_text().splitlines())))
    tracker = samodal.load(vis=f"file:{labels}", device="cpu")
    areas = [(result.time, result.instances[0].visible.area - 1) for result in tracker.stream(video)]
    assert areas == [(0.0, 20), (0.1, 21), (0.3, 23), (0.4, 24)]


@pytest.mark.parametrize(("frames", "stride"), [("2:6", 1), (None, 2), ("1:", 3)])
@pytest.mark.parametrize("name", ["tracks.json", "frames.jsonl"])
def test_results_of_an_excerpt_are_taken_for_the_same_excerpt_again(tmp_path, frames, stride, name):
    (tmp_path / "frames").mkdir()
    for seen in passing_square(8)[1]:
        Image.fromarray(seen.frame.image).save(tmp_path / "frames" / f"{seen.frame.t + 5:06d}.png")
    lines = [f"{o.frame.t + 5} 1007 1 60 120 {v.mask.rle.counts}\n" for o in passing_square(8)[1] for v in o.visible]
    (tmp_path / "mots.txt").write_text("".join(lines))
    part = [*(["--frames", frames] if frames else []), "--stride", str(stride), "--method", "hull", "--no-overlay"]
    for vis, out in (("mots.txt", "first"), (f"first/{name}", "again")):
        command = ["run", str(tmp_path / "frames"), "--vis", f"file:{tmp_path / vis}", *part]
        assert main([*command, "--out", str(tmp_path / out)]) == 0
    first, again = (read_frames(tmp_path / out / "frames.jsonl").results for out in ("first", "again"))
    masks = [[[instance.visible for instance in result] for result in results] for results in (first, again)]
    assert masks[0] == masks[1] and any(masks[0])
