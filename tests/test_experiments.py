"""Experiments: what is planned, that finished parts are used again, and that a table says what the evaluation says."""

import hashlib
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from samodal.cli.app import main
from samodal.errors import InputError
from samodal.experiments import conduct as running
from samodal.experiments import gaps, seen
from samodal.experiments.conduct import by_clip
from samodal.experiments.config import Relation, load, names
from samodal.experiments.data import chosen, streetsim
from samodal.experiments.kept import is_kept, keep, kept
from samodal.experiments.plan import draws, plan
from samodal.experiments.real import Part, summarised
from samodal.experiments.report import judge, markdown_of
from samodal.experiments.runs import jobs_of
from samodal.experiments.scores import PROFILES, Scoring
from samodal.metrics.points import PointCounts, summarise_points
from samodal.metrics.profiles import profile_named
from samodal.rle import Rle
from samodal.tracks import Clip, Track
from toy_data import write_toy

SMALL = {
    "title": "Two trivial methods",
    "columns": {"AP50": "official image AP50", "vAP": "official video AP", "mIoU": "strict image miou"},
    "front_ends": {"truth": {"vis": "truth"}, "degraded": {"vis": "degraded:severe"}},
    "rows": {"copy": {"method": "copy-visible"}, "hull": {"method": "hull"}, "ours": {"weights": "{sam}"}},
    "weights": {"sam": None},
    "relations": [
        {"claim": "hull is higher", "left": "hull", "right": "copy", "column": "mIoU"},
        {"claim": "ours is higher", "left": "ours", "right": "copy", "column": "mIoU", "front_end": "degraded"},
    ],
}


def write(tmp_path: Path, **changes) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL | changes, sort_keys=False), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    return write_toy(tmp_path_factory.mktemp("toy"), sequences=2, frames=3, seed=3)


def run(tmp_path: Path, data: str, *more: str, out: str = "out", **changes) -> dict:
    command = [
        "experiments",
        write(tmp_path, **changes),
        "--data",
        data,
        "--out",
        str(tmp_path / out),
        "--workers",
        "1",
    ]
    assert main([*command, "--device", "cpu", "--seeds", "2", *more]) == 0
    return json.loads((tmp_path / out / "small.json").read_text(encoding="utf-8"))


def metrics_of(profile: str) -> set[str]:
    if profile == "points":
        return {*summarise_points([PointCounts(0, 0, 0, *np.zeros((3, 5)), 0, np.zeros(5), np.zeros(0))])}
    if profile in ("identity", "gaps"):
        mask = Rle.encode(np.ones((2, 2)))
        clips = {"a": Clip("a", (2, 2), ("0",), (Track(1, "car", None, (mask,), (mask,)),))}
        levels = PROFILES[profile](clips, clips, Scoring(Path(), "", (), "amodal", profile, 0))
        return {name for level in levels.values() for name in level["metrics"]}
    if profile == "real":
        levels = summarised({Part("cocoa", "1"): [], Part("kitti_tracking_0005", "0005"): []})
        return {name for level in levels.values() for name in level["metrics"]}
    if profile == "seen":
        return {*seen.summarised([]), *seen.of_cars([])}
    if profile == "moved":
        return {name for level in gaps.summarised([]).values() for name in level["metrics"]}
    known = profile_named("official" if profile == "ones" else profile)
    return {*known.numbers, *known.regions}


def test_every_shipped_experiment_can_be_planned_and_asks_for_numbers_that_exist(tmp_path):
    assert {f"table{n}" for n in range(1, 7)} < set(names()) and "figures" in names()
    for name in names():
        experiment = load(name)
        runs, missing = plan(experiment, "streetsim:x", tmp_path, seeds=3, device="cpu")
        assert runs or experiment.train, name
        assert {one.row for one in [*runs, *missing]} == set(experiment.rows)
        for profile, _, metric in experiment.columns.values():
            assert metric in metrics_of(profile), (name, metric)
        for key, changes in experiment.train.items():
            assert not experiment.weights[key] and changes["recipe"], (name, key)


def test_tables_of_image_and_video_share_their_runs(tmp_path):
    plans = [plan(load(name), "streetsim:x", tmp_path, seeds=3, device="cpu")[0] for name in ("table1", "table2")]
    assert [one.folder for one in plans[0]] == [one.folder for one in plans[1]]


