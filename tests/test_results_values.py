"""Values in result files and in truth that are none: each is refused by file and entry, in every form."""

import copy
import json

import pytest
from PIL import Image

from damage import change
from fuzz_targets import SIZE, coded, image_files, visible_files
from samodal.cli.app import main
from samodal.errors import InputError
from samodal.metrics.evaluate import ScoringRules, evaluate
from samodal.results.columns import VisibleColumns
from samodal.results.fields import MOST_FRAMES
from samodal.results.frames import FramesWriter, read_frames
from samodal.results.open import open_visible
from samodal.rle import Rle

NAN = float("nan")


def changed(content: object, *place) -> object:
    content = copy.deepcopy(content)
    change(*place)(content)
    return content


def refused(path, content, message: str) -> None:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=f"{path.name}.*({message})"):
        open_visible(path, "v", SIZE, 3)


@pytest.mark.parametrize("score", [-1.2, 6.85, NAN, float("inf"), "0.9", [0.9], True, 10**400])
@pytest.mark.parametrize(
    ("name", "place", "where"),
    [
        ("genvis.json", (0, "score"), "result 0"),
        ("ytvis.json", ("annotations", 0, "score"), "annotation 4"),
        ("ytvis.json", ("annotations", 0, "scores"), "annotation 4, frame 1"),
        ("scalabel.json", (1, "labels", 0, "score"), "track 7, frame 1"),
        ("mmtracking.json", ("track_bboxes", 0, 1, 0, 5), "track 3, frame 0"),
    ],
)
def test_a_score_that_is_no_probability_is_refused(tmp_path, name, place, where, score):
    value = [0.5, score, 0.5] if place[-1] == "scores" else score
    refused(
        tmp_path / name, changed(visible_files()[name], *place, value), f"{where}.*scores? must be a number in .0, 1"
    )


def test_a_score_of_raw_outputs_is_told_from_other_damage(tmp_path):
    refused(tmp_path / "r.json", changed(visible_files()["genvis.json"], 0, "score", -2.5), "before the sigmoid")


@pytest.mark.parametrize(
    ("name", "place", "message"),
    [
        ("genvis.json", (0, "segmentations", None), "result 0: segmentations must be a list, got None"),
        ("genvis.json", (0, "segmentations", 0, "text"), "track 0, frame 0: expected run lengths"),
        ("genvis.json", (0, "segmentations", 0, {}), "track 0, frame 0: expected run lengths"),
        ("genvis.json", (0, "video_id", []), "result 0: video_id must be a whole number or text"),
        ("genvis.json", (0, "video_id", "a"), r"results of 2 videos \(1 to a\)"),
        ("genvis.json", (0, "category_id", {}), "result 0: category_id must be a whole number"),
        ("genvis.json", (1, 5), "result 1: expected an object, got 5"),
        ("ytvis.json", ("annotations", 1, 5), "annotation at place 1 of 'annotations': expected an object, got 5"),
        ("ytvis.json", ("videos", 0, "width", "60"), "video 1: width must be a whole number in .1, 23170., got '60'"),
        ("ytvis.json", ("videos", 0, "length", None), "video 1: neither length nor file_names"),
        ("ytvis.json", ("videos", 0, "length", 10**9), "1 tracks in 1000000000 frames are too many"),
        ("ytvis.json", ("videos", 0, "labelled", [0, 3]), "labelled must be ascending numbers of its 3 frames"),
        ("ytvis.json", ("videos", 0, "labelled", [2, 0]), "labelled must be ascending numbers of its 3 frames"),
        ("ytvis.json", ("categories", 0, {"name": "car"}), "category at place 0 of 'categories': no field 'id'"),
        ("ytvis.json", ("categories", 1, "id", 26), "category 26: a second category has this id"),
        ("ytvis.json", ("categories", 0, "name", 7), "category 26: name must be text, got 7"),
        ("ytvis.json", ("annotations", 0, "id", [1]), "id must be a whole number or text"),
        ("ytvis.json", ("annotations", 0, "states", ["seen"] * 3), "annotation 4, frame 0: states must be 'visible'"),
        ("ytvis.json", ("annotations", 0, "scores", [0.5]), "annotation 4: 1 scores but the video has 3 frames"),
        ("scalabel.json", (0, "frameIndex", "first"), "frameIndex must be a whole number"),
        ("scalabel.json", (0, "labels", 1, "poly2d", 0, {}), "track a, frame 0: no field 'vertices'"),
        ("scalabel.json", (0, "labels", 1, "poly2d", 0, "vertices", [[1], [2, 3]]), "vertices must be a list"),
        (
            "scalabel.json",
            (0, "labels", 1, "poly2d", 0, "vertices", 1, 0, 1e12),
            "polygon has a corner at",
        ),
        ("scalabel.json", (0, "labels", 1, "poly2d", 0, "types", "L"), "4 vertices of a polygon, but 1 types"),
        ("mmtracking.json", ("track_bboxes", 3), "track_bboxes must be a list, got 3"),
        ("mmtracking.json", ("track_bboxes", 0, 1, 0, [3]), r"frame 0, class 1: expected rows \(id, x0"),
        ("mmtracking.json", ("track_bboxes", 0, 1, 0, 0, 1.5), "id must be a whole number or text, got 1.5"),
        ("mmtracking.json", ("track_masks", 0, 1, []), "frame 0, class 1: .* do not match"),
        ("coco_vid.json", ("images", 0, "video_id", [1]), "video_id must be a whole number or text"),
        ("coco_vid.json", ("images", 0, "frame_id", 2**31), "image 1: frame_id must be a whole number"),
        ("coco_vid.json", ("annotations", 0, "category_id", []), "category_id must be a whole number"),
        ("coco_vid.json", ("images", 1, "id", 1), "image 1: a second image has this id"),
    ],
)
def test_a_value_of_another_kind_is_refused(tmp_path, name, place, message):
    refused(tmp_path / name, changed(visible_files()[name], *place), message)


