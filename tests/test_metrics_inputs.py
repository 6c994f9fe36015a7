"""Numbers of `samodal evaluate` that mean what they say: which clips, which classes, ids and forms of files."""

import json
from itertools import permutations

import numpy as np
import pytest
from PIL import Image

from samodal.cli.evaluate import EvaluateSettings, main
from samodal.errors import InputError
from samodal.metrics.identity import count_identities, identity_scores
from samodal.results.frames import FramesWriter
from samodal.results.tracks_json import write_tracks
from samodal.results.youtube_vis import read_clips
from samodal.rle import Rle
from samodal.tracks import Clip, FrameResult, Instance, State, Track

SIZE = (10, 40)


def block(x: int, width: int = 4) -> Rle:
    mask = np.zeros(SIZE, bool)
    mask[2:8, x : x + width] = True
    return Rle.encode(mask)


def coded(*places: int | None) -> list[dict | None]:
    return [None if x is None else block(x).to_coco() for x in places]


def wrong(*places: int | None) -> list[dict | None]:
    """Masks that overlap those of `coded` not at all."""
    return coded(*(None if x is None else x + 10 for x in places))


CATEGORIES = [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}]


def videos(**annotations) -> dict:
    """Truth of videos by name, each a list of entries."""
    numbered = [(n, entry) for n, entries in enumerate(annotations.values(), start=1) for entry in entries]
    length = len(numbered[0][1]["segmentations"])
    return {
        "videos": [
            {"id": n, "name": name, "height": SIZE[0], "width": SIZE[1], "length": length}
            for n, name in enumerate(annotations, start=1)
        ],
        "categories": CATEGORIES,
        "annotations": [
            {"id": i, "video_id": n, "category_id": 1, "iscrowd": 0, **entry} for i, (n, entry) in enumerate(numbered)
        ],
    }


@pytest.fixture
def evaluated(tmp_path):
    """Scores of results against truth, each a path or what its JSON file holds."""

    def given(value, name: str) -> str:
        if not isinstance(value, list | dict):
            return str(value)
        (tmp_path / name).write_text(json.dumps(value))
        return str(tmp_path / name)

    def scores(results, truth, **settings) -> dict:
        target = tmp_path / "scores.json"
        settings = {"profile": "strict", "json": str(target), **settings}
        main(EvaluateSettings(given(results, "results.json"), given(truth, "truth.json"), **settings))
        return json.loads(target.read_text())

    return scores


def result(video: int, masks: list, score: float = 0.5, category: int = 1) -> dict:
    return {"video_id": video, "category_id": category, "segmentations": masks, "score": score}


# Clips


TWO = videos(day=[{"segmentations": coded(0, 4)}], night=[{"segmentations": coded(8, 12)}])
RIGHT_BY_DAY = [result(1, coded(0, 4)), result(2, wrong(8, 12))]


@pytest.mark.parametrize(("clips", "ap", "count"), [("day", 1.0, 1), ("night", 0.0, 1), ("day,night", 0.505, 2)])
def test_chosen_clips_of_a_file_alone_are_scored(evaluated, clips, ap, count):
    scores = evaluated(RIGHT_BY_DAY, TWO, clips=clips)
    assert scores["metrics"]["AP"] == pytest.approx(ap, abs=1e-3)
    assert (scores["counts"]["clips"], scores["counts"]["detections"]) == (count, count)


@pytest.mark.parametrize("clips", ["noon", "day,noon", "", "day,"])
def test_a_clip_that_the_truth_lacks_is_refused_also_for_files(evaluated, clips):
    with pytest.raises(InputError, match="truth.json: no clip '(noon)?'; there is day, night"):
        evaluated(RIGHT_BY_DAY, TWO, clips=clips)