def test_rows_run_with_all_weights_and_with_all_seeds_where_chance_plays_a_part(tmp_path):
    found = load("table1", {"sam": "streetsim-small,streetsim-centers", "savos": "not-there.safetensors"})
    runs, missing = plan(found, "streetsim:x", tmp_path, seeds=3, device="cpu")
    count = {
        (front_end, row): [(one.settings.weights, one.settings.seed) for one in runs
                           if (one.front_end, one.row) == (front_end, row)]
        for front_end in found.front_ends for row in found.rows
    }  # fmt: skip
    assert len(count["truth", "copy-visible"]) == 1 and len(count["degraded", "copy-visible"]) == 3
    assert len(count["truth", "S-AModal default"]) == 2 and len(count["truth", "S-AModal paper"]) == 6
    assert {weights for weights, _ in count["truth", "S-AModal paper"]} == {"streetsim-small", "streetsim-centers"}
    assert len({one.folder for one in runs}) == len(runs)
    assert {one.row for one in missing} == {"SAVOS"} and "--weights.savos" in missing[0].needs


def test_chance_plays_a_part_in_random_prompts_and_degraded_front_ends_alone(tmp_path):
    settings = plan(load("table1"), "streetsim:x", tmp_path, seeds=1, device="cpu")[0][0].settings
    ours = replace(settings, method="samodal", vis="truth")
    assert draws(replace(ours, preset="paper")) and draws(replace(ours, preset="released"))
    assert not draws(ours) and not draws(replace(ours, preset="paper", rules={"prompt": "saliency"}))
    assert not draws(settings) and draws(replace(settings, vis="degraded:mild"))


def test_other_weights_under_the_same_name_are_another_run(tmp_path):
    experiment = load(write(tmp_path), {"sam": str(tmp_path / "mine.safetensors")})
    folders = []
    for content in (b"one", b"two"):
        (tmp_path / "mine.safetensors").write_bytes(content)
        runs, missing = plan(experiment, "streetsim:x", tmp_path, seeds=1, device="cpu")
        assert not missing
        folders.append({one.row: one.folder for one in runs if one.front_end == "truth"})
    assert folders[0]["copy"] == folders[1]["copy"] and folders[0]["ours"] != folders[1]["ours"]


def test_the_table_says_what_the_evaluation_says(tmp_path, data, capsys):
    record = run(tmp_path, data)
    table = {(one["front_end"], one["row"]): one["columns"] for one in record["table"]}
    assert set(table) == {(f, r) for f in ("truth", "degraded") for r in ("copy", "hull")}
    assert len(table["degraded", "copy"]["AP50"]["values"]) == 2 and len(table["truth", "copy"]["AP50"]["values"]) == 1
    scores = {}
    for profile in ("official", "strict"):
        (folder,) = (tmp_path / "out" / "runs").glob("truth-hull-0-*")
        path = tmp_path / f"{profile}.json"
        assert main(["evaluate", str(folder), "--truth", data, "--profile", profile, "--json", str(path)]) == 0
        scores[profile] = json.loads(path.read_text())["metrics"]
    hull = table["truth", "hull"]
    assert hull["AP50"]["mean"] == pytest.approx(100 * scores["official"]["image"]["AP50"], abs=1e-3)
    assert hull["vAP"]["mean"] == pytest.approx(100 * scores["official"]["video"]["AP"], abs=1e-3)
    assert hull["mIoU"]["mean"] == pytest.approx(100 * scores["strict"]["image"]["miou"], abs=1e-3)
    degraded = table["degraded", "copy"]["AP50"]
    assert degraded["mean"] == pytest.approx(np.mean(degraded["values"]), abs=1e-3)
    assert degraded["std"] == pytest.approx(np.std(degraded["values"]), abs=1e-3)
    above = hull["mIoU"]["mean"] - table["truth", "copy"]["mIoU"]["mean"]
    assert abs(above) > 1
    expected = {"hull is higher": "found" if above > 0 else "reverse", "ours is higher": "not tested"}
    assert {one["claim"]: one["verdict"] for one in record["relations"]} == expected
    assert record["missing"] == [
        {"front_end": f, "row": "ours", "needs": "sam: give --weights.sam=…"} for f in ("truth", "degraded")
    ]
    page = (tmp_path / "out" / "small.md").read_text(encoding="utf-8")
    assert "| truth | hull | " in page and "ours: not run" in page and page.strip() in capsys.readouterr().out