def test_a_whole_number_may_be_written_with_a_point(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(changed(visible_files()["genvis.json"], 0, "category_id", 26.0)))
    assert open_visible(path, "v", SIZE, 3).tracks[0].category == "car"


def test_a_score_of_1_stays_as_it_is_written(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(changed(visible_files()["genvis.json"], 0, "score", 1.0)))
    assert repr(open_visible(path, "v", SIZE, 3).tracks[0].scores[0]) == "1.0"


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("scalabel.json", [{"name": "0", "labels": [{"id": 1, "category": "car", "box2d": {"x1": 3}}]}] * 3),
        ("genvis.json", [{"video_id": 1, "score": 0.5, "segmentations": [None] * 3, "bboxes": [[1, 1, 5, 5]] * 3}]),
    ],
)
def test_a_box_without_a_mask_is_refused(tmp_path, name, entry):
    refused(tmp_path / name, entry, "a box but no mask; masks are needed")


@pytest.mark.parametrize("line", ["²", "-1", "99999999999", "1.0"])
def test_a_frame_of_kitti_mots_that_is_no_number_is_refused(tmp_path, line):
    content = f"{line} 1 1 40 60 {coded(10, 30)['counts']}\n"
    refused(tmp_path / "r.txt", content, "line 1: expected 'frame id|line 1: track 1.*frame must be")


@pytest.mark.parametrize("name", ["²³.png", "٣.png", "x.png"])
def test_pictures_that_are_named_by_no_plain_number_are_no_frames(tmp_path, name):
    for file in (name, "000001.png"):
        Image.new("I;16", SIZE[::-1]).save(tmp_path / file)
    assert len(open_visible(tmp_path, "v", SIZE, None)) == 0


def test_two_pictures_of_one_frame_are_refused(tmp_path):
    for file in ("1.png", "000001.png"):
        Image.new("I;16", SIZE[::-1]).save(tmp_path / file)
    with pytest.raises(InputError, match="1.png: has the same number as 000001.png"):
        open_visible(tmp_path, "v", SIZE, 3)


def test_frames_that_no_memory_holds_are_refused(tmp_path):
    columns = VisibleColumns(tmp_path / "a.txt", "v", SIZE, None)
    columns.add(1, "car", MOST_FRAMES, Rle.from_coco(coded(10, 30), SIZE))
    with pytest.raises(InputError, match="1 tracks in 1000001 frames are too many"):
        columns.clip()


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        (0, ("size", ["a", 60]), "line 1: size must be 2 times a whole number"),
        (0, ("schema", [2]), "line 1: schema must be a whole number"),
        (0, ("clip", 5), "line 1: clip must be text"),
        (1, ("instances", 5), "line 2: instances must be a list"),
        (1, ("instances", [5]), "line 2: an instance: expected an object, got 5"),
        (1, ("t", -1), "line 2: t must be a whole number"),
        (1, ("time", NAN), "line 2: time must be a number"),
        (1, ("name", ["a"]), "line 2: name must be text"),
        (1, ("instances", 0, "id", []), "line 2: an instance: id must be a whole number or text"),
        (1, ("instances", 0, "state", "seen"), "line 2: instance 3: state must be 'visible'"),
        (1, ("instances", 0, "score", 3), r"line 2: instance 3: score must be a number in \[0, 1\]"),
        (1, ("instances", 0, "points", [[1, "x"]]), "line 2: instance 3: points must be a list"),
        (1, ("instances", 0, "box_spread", [1]), "line 2: instance 3: box_spread must be 4 times a number"),
        (
            1,
            ("instances", 0, "centre_spread", [-1, 2]),
            "line 2: instance 3: centre_spread must be 2 times a number at least 0",
        ),
        (1, ("instances", 0, "hypotheses", [None]), "line 2: instance 3, hypotheses: expected three masks"),
        (1, ("instances", 0, "beyond", {"x0": 10**9, "y0": 0, "size": [1, 1], "counts": "1"}), "beyond: x0 must be"),
        (1, ("t", 1), "frames are missing or out of order"),
    ],
)
def test_a_value_of_a_line_of_frames_is_refused(tmp_path, line, place, message):
    from fuzz_targets import results

    path = tmp_path / "frames.jsonl"
    with FramesWriter(path, "v", SIZE, {}) as writer:
        for result in results():
            writer.write(result)
    lines = [json.loads(text) for text in path.read_text().splitlines()]
    lines[line] = changed(lines[line], *place)
    path.write_text("".join(json.dumps(value) + "\n" for value in lines))
    with pytest.raises(InputError, match=f"frames.jsonl.*({message})"):
        open_visible(path, "v", SIZE, 3)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "5", '"a"', "[]"])
