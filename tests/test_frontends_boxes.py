"""Boxes of detectors and trackers as a front end: which box belongs to which frame, class and id."""

import json

import numpy as np
import pytest
from PIL import Image

import samodal
from samodal.cli.app import main
from samodal.errors import InputError
from samodal.frontends import boxes as front_end
from samodal.frontends.boxes import BoxesFrontEnd
from samodal.frontends.cutter import Cutter, CutterConfig, detections, save
from samodal.masks import Mask
from samodal.parts import LearningSession
from samodal.results.boxes_files import read_boxes
from samodal.results.frames import read_frames
from samodal.results.open import open_visible
from samodal.runner import run_video
from samodal.settings import RunSettings
from samodal.video import ArrayVideo, open_video
from toy_data import write_toy

SIZE = (48, 64)
MOT = """1,7,10,20,8,4,0.9,3,1
1,9,30,10,5,10,1,1,0.5
3,7,12,20,8,4,0.8,3,1
"""
KITTI = """0 0 Car 0 0 -1.5 10.0 20.0 17.0 23.0 1 2 3 4 5 6 7 0.9
0 -1 DontCare -1 -1 -10 0 0 9 9 -1 -1 -1 -1 -1 -1 -1
0 3 Person_sitting 0 3 0 30 10 34 19 1 2 3 4 5 6 7 1
2 0 Car 0 0 -1.5 12 20 19 23 1 2 3 4 5 6 7 0.8
"""
COCO = [
    {"image_id": 0, "category_id": 3, "bbox": [10, 20, 8, 4], "score": 0.9},
    {"image_id": 0, "category_id": 1, "bbox": [30, 10, 5, 10], "score": 1},
    {"image_id": 2, "category_id": 3, "bbox": [12.0, 20, 8, 4], "score": 0.8},
]
TAO = [box | {"video_id": 5, "track_id": n} for box, n in zip(COCO, (7, 9, 7), strict=True)]


@pytest.fixture(autouse=True)
def cut(monkeypatch):
    """A cutter that fills each box, and expects an IoU of 0.5 of persons and of 0.75 of others."""

    def visible_masks(network, frame, boxes):
        masks = []
        for box in boxes:
            mask = np.zeros(frame.shape[:2], bool)
            x0, y0, x1, y1 = map(round, box.corners)
            mask[y0:y1, x0:x1] = True
            masks.append(Mask.of(mask))
        return masks, [0.5 if box.category == "person" else 0.75 for box in boxes]

    monkeypatch.setattr(detections, "visible_masks", visible_masks)
    monkeypatch.setattr(front_end, "loaded", lambda checkpoint, device: Cutter.initialise(CutterConfig(), 0))


def frames(count=3):
    return ArrayVideo("drive", np.zeros((count, *SIZE, 3), np.uint8))


def put(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def reported(argument, video=None):
    """For each frame id, class, score and box of what is reported."""
    video = video or frames()
    session = BoxesFrontEnd(str(argument)).open(video)
    return [
        [(seen.id, seen.category, round(seen.score, 4), seen.mask.box) for seen in session.step(frame.image, frame.t)]
        for frame in video
    ]


CAR, CAR_LATER, PERSON = (10, 20, 18, 24), (12, 20, 20, 24), (30, 10, 35, 20)


@pytest.mark.parametrize(
    ("name", "content", "car", "person"),
    [
        ("a.txt", MOT, 7, 9),
        ("a.csv", MOT.replace("\n", ",\r\n"), 7, 9),
        ("a.txt", MOT.replace(",", " "), 7, 9),
        ("a.txt", MOT.encode("utf-16").decode("utf-16").replace("1,7", "1.0e0,7.0"), 7, 9),
        ("label.txt", KITTI, 0, 3),
        ("tao.json", TAO, 7, 9),
    ],
)
def test_ids_are_kept_as_the_tracker_gave_them(tmp_path, name, content, car, person):
    assert reported(put(tmp_path / name, content)) == [
        [(person, "person", 0.5, PERSON), (car, "car", 0.675, CAR)],
        [],
        [(car, "car", 0.6, CAR_LATER)],
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("det.txt", MOT.replace(",7,", ",-1,").replace(",9,", ",-1,")),
        ("boxes.json", COCO),
        ("boxes.json", [box | {"image_id": box["image_id"] + 1} for box in COCO]),
    ],
)
def test_boxes_without_ids_get_them_by_association_and_images_may_count_from_one(tmp_path, name, content):
    first, second, third = reported(put(tmp_path / name, content))
    assert [(category, box) for _, category, _, box in first] == [("person", PERSON), ("car", CAR)]
    assert second == [] and third[0][1:] == ("car", 0.6, CAR_LATER)
    assert third[0][0] == first[1][0] != first[0][0]