@pytest.mark.heavy
def test_twice_the_same_is_the_same_apart_from_times_and_finished_parts_are_not_run_again(tmp_path, data, monkeypatch):
    rows = SMALL["rows"] | {"default": {"preset": "default", "weights": "{shipped}"}}
    changes = {"rows": rows, "weights": {"sam": None, "shipped": "streetsim-complete"}}
    first, again = run(tmp_path, data, **changes), run(tmp_path, data, out="again", **changes)
    told = {"cost_s", "command"}
    assert {k: v for k, v in first.items() if k not in told} == {k: v for k, v in again.items() if k not in told}
    (run_of_one,) = (tmp_path / "out" / "runs").glob("truth-hull-0-*")
    for path in (run_of_one / "toy_0001").iterdir():
        path.unlink()
    (run_of_one / "toy_0001").rmdir()
    ran = []
    real = running.run_clips
    monkeypatch.setattr(running, "run_clips", lambda jobs, *how: ran.extend(jobs) or real(jobs, *how))
    third = run(tmp_path, data, **changes)
    assert third["table"] == first["table"] and third["reused"] and not first["reused"]
    monkeypatch.setattr("samodal.experiments.runs.run_clip", None)
    assert run(tmp_path, data, **changes)["table"] == first["table"]


def test_a_run_that_fails_costs_its_row_alone_and_is_told_of(tmp_path, data, monkeypatch, capsys):
    (tmp_path / "my_method.py").write_text(
        "from samodal.baselines.trivial import Hull\n\n\nclass Fails(Hull):\n    def run(self, clip, observed):\n"
        "        if clip == 'toy_0001':\n            raise RuntimeError('out of memory')\n"
        "        return super().run(clip, observed)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = {"fails": {"method": "my_method:Fails"}, "hull": {"method": "hull"}}
    path = write(tmp_path, rows=rows, front_ends={"truth": {"vis": "truth"}}, relations=[])
    command = ["experiments", path, "--data", data, "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main([*command, "--device", "cpu", "--seeds", "1", "--trust-config"]) == 3
    assert "left out of the tables: 1\n  toy_0001: out of memory" in capsys.readouterr().err
    record = json.loads((tmp_path / "out" / "small.json").read_text(encoding="utf-8"))
    assert [one["row"] for one in record["table"]] == ["hull"]
    assert record["missing"] == [{"front_end": "truth", "row": "fails", "needs": "toy_0001: out of memory"}]


def test_a_bootstrap_over_one_clip_is_refused_before_the_work(tmp_path, data, capsys, monkeypatch):
    monkeypatch.setattr(running, "run_clips", None)
    command = ["experiments", write(tmp_path), "--data", data, "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main([*command, "--clips", "0:1", "--resamples", "20"]) == 2
    assert "--resamples 20: a bootstrap over clips needs 2 clips, there is 1" in capsys.readouterr().err


def test_experiments_run_together_and_one_that_cannot_run_is_told_of(tmp_path, data, capsys, monkeypatch):
    asked = []
    real = running.run_clips
    monkeypatch.setattr(running, "run_clips", lambda jobs, *how: asked.append(jobs) or real(jobs, *how))
    first = write(tmp_path)
    second = tmp_path / "second.yaml"
    rows = {"hull": {"method": "hull"}, "hold": {"method": "hold-last"}}
    second.write_text(yaml.safe_dump(SMALL | {"rows": rows, "relations": []}))
    third = tmp_path / "third.yaml"
    third.write_text(yaml.safe_dump(SMALL | {"rows": {"ours": {"weights": "{sam}"}}, "relations": []}))
    command = ["experiments", f"{first},{second},{third}", "--data", data, "--out", str(tmp_path / "out")]
    assert main([*command, "--workers", "1", "--device", "cpu", "--seeds", "1"]) == 0
    (jobs,) = asked
    assert all(len({run[2] for run in job}) == len(job) for job in jobs)
    assert sum(map(len, jobs)) == 2 * 2 * 3  # clips, front ends, and copy, hull, hold: hull once for both tables
    assert "third: no row can run; sam: give --weights.sam=…" in capsys.readouterr().out
    records = [json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("small", "second")]
    assert not (tmp_path / "out" / "third.json").exists()
    values = [{(one["front_end"], one["row"]): one["columns"] for one in record["table"]} for record in records]
    assert values[0]["truth", "hull"] == values[1]["truth", "hull"] and records[0]["together"] == ["small", "second"]


def test_where_no_row_can_run_it_is_an_error_told_once(tmp_path, data, capsys):
    page = write(tmp_path, rows={"ours": {"weights": "{sam}"}}, relations=[])
    assert main(["experiments", page, "--data", data, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("sam: give --weights.sam=…") == 1


def test_a_row_whose_prompts_cannot_be_made_here_is_left_out_and_says_why(tmp_path, monkeypatch):
    import cv2

    monkeypatch.delattr(cv2, "saliency")
    runs, missing = plan(load("table4"), "streetsim:x", tmp_path, seeds=1, device="cpu")
    assert {one.row for one in missing} == {"saliency"} and "pip install" in missing[0].needs
    assert {one.row for one in runs} == set(load("table4").rows) - {"saliency"}


def test_a_clip_has_each_run_once(tmp_path):
    runs = plan(load("table1"), "streetsim:x", tmp_path, seeds=2, device="cpu")[0]
    clips = by_clip(runs + runs, ["a", "b"])
    assert [len(one) for one in clips] == [len({run.folder for run in runs})] * 2
    assert {run[1] for run in clips[1]} == {"b"}


def test_jobs_are_whole_clips_first_and_parts_of_them_towards_the_end():
    clips = [[(None, clip, Path(clip, str(n))) for n in range(40)] for clip in "abcdefgh"]
    jobs = jobs_of(clips, 3)
    assert sorted(run[2] for job in jobs for run in job) == sorted(run[2] for runs in clips for run in runs)
    assert all(len({run[1] for run in job}) == 1 for job in jobs)
    sizes = [len(job) for job in jobs]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == 40 and sizes[-1] <= 8
    assert [len(job) for job in jobs_of([clips[0]], 16)] == [6, 6, 6, 6, 6, 6, 4]
    assert jobs_of([[], clips[0][:3]], 2) == [clips[0][:3]]


def test_weights_that_are_lacking_are_trained_once(tmp_path, data, monkeypatch):
    made = []

    def train(settings):
        made.append(settings)
        path = Path(settings.out) / f"{settings.name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        for end in (".safetensors", ".md"):
            path.with_suffix(end).write_bytes(b"")

    monkeypatch.setattr("samodal.training.sam.sam.train", train)
    from samodal.experiments.settings import ExperimentsSettings

    settings = ExperimentsSettings("table3", out=tmp_path, train=data, train_steps=7, device="cpu")
    experiment = running.trained(load("table3", {"k5": "mine.safetensors"}), settings)
    assert [(one.name, one.points, one.steps, one.data, one.init) for one in made] == [
        (f"k{k}", k, 7, data, "streetsim-small") for k in (1, 3, 10)
    ]
    assert experiment.weights["k1"] == (str(tmp_path / "weights" / "k1.safetensors"),)
    assert experiment.weights["k5"] == ("mine.safetensors",)
    running.trained(load("table3", {"k5": "mine.safetensors"}), settings)
    assert len(made) == 3


def row(name: str, mean: float | None, front_end: str = "truth") -> dict:
    value = None if mean is None else {"mean": mean, "std": 0.0, "values": [mean], "interval": None}
    return {"front_end": front_end, "row": name, "runs": 1, "columns": {"AP": value}}


def test_a_claim_is_found_not_found_or_not_tested():
    table = [row("a", 2.0), row("b", 1.0), row("a", 3.0, "pixels"), row("c", None), row("d", 1.6)]

    def verdict(left, right, front_end="truth"):
        return judge(Relation("", left, right, "AP", front_end), table)["verdict"]

    assert (verdict("a", "b"), verdict("b", "a"), verdict("a", "d"), verdict("d", "a")) == (
        "found", "reverse", "level", "level"
    )  # fmt: skip
    assert verdict("a", "a", ("truth", "pixels")) == "reverse"
    assert verdict("a", "c") == verdict("a", "b", "pixels") == "not tested"


def test_a_page_tells_claims_and_what_counts_nothing():
    claim = judge(Relation("a is higher", "a", "b", "AP", "truth"), [row("a", 2.04), row("b", 1.0)])
    record = {
        "title": "T", "note": "N.", "table": [row("a", 2.04), row("c", None)], "missing": [], "relations": [claim],
        "settings": {"seeds": 3, "clips": ["x"], "data": "d"}, "command": "c", "machine": "m", "commit": "0123456789",
        "cost_s": 4, "reused": False, "experiment": "t", "together": ["t", "u"],
    }  # fmt: skip
    page = markdown_of(record)
    assert "| method | AP |" in page and "| a | 2.0 |" in page and "| c | - |" in page
    assert "a is higher: **found** (2.0 against 1.0; a, truth against b, truth, AP)" in page
    assert "commit 0123456; 4 s together with u." in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colums": {}}, "unknown key 'colums'; did you mean 'columns'"),
        ({"columns": {"AP": "official image"}}, "expected PROFILE LEVEL METRIC"),
        ({"rows": {"a": {"metod": "hull"}}}, "unknown setting 'metod'; did you mean 'method'"),
        ({"rows": {"a": {"out": "x"}}}, "unknown setting 'out'"),
        (
            {"kind": "real", "rows": {"a": {"offline": True}}, "columns": {}},
            "a: offline changes nothing in the kind real",
        ),
        ({"relations": [{"claim": "c", "left": "cpy", "right": "hull", "column": "mIoU"}]}, "did you mean 'copy'"),
        ({"relations": [{"claim": "c", "left": "copy", "right": "hull"}]}, "lacks column"),
        ({"relations": 5}, "relations: expected a list of claims, found 5"),
        ({"relations": [7]}, "relations: expected names with values, found 7"),
        ({"relations": [{"claim": "c", "left": 5, "right": "a", "column": "mIoU"}]}, "left should be text, found 5"),
        ({"relations": [{"claim": "c", "lft": "a", "left": "a", "right": "a", "column": "mIoU"}]}, "mean 'left'"),
        ({"rows": 5}, "rows: expected names with values, found 5"),
        ({"rows": {"a": "hull"}}, "rows: a: expected names with values, found 'hull'"),
        ({"rows": {7: {}}}, "rows: expected names as text, found 7"),
        ({"rows": {"a": {"vis": 5}}}, "a: vis should be text or null .*, found 5"),
        ({"rows": {"a": {"vis_scale": "big"}}}, "a: vis_scale should be a number, found 'big'"),
        ({"rows": {"a": {"rules": [1]}}}, "a: expected names with values, found .1."),
        ({"rows": {"a": {"rules": {"points": {"class_path": "x"}}}}}, "rules should be single values by name"),
        ({"columns": {"AP": 3}}, "columns: AP: expected text, found 3"),
        ({"weights": {"sam": {"a": 1}}}, "weights: sam: expected a name"),
        ({"train": {"sam": {"steps": 1}}}, "train: sam: expected a recipe"),
        ({"title": ["T"]}, "title: expected text, found .'T'."),
        ({"masks": "modal"}, "unknown masks 'modal'; did you mean 'amodal'"),
        ({"base": "../table1"}, "unknown base '../table1'; did you mean 'table1'"),
    ],
)
def test_a_wrong_file_is_refused_with_the_nearest_known_name(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        load(write(tmp_path, **changes))


@pytest.mark.parametrize(
    ("row", "setting"),
    [
        ({"method": "os:system:touch proof"}, "method"),
        ({"vis": "pathlib:Path:x"}, "vis"),
        ({"rules": {"prompt": "center+os:system"}}, "rules.prompt"),
        ({"tracker": "cotracker1:checkout,weights.pth"}, "tracker"),
        ({"segmenter": "samodal.files:read_json:x"}, "segmenter"),
    ],
)
def test_a_table_of_others_names_code_only_where_it_is_trusted(tmp_path, row, setting, capsys):
    path = write(tmp_path, rows={"mine": row}, relations=[])
    assert main(["experiments", path, "--data", "chewing-gum:test,1", "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert f"{path}: mine: {setting} names code" in told and "--trust-config" in told and told.count("\n") == 1
    assert not (tmp_path / "out").exists() and load(path, trusted=True).rows == {"mine": row}


def test_unknown_experiments_weights_and_clips_are_refused(tmp_path, capsys):
    assert main(["experiments", "tabel1"]) == 2
    assert "did you mean 'table1'" in capsys.readouterr().err
    assert main(["experiments", "table1", "--weights.savo=x", "--data", "streetsim:x"]) == 2
    assert "did you mean 'savos'" in capsys.readouterr().err
    with pytest.raises(InputError, match="0:4"):
        chosen(["a"], "three")
    with pytest.raises(InputError, match="there are 2"):
        chosen(["a", "b"], "4:")
    assert chosen("abcd", "1:3") == ("b", "c") and chosen("abcd", None) == tuple("abcd")


def test_without_data_the_first_clips_of_streetsim_are_rendered(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("samodal.sim.write.write_split", lambda *where, progress, **how: asked.append((where, how)))
    assert streetsim(tmp_path, 2, 1) == f"streetsim:{tmp_path / 'test'}"
    assert asked == [((tmp_path, "test"), {"count": 2, "workers": 1, "points": False})]


def test_the_list_names_every_experiment(capsys):
    assert main(["experiments", "list"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in names()) and "paper, Table 1" in said


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("code ran"),)


def test_nothing_in_the_folder_of_results_is_ever_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = "chewing-gum:test,2"
    key = hashlib.blake2b("\n".join([data, "test_00000", "test_00001"]).encode(), digest_size=6).hexdigest()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"truth-{key}.pickle").write_bytes(pickle.dumps(Code()))
    rows = {"hull": {"method": "hull"}}
    record = run(tmp_path, data, rows=rows, front_ends={"truth": {"vis": "truth"}}, relations=[], weights={})
    assert record["table"] and not (tmp_path / "code ran").exists()
    assert list((tmp_path / "out").rglob("*.pickle")) == [tmp_path / "out" / f"truth-{key}.pickle"]


def test_a_process_that_dies_costs_the_rows_of_its_clip_alone(tmp_path, data, monkeypatch):
    (tmp_path / "my_dying.py").write_text(
        "import os\nfrom samodal.baselines.trivial import Hull\n\n\nclass Dies(Hull):\n"
        "    def run(self, clip, observed):\n"
        "        if clip == 'toy_0001':\n            os._exit(1)\n"
        "        return super().run(clip, observed)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = {"hull": {"method": "hull"}, "dies": {"method": "my_dying:Dies"}}
    path = write(tmp_path, rows=rows, front_ends={"truth": {"vis": "truth"}}, relations=[])
    command = ["experiments", path, "--data", data, "--out", str(tmp_path / "out"), "--workers", "1"]
    assert main([*command, "--device", "cpu"]) == 2  # a table that names code is a program
    assert main([*command, "--device", "cpu", "--trust-config"]) == 3
    record = json.loads((tmp_path / "out" / "small.json").read_text(encoding="utf-8"))
    assert [row["row"] for row in record["table"]] == ["hull"]
    assert record["missing"][0]["needs"].startswith("toy_0001: its process died")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "tabel"}, "unknown kind 'tabel'; did you mean 'table'"),
        ({"columns": {"AJ": "points all average_jaccard"}, "relations": []}, "points is not for the kind table"),
        ({"columns": {"HOTA": "identity image HOTA"}}, "expected PROFILE LEVEL METRIC"),
    ],
)
def test_columns_fit_the_kind_of_an_experiment(tmp_path, changes, told):
    with pytest.raises(InputError, match=told):
        load(write(tmp_path, **changes))


def test_runs_of_data_that_have_changed_are_not_taken_for_these(tmp_path, capsys):
    data = write_toy(tmp_path / "toy", sequences=1, frames=2, seed=3)
    few = {"rows": {"hull": {"method": "hull"}}, "front_ends": {"truth": {"vis": "truth"}}, "relations": []}
    run(tmp_path, data, **few)
    (label,) = tmp_path.glob("toy/amodal_instance_seg/front/toy_0000/*_0001_aminseg.json")
    label.write_text("{}")
    command = ["experiments", str(tmp_path / "small.yaml"), "--data", data, "--out", str(tmp_path / "out")]
    assert main([*command, "--workers", "1", "--device", "cpu", "--seeds", "2"]) == 3
    assert "labels: the files have changed" in " ".join(capsys.readouterr().err.split())


def test_numbers_are_measured_again_where_what_they_were_measured_on_has_changed(tmp_path):
    file, source = tmp_path / "scores.json", tmp_path / "run.json"
    source.write_text("first")
    keep(file, {"AP": 0.5}, [source])
    assert is_kept(file, [source]) and kept(file) == {"AP": 0.5}
    os.utime(source, (1, 1))  # another time, the same content
    assert is_kept(file, [source])
    source.write_text("other")
    assert not is_kept(file, [source])
    file.write_text('{"AP": ')
    assert not is_kept(file, [source])