def test_images_of_a_folder_are_a_clip_that_can_be_chosen(evaluated):
    truth = images((1, 0), (2, 8))
    truth["images"][0]["file_name"], truth["images"][1]["file_name"] = "a/1.png", "b/1.png"
    results = [detection(1, 0), detection(2, 20)]
    assert evaluated(results, truth, clips="a")["metrics"]["AP"] == 1.0
    assert evaluated(results, truth, clips="b")["metrics"]["AP"] == 0.0
    with pytest.raises(InputError, match="no clip 'c'; there is a, b"):
        evaluated(results, truth, clips="c")


def images(*placed: tuple[int, int], **of_all) -> dict:
    return {
        "images": [{"id": n, "height": SIZE[0], "width": SIZE[1]} for n in sorted({n for n, _ in placed})],
        "categories": CATEGORIES,
        "annotations": [
            {"id": i, "image_id": n, "category_id": 1, "segmentation": block(x).to_coco(), **of_all}
            for i, (n, x) in enumerate(placed, start=1)
        ],
    }


def detection(image: int, x: int, score: float = 0.5, category: int = 1, width: int = 4) -> dict:
    mask = block(x, width).to_coco()
    return {"image_id": image, "category_id": category, "segmentation": mask, "score": score}


# Ties


def test_detections_that_all_have_score_one_give_one_number_in_any_order(evaluated):
    # Two cars in image 1, of which a wide detection touches both; one car in image 2; and two false detections.
    found = [detection(1, 0), detection(1, 0, width=7), detection(1, 4), detection(2, 20), detection(2, 30)]
    truth = images((1, 0), (1, 4), (2, 30))
    numbers = [evaluated(list(order), truth, scores="ones")["metrics"] for order in list(permutations(found))[::7]]
    assert all(metrics == numbers[0] for metrics in numbers)
    assert numbers[0]["AP75"] == pytest.approx(3 / 5)  # 3 of 5 detections are right, and all cars are found
    in_order = {evaluated(order, truth, scores="ones_in_order")["metrics"]["AP75"] for order in (found, found[::-1])}
    assert len(in_order) == 2


def test_missed_instances_end_the_recall_of_tied_detections(evaluated):
    scores = evaluated([detection(1, 0), detection(1, 30)], images((1, 0), (1, 10)), scores="ones")
    assert scores["metrics"]["AP50"] == pytest.approx(0.5 * 51 / 101)  # precision 1/2 at recalls 0, 0.01, … 0.5
    assert evaluated([], images((1, 0)), scores="ones")["metrics"]["AP"] == 0.0
    assert evaluated([], images((1, 0), iscrowd=1), scores="ones")["metrics"]["AP"] is None


def test_tied_detections_have_intervals_of_the_same_number(evaluated):
    truth = images((1, 0), (2, 0))
    results = [detection(n, x) for n in (1, 2) for x in (0, 20)]
    scores = evaluated(results, truth, scores="ones", bootstrap=20)
    assert scores["metrics"]["AP"] == 0.5 and scores["intervals"]["AP"] == [0.5, 0.5]


# Classes


def test_class_aware_ap_counts_a_detection_of_another_class_as_wrong(evaluated):
    truth = videos(a=[{"segmentations": coded(0)}, {"segmentations": coded(10), "category_id": 2}])
    scores = evaluated([result(1, coded(0)), result(1, coded(10), category=1)], truth, per_class=True)
    classes = scores["per_class"]["classes"]
    assert scores["metrics"]["AP"] == 1.0
    assert (classes["car"]["AP50"], classes["car"]["detections"], classes["person"]["AP50"]) == (1.0, 2, 0.0)
    assert scores["per_class"]["mean"]["AP50"] == 0.5


def test_class_aware_ap_is_given_only_where_it_is_wanted(evaluated):
    assert not {"per_class", "identity", "notes"} & evaluated(RIGHT_BY_DAY, TWO).keys()


def test_classes_go_by_name_where_both_sides_have_names(evaluated, tmp_path):
    truth = videos(a=[{"segmentations": coded(0, 4)}])
    path = tmp_path / "tracks.json"  # numbers cars as 26
    masks = (block(0), block(4))
    write_tracks(path, Clip("a", SIZE, ("0", "1"), (Track(7, "car", 0.5, masks, masks),)))
    assert evaluated(path, truth, per_class=True)["per_class"]["mean"]["AP"] == 1.0
    assert evaluated(path, path, per_class=True)["per_class"]["classes"].keys() == {"car"}


