"""`samodal bench`: its scenes, its stages, the released manner, and the comparison with an earlier measurement."""

import json

import numpy as np
import pytest

from samodal.bench import disk
from samodal.bench.bench import bench, cold_start, losses, report, write_table
from samodal.bench.drawn import drawn_segmenter
from samodal.bench.scenes import SHOWN, Scene
from samodal.bench.settings import BenchSettings
from samodal.bench.stages import BUDGET, RUN, Clock, latencies
from samodal.bench.steps import Released, measured
from samodal.cli.app import main
from samodal.errors import InputError
from samodal.masks import Mask
from samodal.method.pipeline import Pipeline
from samodal.method.rules import preset
from samodal.parts import Prompt
from samodal.segmenters.completion import load_segmenter
from samodal.trackers.still import Still

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("visible, hidden", [(1, 10), (5, 1), (10, 10)])
def test_a_scene_shows_all_instances_first_and_then_the_visible_ones_alone(visible, hidden):
    frames = list(Scene((270, 480), visible, hidden).frames(2))
    assert [len(frame) for frame in frames] == [visible + hidden] * SHOWN + [visible] * 2
    total = sum(instance.mask.decode().astype(int) for instance in frames[0])
    assert total.max() == 1  # no pixel belongs to two


def test_what_is_behind_in_a_scene_is_hidden_for_the_pipeline():
    scene, pipeline = Scene((270, 480), 4, 3), Pipeline(load_segmenter(), Still(), preset("default"))
    *_, result = (pipeline.step(scene.image, instances, t / 10) for t, instances in enumerate(scene.frames(2)))
    assert sorted(str(instance.state) for instance in result.instances) == ["hidden"] * 3 + ["visible"] * 4


def test_the_released_manner_gives_the_same_masks():
    scene, segmenter = Scene((120, 160), 3, 0), load_segmenter()
    masks = [instance.mask for instance in next(scene.frames(1))]
    prompts = [Prompt(mask=mask, category="car") for mask in masks]
    ours = segmenter.decode(segmenter.encode([scene.image]), prompts, [0, 0, 0]).predictions()
    released = Released(segmenter)
    theirs = released.decode(released.encode([scene.image]), prompts, [0, 0, 0]).predictions()
    assert [answer.amodal.counts for answer in ours] == [answer.amodal.counts for answer in theirs]


def test_a_row_has_latencies_of_both_manners_and_stages():
    row = measured(BenchSettings(height=270, width=480, rounds=2, device="cpu"), 2, 1)
    assert row["ours"]["p50"] <= row["ours"]["p90"] <= row["ours"]["p99"]
    assert row["released"].keys() == row["ours"].keys() and row["ratio"] > 0
    assert row["stages"].keys() == {"prompts", "segmenter", "hidden phase"}
    assert (row["visible"], row["hidden"], row["found_hidden"]) == (2, 1, 1)


def test_stages_are_measured_where_they_are_called_and_left_as_they_were():
    before, clock = Scene.frames, Clock()
    with clock.on({"frames": "bench.scenes:Scene.frames"}):
        list(Scene((64, 64), 1, 0).frames(1))
    assert Scene.frames is before and len(clock.spent["frames"]) == 1
    assert list(clock.items("items", iter("ab"))) == ["a", "b"] and len(clock.spent["items"]) == 3


def test_the_budget_is_that_of_six_frames_a_second_on_two_cores_and_names_every_stage():
    assert BUDGET.keys() == RUN.keys() | {"decoding"}
    assert sum(BUDGET.values()) == round(2 * 1000 / 6)


def test_stages_of_a_run_come_in_its_order_and_others_after_them():
    clock = Clock()
    for stage in ("other", "drawing", "detector"):
        list(clock.items(stage, iter(())))
    assert list(clock.table(1)) == ["detector", "drawing", "other"]


def test_a_stage_beyond_its_budget_is_marked():
    row = {"ms": 9.0, "best_ms": 1.0}
    stages = {"decoding": row | {"cpu_ms": 5.9}, "detector": row | {"cpu_ms": 85.1}}
    whole = {"video": "a.mp4", "size": [540, 960], "fps": 6.0, "cpu_ms": 91.0, "stages": stages}
    whole |= {"latency": latencies([0.1]), "cold_start": {"s": 1.0, "cpu_s": 1.0}}
    told = report({"machine": "", "threads": 1, "load": None, "run": whole, "steps": [], "disk": [], "memory_mb": {}})
    assert [line.split()[0] for line in told.splitlines() if line.endswith("over")] == ["detector"]
    assert "all" in told and "333 for 6 frames/s" in told


def test_latencies_are_quantiles_in_milliseconds():
    found = latencies([0.1] * 9 + [1.1])
    assert (found["p50"], found["fps"]) == pytest.approx((100, 10))
    assert found["p90"] == pytest.approx(200) and found["p99"] == pytest.approx(1010)