def test_a_line_that_is_no_object_is_refused(tmp_path, text):
    (tmp_path / "frames.jsonl").write_text(text + "\n")
    with pytest.raises(InputError, match="frames.jsonl.*(no header|no JSON that can be read)"):
        read_frames(tmp_path / "frames.jsonl")


@pytest.mark.parametrize(
    ("file", "place", "message"),
    [
        ("results.json", (0, "score", -2), r"result 0: score must be a number in \[0, 1\]"),
        ("results.json", (0, "score", "0.9"), "result 0: score must be a number"),
        ("results.json", (0, "image_id", [1]), "result 0: image_id must be a whole number or text"),
        ("results.json", (0, {"image_id": 1, "bbox": [1, 1, 5, 5]}), "result 0: a box but no mask"),
        ("results.json", (0, {"image_id": 1, "score": 1}), "result 0: no mask; masks are needed"),
        ("truth.json", ("annotations", 0, "iscrowd", "0"), "annotation 1: iscrowd must be 0 or 1, got '0'"),
        ("truth.json", ("annotations", 0, "iscrowd", 2), "annotation 1: iscrowd must be 0 or 1, got 2"),
        ("truth.json", ("annotations", 0, "occlude_rate", 256), "annotation 1: occlude_rate must be a number in"),
        ("truth.json", ("annotations", 0, "area", -4), "annotation 1: area must be a number at least 0"),
        ("truth.json", ("annotations", 0, "segmentation", []), "annotation 1: a box but no mask"),
        ("truth.json", ("annotations", 1, "id", 1), "annotation 1: a second annotation has this id"),
        ("truth.json", ("images", 1, "id", 1), "image 1: a second image has this id"),
        ("truth.json", ("images", 0, "height", 10**6), "image 1: height must be a whole number in"),
        ("truth.json", ("images", 0, "file_name", 5), "image 1: file_name must be text"),
    ],
)
def test_evaluate_refuses_what_is_no_value(tmp_path, file, place, message):
    for name, content in image_files().items():
        content = changed(content, *place) if name == file else content
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"{file}: {message}"):
        evaluate(tmp_path / "results.json", tmp_path / "truth.json", ScoringRules())


def test_an_id_twice_in_an_image_is_refused(tmp_path):
    files = image_files()
    for result in files["results.json"]:
        result |= {"image_id": 1, "track_id": 7}
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(InputError, match="results.json: id 7 is there twice in image or video 1"):
        evaluate(tmp_path / "results.json", tmp_path / "truth.json", ScoringRules())


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("annotations", 0, "segmentations", None), "annotation 4: segmentations must be a list, got None"),
        (("annotations", 0, "areas", ["a", None, 1]), "annotation 4, frame 0: areas must be a number"),
        (("annotations", 0, "occlude_rate", [2, None, 0]), "annotation 4, frame 0: occlude_rate must be a number in"),
        (("annotations", 0, "iscrowd", "no"), "annotation 4: iscrowd must be 0 or 1, got 'no'"),
        (("videos", 0, "id", None), "video at place 0 of 'videos': id must be a whole number or text"),
        (("videos", 0, 7), "video at place 0 of 'videos': expected an object"),
    ],
)
def test_evaluate_of_videos_refuses_what_is_no_value(tmp_path, place, message):
    files = visible_files()
    (tmp_path / "truth.json").write_text(json.dumps(changed(files["ytvis.json"], *place)))
    (tmp_path / "results.json").write_text(json.dumps(files["genvis.json"]))
    with pytest.raises(InputError, match=f"truth.json: {message}"):
        evaluate(tmp_path / "results.json", tmp_path / "truth.json", ScoringRules())


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    (tmp_path / "v").mkdir()
    for t in range(3):
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "v" / f"{t}.png")
    path = tmp_path / "r.json"
    path.write_text(json.dumps(changed(visible_files()["genvis.json"], 1, "score", NAN)))
    assert main(["run", str(tmp_path / "v"), "--vis", f"file:{path}", "--out", str(tmp_path / "o")]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message == f"samodal run: {path}: result 1: score must be a number in [0, 1] or null, got nan"