def test_detections_of_classes_that_the_truth_lacks_are_named(evaluated):
    results = [detection(1, 0), detection(1, 20, category=2), detection(1, 30, category=9)]
    per_class = evaluated(results, images((1, 0)), per_class=True)["per_class"]
    assert (per_class["mean"]["AP"], per_class["unknown"]) == (1.0, ["class 9", "person"])
    with pytest.raises(InputError, match="the results name other classes .person. than the truth .car."):
        evaluated(results[1:2], images((1, 0)), per_class=True)


def test_a_class_name_cannot_steer_the_terminal(evaluated, capsys):
    truth = images((1, 0))
    truth["categories"] = [{"id": 1, "name": "\x1b[31m[bold]car"}]
    evaluated([detection(1, 0)], truth, per_class=True)
    printed = capsys.readouterr().out
    assert "\x1b[31m" not in printed and "[bold]car" in printed


def test_metrics_of_nothing_are_a_dash_on_the_terminal_and_the_published_number_in_json(evaluated, capsys):
    scores = evaluated([detection(1, 0)], images((1, 0)), profile="official")  # nothing is hidden
    assert scores["metrics"]["AP50_heavy"] == -1.0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "AP50_heavy" in line]
    assert row.replace("│", " ").split() == ["AP50_heavy", "-"]


# Identities


def test_identities_are_scored_on_the_command_line(evaluated, capsys):
    truth = videos(a=[{"segmentations": coded(0, 4, 8, 12)}])
    halves = [result(1, [*coded(0, 4), None, None]), result(1, [None, None, *coded(8, 12)])]
    scores = evaluated(halves, truth, identity=True)["identity"]
    assert (scores["DetA"], scores["IDF1"], scores["id_switches"]) == (1.0, 0.5, 1)
    assert scores["HOTA"] == pytest.approx(np.sqrt(0.5))
    printed = capsys.readouterr().out
    assert "HOTA" in printed and "0.7071" in printed and "IDF1" in printed


def test_identities_of_runs_are_those_of_their_clips(evaluated, tmp_path):
    places = (block(0), block(4))
    clip = Clip("a", SIZE, ("0", "1"), (Track(1, "car", 0.5, places, places),))
    write_tracks(tmp_path / "runs/a/tracks.json", clip)
    write_tracks(tmp_path / "truth.json", clip)
    scores = evaluated(tmp_path / "runs", tmp_path / "truth.json", identity=True)
    counts = count_identities(*[read_clips(tmp_path / "truth.json")] * 2, "amodal")
    assert scores["identity"] == {"video": identity_scores(counts.values()), "image": None}


def test_what_lies_in_a_crowd_counts_neither_for_nor_against_an_identity(evaluated):
    crowd = {"segmentations": [block(20, 12).to_coco()] * 2, "iscrowd": 1}
    truth = videos(a=[{"segmentations": coded(0, 4)}, crowd])
    results = [result(1, coded(0, 4)), result(1, coded(22, 26))]
    assert evaluated(results, truth, identity=True)["identity"]["HOTA"] == 1.0
    assert evaluated([*results, result(1, coded(12, 12))], truth, identity=True)["identity"]["HOTA"] < 1.0


# Crowds