def test_a_ratio_counts_as_lost_beyond_five_per_cent():
    def result(*ratios):
        return {"steps": [{"visible": n, "hidden": 0, "ratio": ratio} for n, ratio in enumerate(ratios, start=1)]}

    assert losses(result(1.91, 4.0, 3.0), result(2.0, 4.0)) == []
    assert losses(result(1.89, 4.0), result(2.0, 4.0)) == ["1 visible, 0 hidden: ratio 1.89, before 2.00"]


@pytest.mark.parametrize("value", ["0", "a,1", "-3"])
def test_numbers_that_are_none_are_refused(value):
    with pytest.raises(InputError, match="expected numbers with commas between"):
        BenchSettings(visible=value).numbers("visible")


def test_a_file_to_compare_with_must_be_there(tmp_path, capsys):
    assert main(["bench", "--against", str(tmp_path / "before.json")]) == 2
    assert "no such file; samodal bench --json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "expected an object, got []"),
        ('{"bad": 1}', "no field 'steps'"),
        ('{"steps": [{"visible": 1, "hidden": 0, "ratio": "fast"}]}', "step 0: ratio must be a number, got 'fast'"),
        ("xx{", "not valid JSON"),
    ],
)
def test_a_file_of_something_else_is_refused_before_anything_is_measured(content, told, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("samodal.bench.bench.whole_run", lambda settings: pytest.fail("has begun"))
    (tmp_path / "before.json").write_text(content)
    assert main(["bench", "--against", str(tmp_path / "before.json")]) == 2
    assert told in capsys.readouterr().err


def test_so_few_frames_that_none_is_left_to_measure_are_refused(capsys):
    assert main(["bench", "--frames", "3"]) == 2
    assert "frames must be 4 or more" in capsys.readouterr().err


@pytest.mark.heavy
def test_the_command_measures_the_whole_run_and_writes_a_file(tmp_path, capsys):
    path = tmp_path / "now.json"
    given = ["bench", "--frames", "5", "--visible", "1", "--hidden", "0", "--rounds", "2", "--device", "cpu"]
    assert main([*given, "--json", str(path)]) == 0
    written = json.loads(path.read_text())
    assert {"decoding", "detector", "cutter", "segmenter", "drawing"} <= written["run"]["stages"].keys()
    assert written["run"]["frames"] == 5 and written["run"]["cold_start"]["s"] > 0
    assert written["memory_mb"]["process"] > 50 and len(written["steps"]) == 1
    assert "samodal run motorway.mp4" in capsys.readouterr().out
    written["steps"][0]["ratio"] *= 100
    path.write_text(json.dumps(written))
    assert main([*given, "--against", str(path)]) == 3


def test_rows_of_a_drive_on_disk_have_frames_a_second_latencies_and_a_ratio(monkeypatch, tmp_path):
    few = [disk.Manner("released manner", "paper", "torch", 0.3, released=True)]
    few += [disk.Manner("streaming", "paper", "torch", 0.3), disk.Manner("ahead", "paper", "torch", 0.3, ahead=True)]
    monkeypatch.setattr(disk, "MANNERS", few)
    rows = list(disk.from_disk(BenchSettings(disk=40, disk_network="tiny", device="cpu")))
    assert [row["manner"] for row in rows] == ["released manner", "streaming", "ahead"]
    assert rows[0]["ratio"] == 1 and all(row["fps"] > 0 for row in rows)
    assert rows[1]["p50"] <= rows[1]["p99"] and "p50" not in rows[2]
    assert rows[1]["stages"].keys() == set(disk.STAGES)
    write_table(tmp_path / "a.csv", rows)
    head, *lines = (tmp_path / "a.csv").read_text().splitlines()
    assert head.startswith("manner,frames,p50") and "segmenter ms" in head and len(lines) == 3


def test_rows_that_are_measured_stand_in_the_table_when_a_later_part_fails(monkeypatch, tmp_path):
    def rows(settings):
        yield {"manner": "first", "fps": 2.0}
        raise InputError("the GPU is gone")

    monkeypatch.setattr("samodal.bench.bench.from_disk", rows)
    with pytest.raises(InputError, match="the GPU is gone"):
        bench(BenchSettings(disk=40, table=tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").read_text().split() == ["manner,fps", "first,2.00"]


def test_a_start_that_fails_is_named_with_its_last_message(tmp_path):
    missing = tmp_path / "missing.mp4"
    with pytest.raises(InputError, match="bench: .* -m samodal run .* ended with exit code 2: .*no such file"):
        cold_start(str(missing), "cpu", tmp_path / "out")


def test_a_drawn_network_answers_with_the_masks_of_the_scene():
    scene = Scene((108, 192), 3, 0)
    segmenter = drawn_segmenter("tiny", scene, "cpu")
    prompts = [Prompt(points=np.zeros((1, 2), np.float32))] * 3
    masks = segmenter.decode(segmenter.encode([scene.image]), prompts, [0] * 3).masks()
    assert all(mask.iou(Mask.of(front)) > 0.9 for mask, front in zip(masks, scene.front, strict=True))


def test_a_drive_of_too_few_frames_is_refused():
    with pytest.raises(InputError, match="--disk 10: expected 40 frames or more"):
        BenchSettings(disk=10)
