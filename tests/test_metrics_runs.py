"""A folder of runs against a data set, through `samodal evaluate`'s main."""

import json

import numpy as np
import pytest
from PIL import Image

from samodal.cli.evaluate import EvaluateSettings, main
from samodal.data.asd import InstanceTruth, write_frame
from samodal.errors import InputError
from samodal.metrics import levels
from samodal.results.frames import FramesWriter
from samodal.results.tracks_json import write_tracks
from samodal.rle import Rle
from samodal.tracks import Clip, FrameResult, Instance, State, Track

SIZE = (40, 60)
NAMES = ("morning", "night")


def rectangle(x0: int, x1: int) -> Rle | None:
    mask = np.zeros(SIZE, bool)
    mask[10:30, max(x0, 0) : max(x1, 0)] = True
    return Rle.encode(mask) if mask.any() else None


def car(t: int) -> tuple[Rle, Rle | None]:
    """Amodal and visible mask of a car that drives behind something: whole, half, wholly hidden, whole."""
    x = 5 + 8 * t
    return rectangle(x, x + 20), (rectangle(x, x + 20), rectangle(x, x + 10), None, rectangle(x, x + 20))[t]


def frame_name(t: int) -> str:
    return f"front_full_{t:04d}_rgb.jpg"


@pytest.fixture
def root(tmp_path):
    """Two clips of four frames; there is nothing but the car in both."""
    for name in NAMES:
        images = tmp_path / "val/images/front" / name
        images.mkdir(parents=True)
        for t in range(4):
            Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(images / frame_name(t))
            amodal, visible = car(t)
            labels = tmp_path / "val/amodal_instance_seg/front" / name
            write_frame(labels, t, [InstanceTruth(5, "car", amodal, visible)], SIZE)
    return tmp_path


def clip(name: str, amodal, frames=range(4), score=0.5, key=5) -> Clip:
    visible = tuple(car(t)[1] for t in frames)
    pairs = zip(amodal, visible, strict=True)
    states = tuple(None if a is None else State.VISIBLE if v else State.HIDDEN for a, v in pairs)
    track = Track(key, "car", score, visible, tuple(amodal), states, (score,) * len(states))
    return Clip(name, SIZE, tuple(frame_name(t) for t in frames), (track,))


def save(root, *clips: Clip) -> str:
    for recorded in clips:
        write_tracks(root / "runs" / recorded.name / "tracks.json", recorded)
    return str(root / "runs")


def scores(root, runs: str, **settings) -> dict:
    settings = {"truth": f"asd:{root}/val", "profile": "strict", **settings}
    main(EvaluateSettings(runs, json=str(root / "scores.json"), **settings))
    return json.loads((root / "scores.json").read_text())


PERFECT = tuple(car(t)[0] for t in range(4))


def test_a_perfect_run_scores_one_at_both_levels(root):
    found = scores(root, save(root, *(clip(name, PERFECT) for name in NAMES)))
    assert (found["level"], found["settings"]["pairing"]) == ("both", "identity")
    for level in ("image", "video"):
        metrics = found["metrics"][level]
        for name in ("AP", "AP50", "miou", "miou_micro", "miou_hidden", "miou_fully_hidden"):
            assert metrics[name] == 1.0, (level, name)
    image = found["metrics"]["image"]
    assert (image["AP50_none"], image["AP50_medium_occlusion"], image["AP50_hidden"]) == (1.0, 1.0, 1.0)
    assert image["AP50_heavy"] is None
    assert found["counts"]["video"]["instances"] == 2 and found["counts"]["image"]["instances"] == 8


def test_a_clip_without_results_has_nothing_found(root):
    found = scores(root, save(root, clip("night", PERFECT)))
    assert found["counts"]["image"]["clips_with_results"] == 1
    assert found["metrics"]["video"]["AR100"] == 0.5 and found["metrics"]["image"]["AR100"] == 0.5
    assert found["metrics"]["image"]["miou"] == 0.5


def test_chosen_clips_alone_are_scored(root):
    runs = save(root, clip("night", PERFECT))
    assert scores(root, runs, clips="night")["metrics"]["video"]["AP"] == 1.0
    assert scores(root, runs, clips="morning")["metrics"]["video"]["AP"] == 0.0
    with pytest.raises(InputError, match="no clip 'noon'; there is morning, night"):
        scores(root, runs, clips="noon")