def test_ap_and_mean_iou_agree_that_a_crowd_is_no_instance(evaluated, tmp_path):
    crowd = {"segmentations": [block(20, 12).to_coco()] * 2, "iscrowd": 1}
    truth = videos(a=[{"segmentations": coded(0, 4)}, crowd])
    scores = evaluated([result(1, coded(0, 4))], truth)
    assert (scores["metrics"]["AP"], scores["metrics"]["miou"], scores["metrics"]["miou_micro"]) == (1.0, 1.0, 1.0)
    assert (scores["counts"]["instances"], scores["counts"]["true_masks"], scores["counts"]["crowds"]) == (1, 2, 1)
    # The same through clips: results in a folder of runs.
    masks = (block(0), block(4))
    write_tracks(tmp_path / "runs/a/tracks.json", Clip("a", SIZE, ("0", "1"), (Track(1, "car", 0.5, masks, masks),)))
    both = evaluated(tmp_path / "runs", truth, masks="visible")
    assert {(m["AP"], m["miou"]) for m in both["metrics"].values()} == {(1.0, 1.0)}
    assert both["counts"]["image"]["crowds"] == 2


def test_a_prediction_with_the_id_of_a_crowd_is_not_paired_with_it(evaluated):
    truth = images((1, 0), (1, 20))
    truth["annotations"][1] |= {"iscrowd": 1, "segmentation": block(20, 12).to_coco()}
    scores = evaluated([detection(1, 0), detection(1, 24)], truth)
    assert (scores["metrics"]["AP"], scores["metrics"]["miou"]) == (1.0, 1.0)


def test_crowds_come_back_as_crowds_from_a_file_of_ours(tmp_path):
    masks = (block(0),)
    tracks = (Track(1, "car", None, masks, masks), Track(2, "car", None, masks, masks, crowd=True))
    write_tracks(tmp_path / "truth.json", Clip("a", SIZE, ("0",), tracks))
    (read,) = read_clips(tmp_path / "truth.json").values()
    assert [track.crowd for track in read.tracks] == [False, True]


# What is missing, twice, or of another video


def run(path, name: str, places, length: int | None = None) -> None:
    """A finished run of one car; masks are visible ones and amodal ones alike."""
    length = length or len(places)
    masks = tuple(map(block, places))
    track = Track(1, "car", 0.5, masks, masks)
    write_tracks(path / name / "tracks.json", Clip(name, SIZE, tuple(f"{t}.png" for t in range(length)), (track,)))


def test_clips_and_frames_without_results_are_named(evaluated, tmp_path, capsys):
    clips = [
        Clip(name, SIZE, ("0.png", "1.png", "2.png"), (Track(1, "car", None, masks, masks),))
        for name in ("day", "night", "rain")
        for masks in [(block(0), block(4), block(8))]
    ]
    write_tracks(tmp_path / "truth.json", clips)
    run(tmp_path / "runs", "day", (0, 4, 8))
    run(tmp_path / "runs", "night", (0,))
    scores = evaluated(tmp_path / "runs", tmp_path / "truth.json")
    assert scores["notes"] == [
        "clip night: results of 1 of 3 frames; nothing is found in the others. Was the run not finished?",
        "no results of 1 of 3 clips (rain): nothing is found in them",
    ]
    assert "samodal evaluate: clip night: results of 1 of 3 frames" in capsys.readouterr().err
    assert "notes" not in evaluated(tmp_path / "runs", tmp_path / "truth.json", clips="day")


def test_a_frames_jsonl_can_be_scored_itself_and_one_that_is_cut_is_named(evaluated, tmp_path):
    masks = (block(0), block(4))
    write_tracks(tmp_path / "truth.json", Clip("a", SIZE, ("0.png", "1.png"), (Track(1, "car", None, masks, masks),)))
    with FramesWriter(tmp_path / "frames.jsonl", "a", SIZE) as writer:
        writer.write(FrameResult(0, 0.0, (Instance(1, "car", 0.5, State.VISIBLE, masks[0], masks[0]),)), "0.png")
    scores = evaluated(tmp_path / "frames.jsonl", tmp_path / "truth.json")
    assert scores["metrics"]["image"]["AR100"] == 0.5
    assert "results of 1 of 2 frames" in scores["notes"][0]


