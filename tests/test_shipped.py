"""What ships inside the package: one clip and the weights with their card."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import samodal
from samodal.data.open import open_dataset
from samodal.experiments.demo import MEANING, road_seen
from samodal.masks import Mask
from samodal.metrics.evaluate import ScoringRules, evaluate
from samodal.results.frames import FramesWriter
from samodal.results.youtube_vis import read_clips
from samodal.tracks import FrameResult, Instance, State
from samodal.video import open_video

PACKAGE = Path(samodal.__file__).parent
CLIP, ROAD = PACKAGE / "clip", PACKAGE / "clip_road" / "motorway.mp4"


def test_the_clip_is_the_first_of_the_test_split_and_small():
    (video,) = open_dataset(f"streetsim:{CLIP}")
    assert (video.name, video.size, video.length) == ("test_0000_day", (540, 960), 60)
    assert sum(f.stat().st_size for f in CLIP.rglob("*") if f.is_file()) <= 4_000_000


def test_the_clip_has_instances_that_hide_completely_and_return():
    truth = open_dataset(f"streetsim:{CLIP}").truth("test_0000_day")
    returning = 0
    for track in truth.tracks:
        seen = [t for t, mask in enumerate(track.visible) if mask is not None]
        hidden = [t for t, (v, a) in enumerate(zip(track.visible, track.amodal, strict=True)) if a and not v]
        returning += any(seen[0] < t < seen[-1] for t in hidden) if seen else 0
    assert returning >= 2


def test_the_clip_is_what_the_simulator_draws():
    pytest.importorskip("panda3d")
    from samodal.sim.render import frames

    truth = open_dataset(f"streetsim:{CLIP}").truth("test_0000_day")
    first = next(iter(frames("test_0000_day")))
    drawn = {one.id: one.amodal for one in first.instances}
    assert drawn == {track.id: track.amodal[0] for track in truth.tracks if track.amodal[0] is not None}


def test_the_real_clip_is_a_few_seconds_small_and_has_its_licence_beside_it():
    video = open_video(ROAD)
    assert video.size == (540, 960) and 3 <= video.length / video.fps <= 4
    assert ROAD.stat().st_size <= 1_500_000
    licence = ROAD.with_name("LICENSE.txt").read_text(encoding="utf-8")
    assert "Permission is hereby granted" in licence and "Udacity" in licence and ROAD.name in licence


def test_of_a_clip_without_truth_the_demo_says_who_was_visible_and_for_how_long(tmp_path):
    car, bus = (Mask((4, 6), x, 1, np.ones((2, 2), bool)) for x in (0, 3))
    hidden = Instance(1, "car", None, State.HIDDEN, None, car)
    both = [Instance(1, "car", 0.9, State.VISIBLE, car, car), Instance("b", "bus", 0.8, State.VISIBLE, bus, bus)]
    with FramesWriter(tmp_path / "frames.jsonl", "road", (4, 6), {}) as writer:
        for t, instances in enumerate((both, both[:1], [hidden])):
            writer.write(FrameResult(t, t / 10, tuple(instances)))
    said = road_seen(tmp_path / "frames.jsonl")
    assert said == "no truth, so no scores: 2 instances seen in 3 frames; visible the longest: car 1 in 2, bus b in 1"


def test_of_a_clip_in_which_nothing_was_seen_the_demo_says_so(tmp_path):
    with FramesWriter(tmp_path / "frames.jsonl", "road", (4, 6), {}) as writer:
        writer.write(FrameResult(0, 0.0, ()))
    assert road_seen(tmp_path / "frames.jsonl") == "no truth, so no scores: 0 instances seen in 1 frames"


@pytest.mark.parametrize("weights", sorted((PACKAGE / "weights").glob("*.safetensors")), ids=lambda p: p.stem)
def test_every_weight_file_has_a_card_and_its_facts(weights):
    card = weights.with_suffix(".md").read_text(encoding="utf-8")
    facts = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    assert all(word in card for word in ("seed", "commit", "data", "cost", "Metrics"))
    assert facts["metrics"]
    assert weights.stat().st_size < 30_000_000


@pytest.mark.heavy
def test_the_demo_runs_from_pixels_and_its_truth_rows_beat_the_trivial_methods_on_what_is_hidden(tmp_path, capsys):
    from samodal.cli.app import main

    assert main(["demo", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert all(
        name in printed
        for name in (
            "motorway",
            "no truth, so no scores",
            "pixels-videomt",
            "pixels-centers",
            "truth-copy-visible",
            "visible vAP50",
            *MEANING,
        )
    )

    def image(row, masks, name):
        scores = evaluate(
            tmp_path / row, f"streetsim:{CLIP}", ScoringRules(profile="strict", level="image", masks=masks)
        )
        return scores["metrics"][name]

    page = tmp_path / "motorway" / "report.html"
    assert printed.splitlines()[-1].startswith(f"now open {page} ") and page.stat().st_size > 0
    assert not [path.name for path in tmp_path.iterdir() if not re.fullmatch("[a-z-]+", path.name)]
    trivial = max(image(f"truth-{name}", "amodal", "miou_hidden") for name in ("copy-visible", "constant-velocity"))
    assert image("truth", "amodal", "miou_hidden") > trivial + 0.05
    assert image("pixels-videomt", "amodal", "miou_hidden") > trivial
    assert 0.1 < image("pixels-videomt", "visible", "AP50") < image("truth", "visible", "AP50") == pytest.approx(1)


def test_a_plain_video_needs_no_argument_and_real_ones_are_told_of_other_weights(tmp_path, capsys):
    from samodal.cli.app import main

    (frames,) = (CLIP / "images" / "front").iterdir()
    assert main(["run", str(frames), "--frames", "0:6", "--no-overlay", "--out", str(tmp_path)]) == 0
    (clip,) = read_clips(tmp_path / "tracks.json").values()
    assert len(clip) == 6 and any(one is not None for track in clip.tracks for one in track.visible)
    printed = capsys.readouterr().out
    assert "StreetSim alone" not in printed  # detector and cutter saw real streets, the completer sees no pixels
    again = ["--preset", "points", "--vis", "videomt", "--no-overlay", "--out", str(tmp_path / "points")]
    assert main(["run", str(frames), "--frames", "0:2", *again]) == 0
    printed = capsys.readouterr().out
    assert "the amodal SAM and the front end were trained on StreetSim alone" in printed
    assert "give --weights and --vis" in printed