def test_a_session_with_ids_of_the_file_learns_nothing_and_one_without_does(tmp_path):
    tracked, untracked = (
        BoxesFrontEnd(str(put(tmp_path / f"{n}.json", content))).open(frames()) for n, content in enumerate((TAO, COCO))
    )
    assert not isinstance(tracked, LearningSession) and isinstance(untracked, LearningSession)


def test_classes_are_those_of_the_form_and_others_are_left_out_and_told(tmp_path, capsys):
    lines = [f"1,{n},{4 * n},0,4,9,1,{n},1" for n in range(1, 14)]
    found = reported(put(tmp_path / "a.txt", "\n".join(lines)), frames(1))
    expected = {1: "person", 2: "rider", 3: "car", 4: "bicycle", 5: "motorcycle", 7: "person"}
    assert {key: category for key, category, _, _ in found[0]} == expected
    told = capsys.readouterr().err
    assert "a.txt: boxes of no road user are left out: crowd (1), distractor (1), non motorized vehicle (1)" in told
    kinds = {1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 6: "bus", 7: "train", 8: "truck"}
    content = [
        {"image_id": 0, "category_id": n, "bbox": [n % 60, n % 40, 4, 8], "score": 1, "track_id": n}
        for n in range(1, 91)
    ]
    (found,) = reported(put(tmp_path / "a.json", content), frames(1))
    assert {key: category for key, category, _, _ in found} == kinds


def test_boxes_without_a_class_are_persons_unless_another_is_given(tmp_path):
    path = put(tmp_path / "a.txt", "1,5,10,20,8,4\n2,5,10,20,8,4,-1\n3,5,10,20,8,4,0.9,-1,-1,-1\n")
    assert [seen[0][:3] for seen in reported(path)] == [(5, "person", 0.5)] * 2 + [(5, "person", 0.45)]
    assert [seen[0][:3] for seen in reported(f"{path},class=Car")][2] == (5, "car", 0.675)
    with pytest.raises(InputError, match="class 'dog' is no road user; known: bicycle, bus"):
        BoxesFrontEnd(f"{path},class=dog")


def test_limits_say_what_is_reported(tmp_path):
    path = put(tmp_path / "a.txt", MOT)
    assert [len(seen) for seen in reported(f"{path},keep=0.55")] == [1, 0, 1]
    assert [len(seen) for seen in reported(f"{path},area=40")] == [1, 0, 0]
    assert [[seen[0] for seen in found] for found in reported(f"{path},most=1")] == [[9], [], [7]]
    untracked = put(tmp_path / "b.json", COCO)
    assert [len(seen) for seen in reported(f"{untracked},score=0.55")] == [1, 0, 1]
    with pytest.raises(InputError, match="unknown limit 'scor'.*did you mean 'score'"):
        BoxesFrontEnd(f"{path},scor=1")
    for argument in (None, "", f"{path},a,b"):
        with pytest.raises(InputError, match="--vis boxes needs a file"):
            BoxesFrontEnd(argument)


def test_a_box_over_the_border_is_cut_at_it_and_one_outside_is_none(tmp_path):
    path = put(tmp_path / "a.txt", "1,1,-10,-1e5,20,100020,1,3,1\n1,2,70,5,9,9,1,3,1\n1,3,5,5,0,9,1,3,1\n")
    assert reported(path, frames(1)) == [[(1, "car", 0.75, (0, 0, 10, 20))]]


def pictures(folder, numbers):
    folder.mkdir()
    for number in numbers:
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / f"{number:06d}.png")
    return open_video(folder)