@pytest.mark.parametrize(
    ("results", "change", "reason"),
    [
        ([{"track_id": 7}, {"track_id": 7}], {}, "results.json: id 7 is there twice in image or video 1"),
        ([], {"annotations": "id"}, "truth.json: annotation 0: a second annotation has this id"),
        ([], {"videos": "id"}, "truth.json: video 1: a second video has this id"),
    ],
)
def test_ids_that_are_there_twice_are_named(evaluated, results, change, reason):
    truth = videos(a=[{"segmentations": coded(0)}, {"segmentations": coded(10)}], b=[{"segmentations": coded(0)}])
    for name, key in change.items():
        truth[name][1][key] = truth[name][0][key]
    with pytest.raises(InputError, match=reason):
        evaluated([result(1, coded(0)) | more for more in results], truth)


def test_an_annotation_id_of_two_tracks_is_named(evaluated):
    truth = videos(a=[{"id": 5, "track_id": 1, "segmentations": coded(0)}], b=[{"segmentations": coded(0)}])
    truth["annotations"][1] |= {"id": 5, "track_id": 2}
    with pytest.raises(InputError, match="truth.json: annotation 5: a second annotation has this id"):
        evaluated([], truth)


def test_an_image_id_that_is_there_twice_is_named(evaluated):
    truth = images((1, 0), (2, 0))
    truth["images"][1]["id"] = 1
    with pytest.raises(InputError, match="truth.json: image 1: a second image has this id"):
        evaluated([], truth)


def test_results_of_fewer_frames_than_the_truth_are_refused_by_name(evaluated):
    truth = videos(a=[{"segmentations": coded(0, 4, 8)}])
    with pytest.raises(InputError, match="results.json: result 0: 2 masks but the video has 3 frames"):
        evaluated([result(1, coded(0, 4))], truth)


# Scalabel and KITTI MOTS


def scalabel(*frames: tuple[str, int, list], as_polygons: bool = False, **video) -> list[dict]:
    """(name, index, places) of each frame."""

    def label(n: int, x: int) -> dict:
        corners = [[x, 2], [x + 4, 2], [x + 4, 8], [x, 8]]
        shape = {"poly2d": [{"vertices": corners}]} if as_polygons else {"rle": block(x).to_coco()}
        return {"id": str(n), "category": "car", **shape}

    return [
        {"name": name, "frameIndex": index, "labels": [label(n, x) for n, x in enumerate(places)], **video}
        for name, index, places in frames
    ]


def test_scalabel_is_truth_of_a_run_whose_frames_go_by_name(evaluated, tmp_path):
    run(tmp_path / "runs", "a", (0, 4))
    frames = [("1.png", 8, [4]), ("0.png", 3, [0])]  # indices count from the start of a longer video
    for truth in (scalabel(*frames, videoName="a"), {"frames": scalabel(*frames)}):
        scores = evaluated(tmp_path / "runs", truth, masks="visible", identity=True)
        assert {metrics["AP"] for metrics in scores["metrics"].values()} == {1.0}
        assert scores["identity"]["video"]["HOTA"] == 1.0


def test_polygons_of_scalabel_are_drawn_on_frames_of_the_size_of_the_results(evaluated, tmp_path):
    run(tmp_path / "runs", "a", (0, 4))
    truth = scalabel(("0.png", 0, [0]), ("1.png", 1, [4]), as_polygons=True, videoName="a")
    assert evaluated(tmp_path / "runs", truth, masks="visible")["metrics"]["video"]["AP"] == 1.0
    config = {"imageSize": {"height": SIZE[0], "width": SIZE[1]}}
    sized = {"frames": truth, "config": config}
    assert evaluated(sized, {**sized}, masks="visible")["metrics"]["video"]["AP"] == 1.0
    with pytest.raises(InputError, match="results.json: does not say the size of its frames"):
        evaluated(truth, truth, masks="visible")


def test_results_in_scalabel_form_are_scored_against_other_truth(evaluated):
    truth = videos(a=[{"segmentations": coded(0, 4)}])
    scores = evaluated(scalabel(("x", 0, [0]), ("y", 1, [4]), videoName="a"), truth, masks="visible")
    assert scores["metrics"]["video"]["AP"] == 1.0