def test_frames_are_joined_by_name_and_missing_ones_are_missed(root):
    late = clip("night", PERFECT[2:], frames=(2, 3))
    found = scores(root, save(root, late, clip("morning", PERFECT)))
    assert found["metrics"]["image"]["AR100"] == pytest.approx(6 / 8)
    assert found["metrics"]["image"]["miou"] == pytest.approx(6 / 8)
    assert found["metrics"]["image"]["miou_fully_hidden"] == 1.0


def test_copying_the_visible_mask_misses_what_is_hidden(root):
    visible = tuple(car(t)[1] for t in range(4))
    image = scores(root, save(root, *(clip(name, visible) for name in NAMES)))["metrics"]["image"]
    assert (image["AP50_none"], image["AR50_hidden"], image["miou_hidden"]) == (1.0, 0.0, 0.0)
    assert image["miou"] == pytest.approx((1 + 0.5 + 0 + 1) / 4)


def test_visible_masks_are_scored_on_their_own(root):
    visible = tuple(car(t)[1] for t in range(4))
    found = scores(root, save(root, *(clip(name, visible) for name in NAMES)), masks="visible")
    assert found["metrics"]["image"]["AP"] == 1.0 and found["counts"]["image"]["instances"] == 6


def test_official_ignores_what_is_hidden_by_more_than_three_quarters(root):
    visible = tuple(car(t)[1] for t in range(4))
    found = scores(root, save(root, *(clip(name, visible) for name in NAMES)), profile="official")
    assert found["metrics"]["image"]["AR50_heavy"] == 1.0  # IoU exactly 0.5 in the half hidden frame
    assert found["metrics"]["image"]["AP50"] == 1.0
    assert found["metrics"]["image"]["AP50_large"] == -1.0


def test_official_images_hold_no_prediction_of_a_hidden_instance_but_videos_do(root):
    elsewhere = (
        *PERFECT[:2],
        rectangle(0, 3),
        PERFECT[3],
    )  # frame 2: predicted at a wrong place while hidden
    runs = save(root, *(clip(name, elsewhere) for name in NAMES))
    official = scores(root, runs, profile="official")
    assert official["metrics"]["image"]["AP"] == 1.0 and official["counts"]["image"]["detections"] == 6
    assert official["counts"]["video"]["predicted_masks"] == 8
    assert scores(root, runs)["counts"]["image"]["detections"] == 8


def test_a_level_can_be_chosen(root):
    found = scores(root, save(root, *(clip(name, PERFECT) for name in NAMES)), level="image")
    assert found["level"] == "image" and found["metrics"]["AP"] == 1.0


def test_an_interrupted_run_counts_with_the_frames_it_finished(root):
    save(root, clip("morning", PERFECT))
    with FramesWriter(root / "runs/night/frames.jsonl", "night", SIZE) as writer:
        for t in range(2):
            amodal, visible = car(t)
            instance = Instance(5, "car", 0.5, State.VISIBLE, visible, amodal)
            writer.write(FrameResult(t, t / 10, (instance,)), frame_name(t))
    assert scores(root, str(root / "runs"))["metrics"]["image"]["AR100"] == pytest.approx(6 / 8)


def test_equal_results_have_an_interval_without_width_and_unequal_ones_do_not(root):
    runs = save(root, *(clip(name, PERFECT) for name in NAMES))
    assert scores(root, runs, bootstrap=50)["intervals"]["image"]["miou"] == [1.0, 1.0]
    write_tracks(root / "runs/night/tracks.json", clip("night", [None] * 3 + [PERFECT[3]]))
    low, high = scores(root, runs, bootstrap=200)["intervals"]["image"]["miou"]
    assert (low, high) == (0.25, 1.0)


def test_scores_of_one_in_order_rank_by_the_order_of_the_file_and_else_not_at_all(root):
    wrong = Track(9, "car", 0.9, (None,) * 4, (rectangle(0, 3),) * 4, scores=(0.9,) * 4)
    night = clip("night", PERFECT)
    runs = save(root, Clip("night", SIZE, night.frames, (*night.tracks, wrong)), clip("morning", PERFECT))
    given, ones, in_order = (
        scores(root, runs, scores=s)["metrics"]["video"]["AP50"] for s in ("given", "ones", "ones_in_order")
    )
    assert given < in_order == 1.0  # the true track comes first
    assert ones == pytest.approx(2 / 3)  # 2 of 3 tracks are right


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda c: Clip("noon", c.size, c.frames, c.tracks), "clip 'noon', which the truth does not have"),
        (
            lambda c: Clip(c.name, c.size, tuple("abcd")[:3], (cut(c),)),
            "clip night: results of 3 frames.*has 4",
        ),
        (lambda c: Clip(c.name, (20, 60), c.frames, ()), "clip night: results of 20x60.*40x60"),
    ],
)
def test_results_of_another_video_are_refused(root, broken, message):
    with pytest.raises(InputError, match=message):
        scores(root, save(root, broken(clip("night", PERFECT))))