@pytest.mark.parametrize(
    ("name", "content", "numbers", "expected"),
    [
        ("a.txt", MOT, range(1, 4), [2, 0, 1]),
        ("a.txt", MOT, range(0, 4), [2, 0, 1, 0]),  # MOT's first frame is the picture 0
        ("a.txt", MOT, range(3, 5), [1, 0]),
        ("a.txt", KITTI, range(0, 3), [2, 0, 1]),
        ("a.txt", KITTI, range(2, 4), [1, 0]),
        ("a.json", [box | {"image_id": 70 + box["image_id"]} for box in COCO], range(70, 75), [2, 0, 1, 0, 0]),
    ],
)
def test_pictures_with_numbers_get_the_boxes_of_their_numbers(tmp_path, name, content, numbers, expected):
    video = pictures(tmp_path / "drive", numbers)
    assert [len(seen) for seen in reported(put(tmp_path / name, content), video)] == expected


def test_boxes_of_another_video_are_refused_and_those_behind_its_end_told(tmp_path, capsys):
    path = put(tmp_path / "a.json", [box | {"image_id": 9000} for box in COCO])
    with pytest.raises(InputError, match=r"a.json: boxes of frames 9000 to 9000, but the video has frames 0 to 2"):
        reported(path)
    assert [len(seen) for seen in reported(put(tmp_path / "a.txt", MOT), frames(2))] == [2, 0]
    assert "a.txt: boxes of frames up to 3; the video ends with frame 2" in capsys.readouterr().err


def test_a_folder_has_a_file_for_each_clip(tmp_path):
    folder = tmp_path / "tracks"
    folder.mkdir()
    put(folder / "drive.csv", MOT)
    assert [len(seen) for seen in reported(folder)] == [2, 0, 1]
    put(folder / "drive.json", TAO)
    with pytest.raises(InputError, match=r"tracks: expected one of drive.txt, drive.csv, drive.json, found 2"):
        reported(folder)
    with pytest.raises(InputError, match="a/b.txt.*cannot name a folder"):
        reported(folder, ArrayVideo("a/b", np.zeros((1, *SIZE, 3), np.uint8)))