@pytest.mark.parametrize("name", ["crowd", "Crowd"])
def test_a_crowd_of_scalabel_counts_neither_for_nor_against(evaluated, name):
    truth = scalabel(("0.png", 0, [0, 20]))
    truth[0]["labels"][1]["attributes"] = {name: True}
    for results in (scalabel(("0.png", 0, [0])), scalabel(("0.png", 0, [0, 20]))):
        scores = evaluated(results, truth, masks="visible")
        assert {(m["AP"], m["miou"]) for m in scores["metrics"].values()} == {(1.0, 1.0)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda truth, label: truth["frames"][0].update(videoName=["a"]), "frame at place 0 .*: videoName must be"),
        (lambda truth, label: truth["frames"][0].update(labels={}), "frame at place 0 .*: labels must be a list"),
        (lambda truth, label: truth.update(frames=[*truth["frames"], 3]), "frame at place 1 .*: expected an object"),
        (lambda truth, label: truth.update(config=[1]), "config must be an object"),
        (lambda truth, label: truth.update(config={"imageSize": {"height": 10}}), "imageSize: no field 'width'"),
        (lambda truth, label: truth.update(config={"imageSize": 7}), "config: imageSize must be an object"),
        (lambda truth, label: label.update(rle={"size": [10], "counts": "a"}), "rle: size must be 2 times"),
        (lambda truth, label: label.update(attributes=["crowd"]), "track 0, frame 0: attributes must be an object"),
        (lambda truth, label: label.update(attributes={"crowd": "no"}), "track 0, frame 0: crowd must be 0 or 1"),
    ],
)
def test_values_that_scalabel_truth_cannot_have_are_named(evaluated, change, message):
    truth = {"frames": scalabel(("0.png", 0, [0]))}
    change(truth, truth["frames"][0]["labels"][0])
    with pytest.raises(InputError, match=f"truth.json.*{message}"):
        evaluated(scalabel(("0.png", 0, [0])), truth, masks="visible")


def test_videos_of_scalabel_may_be_named_by_numbers(evaluated):
    truth = [*scalabel(("0.png", 0, [0]), videoName=3), *scalabel(("0.png", 0, [4]), videoName=4)]
    assert evaluated(truth, truth, masks="visible")["metrics"]["video"]["AP"] == 1.0


def kitti(path, *lines: tuple[int, int, int, int]):
    """(frame, id, class, place) of each line."""
    text = [
        f"{t} {key} {kind} {SIZE[0]} {SIZE[1]} {block(x, 12 if kind == 10 else 4).counts}" for t, key, kind, x in lines
    ]
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("\n".join(text) + "\n")
    return path


def test_kitti_mots_text_is_truth_of_results_of_its_own_form_and_of_runs(evaluated, tmp_path):
    truth = kitti(tmp_path / "true/0002.txt", (0, 1001, 1, 0), (1, 1001, 1, 4))
    results = kitti(tmp_path / "found/0002.txt", (0, 3, 1, 0), (1, 3, 1, 4))
    run(tmp_path / "runs", "0002", (0, 4))
    for found, true in ((results, truth), (results.parent, truth.parent), (tmp_path / "runs", truth)):
        scores = evaluated(found, true, masks="visible", identity=True)
        assert (scores["metrics"]["video"]["AP"], scores["identity"]["video"]["IDF1"]) == (1.0, 1.0)