def cut(recorded: Clip) -> Track:
    track = recorded.tracks[0]
    return Track(track.id, "car", 0.5, track.visible[:3], track.amodal[:3])


@pytest.mark.parametrize("name", ["bootstrap", "seed"])
def test_negative_numbers_of_resamples_and_seeds_are_refused(root, name):
    runs = save(root, *(clip(clip_name, PERFECT) for clip_name in NAMES))
    with pytest.raises(InputError, match="must be 0 or more, got -1"):
        scores(root, runs, **{"bootstrap": 5, name: -1})


def test_two_runs_of_one_clip_or_none_at_all_are_refused(root):
    runs = save(root, clip("night", PERFECT))
    write_tracks(root / "runs/again/tracks.json", clip("night", PERFECT))
    with pytest.raises(InputError, match="second run of clip 'night'"):
        scores(root, runs)
    with pytest.raises(InputError, match="no CLIP/tracks.json"):
        scores(root, str(root / "val"))
    with pytest.raises(InputError, match="no such file or folder"):
        scores(root, str(root / "nowhere"))


def test_truth_may_be_a_file_and_results_a_single_one(root):
    true = clip("night", PERFECT, score=None)
    write_tracks(root / "truth.json", true)
    write_tracks(root / "results.json", clip("night", PERFECT))
    found = scores(root, str(root / "results.json"), truth=str(root / "truth.json"))
    assert (found["level"], found["metrics"]["AP"], found["metrics"]["miou_hidden"]) == ("video", 1.0, 1.0)
    found = scores(root, save(root, clip("night", PERFECT)), truth=str(root / "truth.json"))
    assert found["level"] == "both"


def test_images_of_one_folder_are_one_clip(root):
    images = [{"id": i, "height": 40, "width": 60, "file_name": f"v{i % 3}/{i}.jpg"} for i in range(6)]
    true = [
        {"id": i, "image_id": i, "segmentation": rectangle(0, 9).to_coco(), "area": 180, "occlude_rate": 0.0}
        for i in range(6)
    ]
    (root / "coco.json").write_text(json.dumps({"images": images, "annotations": true, "categories": []}))
    (root / "r.json").write_text(json.dumps([t | {"score": 0.5} for t in true[:3]]))
    found = scores(root, str(root / "r.json"), truth=str(root / "coco.json"), bootstrap=20)
    assert (found["level"], found["counts"]["clips"], found["counts"]["frames"]) == ("image", 3, 6)
    assert found["metrics"]["AR100"] == 0.5 and found["intervals"]["miou"] == [0.5, 0.5]


def test_results_on_a_video_or_image_that_the_truth_lacks_are_refused(root):
    write_tracks(root / "truth.json", clip("night", PERFECT, score=None))
    (root / "r.json").write_text(json.dumps([{"video_id": 7, "segmentations": [None] * 4, "score": 1}]))
    with pytest.raises(InputError, match="r.json: result 0: video_id 7 is not in the truth"):
        scores(root, str(root / "r.json"), truth=str(root / "truth.json"))
    coco = {"images": [{"id": 1, "height": 40, "width": 60}], "annotations": [], "categories": []}
    (root / "coco.json").write_text(json.dumps(coco))
    (root / "r.json").write_text(json.dumps([{"image_id": 2, "segmentation": None, "score": 1}]))
    with pytest.raises(InputError, match="r.json: result 0: image_id 2 is not in the truth"):
        scores(root, str(root / "r.json"), truth=str(root / "coco.json"))


def test_a_method_without_scores_gets_the_stated_ones(root):
    track = clip("night", PERFECT, score=None).tracks[0]
    assert [levels._frame_score(track, t) for t in range(4)] == [1.0, 1.0, 0.5, 1.0]
    assert levels._track_score(track) == 1.0
    never_seen = Track(1, "car", None, (None,), (PERFECT[0],))
    assert levels._track_score(never_seen) == 0.5