def test_of_several_videos_in_a_file_the_one_of_the_video_is_read(tmp_path):
    path = put(tmp_path / "tao.json", TAO + [box | {"video_id": 6, "image_id": 1} for box in TAO[:1]])
    assert {n: len(found) for n, found in read_boxes(path, 6).frames.items()} == {1: 1}
    with pytest.raises(InputError, match=r"tao.json: boxes of several videos \(5, 6\), none of them None"):
        read_boxes(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,7,10,20,8\n", r"line 1: expected 'frame,id,left,top,width,height'.*got '1,7,10,20,8'"),
        ("0,7,10,20,8,4\n", "line 1: frame 0, but MOTChallenge counts frames from 1; add 1 to all"),
        ("-1,7,10,20,8,4\n", "line 1: frame must be a whole number in .0, .*got -1"),
        ("0 1001 1 40 60 abc\n", "line 1: expected 'frame,id,left.*got '0 1001 1 .*masks are for --vis file:"),
        ("1,7.5,10,20,8,4\n", "line 1: id must be a whole number at least -1, got 7.5"),
        ("1,7,10,nan,8,4\n", "line 1: top must be a number .*got nan"),
        ("1,7,10,20,-8,4\n", "line 1: width must be a number in .0, .*got -8"),
        ("1,7,10,20,8,4\n\n1,7,1,2,8,4\n", "line 3: id 7 is in frame 1 twice"),
        ("1,7,10,20,8,4\n1,-1,1,2,8,4\n", "line 2: no id, unlike the boxes before"),
        ("1,7,10,20,8,4,53.2,-1,-1,-1\n", r"line 1: conf must be a number in \[0, 1\] .*got 53.2"),
        ("1,7,10,20,8,4,1,4,-1,-1\n", "line 1: values 8 to 10 of 10 are a place in the world.*a class is value 8 of 9"),
        ("1,7,10,20,8,4,1,44,1\n", "line 1: unknown class 44, expected one of MOTChallenge's 1 to 13, or -1"),
        ("frame,id,x,y,w,h\n1,7,10,20,8,4\n", "line 1: expected 'frame,id,left,top.*got 'frame,id,x,y,w,h'"),
        ("0 0 Car 0 0 -1.5 10 20 17\n", "line 1: expected 'frame track type truncated .*got '0 0 Car"),
        ("0 0 Car 0 0 -1.5 17 20 10 23\n", "line 1: expected a box of x0 <= x1 and y0 <= y1, got 17 20 10 23"),
        ("-1 0 Car 0 0 -1.5 10 20 17 23\n", "line 1: frame must be a whole number"),
        ("[{", "a.txt: not valid JSON at line 1"),
        ({"annotations": []}, "a.txt: expected a list of {image_id.*found an object; masks .* --vis file:"),
        ([4], "box at place 0: expected an object, got 4"),
        ([COCO[0] | {"bbox": [1, 2, 3]}], "box at place 0: bbox must be 4 times"),
        ([COCO[0] | {"bbox": [1, 2, -3, 4]}], "box at place 0: bbox must be .*4 times"),
        ([COCO[0] | {"category_id": 0}], "class 0, expected one of COCO's 1 to 90; do they count from 0"),
        ([COCO[0] | {"image_id": "frame7"}], "place 0: image_id must be a whole number.*got 'frame7'"),
        ([COCO[0] | {"score": 7.5}], "place 0: score must be .*are these outputs of a network before the sigmoid"),
        ([TAO[0], COCO[1] | {"video_id": 5}], "place 1: no id, unlike the boxes before; give all an id, or none"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_in_one_sentence_with_file_and_entry(tmp_path, content, message):
    with pytest.raises(InputError, match=f"a.txt.*{message}|{message}") as refused:
        read_boxes(put(tmp_path / "a.txt", content))
    assert str(tmp_path / "a.txt") in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [MOT, json.dumps(COCO)])
def test_boxes_given_as_masks_are_sent_to_this_front_end(tmp_path, content):
    path = put(tmp_path / ("a.txt" if content is MOT else "a.json"), content)
    with pytest.raises(InputError, match=r"a\.(txt|json).* boxes .*--vis boxes:"):
        open_visible(path, "drive", SIZE, 3)


def test_an_empty_file_says_that_nothing_was_found(tmp_path):
    assert reported(put(tmp_path / "a.txt", "")) == reported(put(tmp_path / "a.json", [])) == [[], [], []]


@pytest.mark.parametrize("content", [MOT, json.dumps(COCO)])
def test_a_run_with_a_real_cutter_gives_the_same_bytes_again(tmp_path, monkeypatch, content):
    monkeypatch.undo()
    save(Cutter.initialise(CutterConfig(size=32, width=8, attention=1), 0), tmp_path / "cutter.safetensors")
    path = put(tmp_path / "a.txt", content)
    vis = f"boxes:{path},{tmp_path / 'cutter.safetensors'},score=0,keep=0,area=1"
    settings = RunSettings(vis=vis, method="copy-visible", device="cpu", overlay=False)
    images = np.random.default_rng(0).integers(0, 255, (3, *SIZE, 3), np.uint8)
    video = ArrayVideo("drive", images)
    for name in ("first", "second"):
        assert run_video(settings, video, tmp_path / name).visible > 0
    assert (tmp_path / "first/frames.jsonl").read_bytes() == (tmp_path / "second/frames.jsonl").read_bytes()
    record = json.loads((tmp_path / "first/run.json").read_text())
    assert record["settings"]["vis"] == vis and record["inputs"][vis]["files"] == 2
    tracker = samodal.load(vis=vis, device="cpu")
    tracker.reset()
    assert len(tracker.step(images[0]).instances) > 0


def test_a_data_set_takes_a_folder_and_a_clip_without_a_file_fails_alone(tmp_path, capsys):
    data = write_toy(tmp_path / "data", 2, 3, 0, SIZE)
    clips = ["toy_0000", "toy_0001"]
    folder = tmp_path / "tracks"
    folder.mkdir()
    put(folder / f"{clips[0]}.txt", MOT)
    command = ["run", "--data", data, "--vis", f"boxes:{folder}", "--method", "copy-visible", "--no-overlay"]
    command += ["--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(command) == 3
    assert f"expected one of {clips[1]}.txt, {clips[1]}.csv, {clips[1]}.json, found 0" in capsys.readouterr().err
    put(folder / f"{clips[1]}.json", COCO)
    assert main([*command, "--overwrite"]) == 0
    ids = [[i.id for i in read_frames(tmp_path / "out" / clip / "frames.jsonl").results[0].instances] for clip in clips]
    assert ids == [[9, 7], [1, 2]]