def test_results_of_the_beginning_of_a_kitti_sequence_are_refused_with_what_cuts_its_truth(evaluated, tmp_path):
    lines = [(t, 1001, 1, 4 * t) for t in range(3)]
    run(tmp_path / "runs", "0002", (0, 4))
    with pytest.raises(InputError, match=r"results of 2 .* truth has 3; .* kitti_mots:.* awk '\$1 < 2' 0002.txt"):
        evaluated(tmp_path / "runs", kitti(tmp_path / "0002.txt", *lines), masks="visible")
    scores = evaluated(tmp_path / "runs", kitti(tmp_path / "begin.txt", *lines[:2]), masks="visible")
    assert scores["metrics"]["video"]["AP"] == 1.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"0 1001 1 {10**9} 40 0", "line 1: height must be a whole number in"),
        (
            f"0 1001 1 {'9' * 500}x 40 0",
            "line 1: expected 'frame id class height width run-lengths', got '0 1001 1 999",
        ),
    ],
)
def test_a_first_line_of_kitti_mots_without_a_size_is_cut_short(evaluated, tmp_path, line, message):
    truth, results = tmp_path / "0002.txt", kitti(tmp_path / "found/0002.txt", (0, 3, 1, 0))
    truth.write_text(line + "\n")
    with pytest.raises(InputError, match=message) as caught:
        evaluated(results, truth, masks="visible")
    assert len(str(caught.value)) < 500


def test_kitti_mots_pictures_are_truth(evaluated, tmp_path):
    folder = tmp_path / "instances/0002"
    folder.mkdir(parents=True)
    for t, x in enumerate((0, 4)):
        Image.fromarray(block(x).decode().astype(np.uint16) * 1001).save(folder / f"{t:06d}.png")
    results = kitti(tmp_path / "0002.txt", (0, 3, 1, 0), (1, 3, 1, 4))
    for truth in (folder, folder.parent):
        assert evaluated(results, truth, masks="visible")["metrics"]["image"]["AP"] == 1.0


def test_frames_after_the_last_one_that_kitti_mots_names_have_nothing_in_them(evaluated, tmp_path):
    truth = kitti(tmp_path / "true/0002.txt", (0, 1001, 1, 0))
    results = kitti(tmp_path / "found/0002.txt", (0, 3, 1, 0), (1, 3, 1, 20))
    for found, true, recall in ((results, truth, 1.0), (truth, results, 0.5)):
        scores = evaluated(found, true, masks="visible")
        assert scores["counts"]["image"]["frames"] == 2 and "notes" not in scores
        assert scores["metrics"]["image"]["AR100"] == recall


def test_a_region_to_ignore_in_kitti_mots_counts_neither_for_nor_against(evaluated, tmp_path):
    truth = kitti(tmp_path / "true/0002.txt", (0, 1001, 1, 0), (0, 10000, 10, 20))
    results = kitti(tmp_path / "found/0002.txt", (0, 3, 1, 0), (0, 4, 1, 24))
    scores = evaluated(results, truth, masks="visible", identity=True, per_class=True)
    assert {metrics["AP"] for metrics in scores["metrics"].values()} == {1.0}
    assert (scores["identity"]["video"]["HOTA"], scores["per_class"]["image"]["mean"]["AP"]) == (1.0, 1.0)
    assert scores["per_class"]["image"]["classes"].keys() == {"car"}


def test_truth_and_results_with_visible_masks_alone_are_not_scored_as_amodal(evaluated, tmp_path):
    truth = kitti(tmp_path / "true/0002.txt", (0, 1001, 1, 0))
    with pytest.raises(InputError, match="the truth has visible masks alone, no amodal ones: give --masks visible"):
        evaluated(truth, truth)
    masks = (block(0),)
    write_tracks(tmp_path / "truth.json", Clip("0002", SIZE, ("0",), (Track(1, "car", None, masks, masks),)))
    with pytest.raises(InputError, match="the results have visible masks alone"):
        evaluated(truth, tmp_path / "truth.json")


@pytest.mark.parametrize("name", ["truth.json", "truth.xml", "empty", "nowhere.json"])
def test_truth_of_another_form_is_named_with_the_forms_that_are_known(evaluated, tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "truth.xml").write_text("<a/>")
    (tmp_path / "truth.json").write_text('{"a": 1}')
    run(tmp_path / "runs", "a", (0,))
    for results in (tmp_path / "runs", tmp_path / "runs/a/tracks.json"):
        with pytest.raises(InputError, match=f"{name}: (unknown form of truth; known are YouTube-VIS|no such file)"):
            evaluated(results, tmp_path / name)
