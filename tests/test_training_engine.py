"""The engine of every training, on a line through two points: resuming, its log, its checks, and the card's commit."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from samodal.errors import InputError
from samodal.interruption import Stopped, stoppable
from samodal.training import card
from samodal.training.engine import Engine, begin
from samodal.training.state import once


@dataclass
class LineSettings:
    out: str
    data: str = "points"
    name: str = "line"
    minutes: float = 0.0
    steps: int = 6
    batch: int = 2
    held_out: int = 0
    lr: float = 0.1
    warmup: int = 0
    seed: int = 0
    device: str = "cpu"
    workers: int = 1
    resume: bool = True
    save_minutes: float = 0.0
    log_every: int = 1


class Line(Engine):
    """Fits a line; `stop` pulls the plug in the step of this number."""

    stop = -1

    def __init__(self, settings: LineSettings, optimised: int | None = None, stage: str = ""):
        torch.manual_seed(settings.seed)
        network = torch.nn.Linear(1, 1)
        super().__init__(settings, network, torch.optim.AdamW(list(network.parameters())[:optimised]), stage=stage)
        self.random = torch.Generator().manual_seed(settings.seed)

    def draw(self, step):
        return torch.rand(self.settings.batch, 1, generator=self.random)

    def losses(self, drawn, done):
        if self.progress.step == self.stop:
            raise KeyboardInterrupt
        return {"loss": ((self.network(drawn) - 2 * drawn - 1) ** 2).mean()}

    def per_second(self, steps):
        return {}


def interrupted(settings: LineSettings, at: int = 3, stage: str = "") -> None:
    engine = Line(settings, stage=stage)
    engine.stop = at
    with pytest.raises(KeyboardInterrupt):
        engine.run()


def steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "line.log.jsonl").read_text().splitlines()]


def test_a_resumed_training_ends_with_the_weights_of_one_that_never_stopped(tmp_path):
    whole = Line(LineSettings(str(tmp_path / "whole")))
    (tmp_path / "whole").mkdir()
    whole.run()
    settings = LineSettings(str(tmp_path))
    interrupted(settings)
    again = Line(settings)
    assert again.run().step == 6
    assert torch.equal(again.network.weight, whole.network.weight)


@pytest.mark.parametrize("way", [begin, lambda settings: Line(settings).run()])
def test_going_on_with_other_settings_is_refused_with_the_names_that_differ(tmp_path, way):
    settings = LineSettings(str(tmp_path))
    interrupted(settings)
    with pytest.raises(InputError, match=r"seed was 0 and is 1") as refused:
        way(replace(settings, lr=0.2, seed=1))
    assert "lr was 0.1 and is 0.2" in str(refused.value) and "batch" not in str(refused.value)
    assert "--no-resume" in str(refused.value)


def test_a_new_training_may_have_other_settings_where_an_interrupted_one_lies(tmp_path):
    settings = LineSettings(str(tmp_path))
    interrupted(settings)
    assert Line(replace(settings, lr=0.2, resume=False)).run().step == 6


def test_what_decides_nothing_of_what_is_learned_may_differ(tmp_path):
    settings = LineSettings(str(tmp_path / "old"))
    (tmp_path / "old").mkdir()
    interrupted(settings)
    (tmp_path / "old").rename(tmp_path / "new")
    moved = replace(settings, out=str(tmp_path / "new"), workers=3, device="", log_every=2, save_minutes=9.0)
    begin(moved)
    assert Line(moved).run().step == 6


def test_a_damaged_state_is_one_sentence(tmp_path):
    settings = LineSettings(str(tmp_path))
    interrupted(settings)
    state = tmp_path / "line.state.pt"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(InputError, match=r"line\.state\.pt: damaged"):
        begin(settings)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: [state],
        lambda state: {"tensor": torch.zeros(2)},
        lambda state: state | {"settings": None},
        lambda state: {key: value for key, value in state.items() if key != "model"},
        lambda state: state | {"model": 7},
        lambda state: state | {"model": {"weight": torch.zeros(3, 3)}},
        lambda state: state | {"optimizer": {}},
        lambda state: state | {"optimizer": state["optimizer"] | {"param_groups": []}},
        lambda state: state | {"progress": {"steps": 3}},
        lambda state: state | {"random": None},
        lambda state: state | {"random": torch.zeros(3)},
    ],
)
def test_a_foreign_state_is_one_sentence_with_its_name_and_the_way_out(change, tmp_path):
    settings = LineSettings(str(tmp_path))
    interrupted(settings)
    path = tmp_path / "line.state.pt"
    torch.save(change(torch.load(path)), path)
    with pytest.raises(InputError, match=r"line\.state\.pt: .*; delete it"):
        Line(settings).run()


@pytest.mark.parametrize("first", [3, 64, 200, 700])
def test_a_state_with_damaged_bytes_is_refused_or_read_but_never_a_crash(first, tmp_path):
    settings = LineSettings(str(tmp_path))
    interrupted(settings)
    path = tmp_path / "line.state.pt"
    content = bytearray(path.read_bytes())
    for n in range(first, len(content), 7):
        content[n] ^= 0xA5
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"line\.state\.pt: .*; delete it"):
        Line(settings).run()


@pytest.mark.parametrize("line", ["nonsense", "[1]", "{}", "7", '{"step": "three"}'])
def test_a_damaged_line_of_the_log_is_named(line, tmp_path):
    settings = LineSettings(str(tmp_path))
    interrupted(settings)
    log = tmp_path / "line.log.jsonl"
    log.write_text(f'{{"step": 1}}\n{line}\n')
    with pytest.raises(InputError, match=r"line\.log\.jsonl, line 2: damaged; delete the line"):
        Line(settings).run()
    assert log.read_text() == f'{{"step": 1}}\n{line}\n'


def test_the_log_of_a_new_training_does_not_begin_with_that_of_an_older_one(tmp_path):
    settings = LineSettings(str(tmp_path))
    for _ in range(2):
        engine = Line(settings)
        engine.run()
        engine.finish()
    assert steps(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_a_step_that_was_lost_by_an_interruption_is_logged_once(tmp_path):
    settings = LineSettings(str(tmp_path), save_minutes=0.0)
    engine = Line(settings)
    engine.stop, save = 4, engine.save_state
    engine.save_state = lambda: engine.progress.step == 2 and save()  # steps 3 and 4 are not in the state
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    with open(tmp_path / "line.log.jsonl", "a") as log:
        log.write('{"step": 5, "lo')
    assert steps_before(tmp_path) == 4
    assert Line(settings).run().step == 6
    assert steps(tmp_path) == [1, 2, 3, 4, 5, 6]


def steps_before(folder: Path) -> int:
    return (folder / "line.log.jsonl").read_text().count("\n")


def test_lines_of_an_earlier_stage_stay_in_the_log(tmp_path):
    settings = LineSettings(str(tmp_path), steps=2)
    for stage in ("first", "second", "second"):
        engine = Line(settings, stage=stage)
        engine.run()
        engine.finish()
    lines = [json.loads(line) for line in (tmp_path / "line.log.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [
        ("first", 1), ("first", 2), ("second", 1), ("second", 2)
    ]  # fmt: skip


def test_an_optimiser_that_lacks_what_is_to_be_trained_is_refused_in_every_task(tmp_path):
    with pytest.raises(RuntimeError, match=r"missing: \['bias'\], too much: \[\]"):
        Line(LineSettings(str(tmp_path)), optimised=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": ""}, "no data"),
        ({"steps": 0}, "either minutes or steps"),
        ({"minutes": 1.0}, "either minutes or steps"),
        ({"log_every": 0}, "log_every must be at least 1, got 0"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"held_out": -1}, "held_out must be at least 0, got -1"),
    ],
)
def test_settings_that_no_training_can_mean_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        begin(replace(LineSettings(str(tmp_path)), **changes))


@once()
def train(settings: LineSettings) -> str:
    """A whole training of a line, as every task has it; `Line.stop` interrupts it."""
    begin(settings)
    engine = Line(settings)
    engine.run()
    engine.checkpoint.write_bytes(f"lr {settings.lr}".encode())
    card.write_card(engine, card.facts_of(engine), "a line", data="points", cost="nothing", parts={})
    engine.finish()
    return "trained"


@pytest.fixture
def heeded():
    """Signals as in a terminal; they are ignored where the tests run in the background."""
    plain = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in plain.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_for_the_end_of_a_step_and_its_state(number, tmp_path):
    (tmp_path / "whole").mkdir()
    whole = Line(LineSettings(str(tmp_path / "whole")))
    whole.run()
    settings = LineSettings(str(tmp_path), save_minutes=9.0)
    engine = Line(settings)
    plain = engine.losses

    def told_to_end(drawn, done):
        if engine.progress.step == 3:
            os.kill(os.getpid(), number)
        return plain(drawn, done)

    engine.losses = told_to_end
    with stoppable(), pytest.raises(KeyboardInterrupt) as stop:
        engine.run()
    assert isinstance(stop.value, Stopped) == (number != signal.SIGINT)
    assert torch.load(engine.state_file)["progress"]["step"] == 4
    again = Line(settings)
    assert again.run().step == 6 and torch.equal(again.network.weight, whole.network.weight)


def test_a_finished_training_is_not_made_again_and_refuses_other_settings(tmp_path, monkeypatch):
    settings = LineSettings(str(tmp_path))
    assert train(settings) == "trained"
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(path.name for path in before) == ["line.json", "line.log.jsonl", "line.md", "line.safetensors"]
    monkeypatch.setattr(Line, "run", None)
    assert "line.safetensors: is trained with these settings already" in train(replace(settings, workers=2))
    with pytest.raises(
        InputError, match=r"line\.safetensors: a finished training had other settings: lr was 0.1 and is 0.3"
    ):
        train(replace(settings, lr=0.3))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_training_that_is_made_anew_replaces_the_finished_one_when_it_is_over(tmp_path, monkeypatch):
    settings = LineSettings(str(tmp_path))
    train(settings)
    anew = replace(settings, lr=0.3, resume=False)
    monkeypatch.setattr(Line, "stop", 4)
    with pytest.raises(KeyboardInterrupt):
        train(anew)
    assert (tmp_path / "line.safetensors").read_bytes() == b"lr 0.1"
    monkeypatch.setattr(Line, "stop", -1)
    assert train(anew) == "trained"
    assert (tmp_path / "line.safetensors").read_bytes() == b"lr 0.3"
    assert json.loads((tmp_path / "line.json").read_text())["settings"]["lr"] == 0.3
    assert not list(tmp_path.glob("*unfinished*"))


def test_a_full_disk_is_one_sentence_and_leaves_the_state_that_was_there(tmp_path, monkeypatch):
    settings = LineSettings(str(tmp_path))
    interrupted(settings)
    before = (tmp_path / "line.state.pt").read_bytes()

    def full(state, path):
        Path(path).write_bytes(b"a part")
        raise RuntimeError("[enforce fail at inline_container.cc:595] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match=r"line\.state\.pt: cannot be written"):
        Line(settings).save_state()
    assert (tmp_path / "line.state.pt").read_bytes() == before and not list(tmp_path.glob("*.part*"))


def test_a_training_never_replaces_the_checkpoint_that_it_starts_from(tmp_path):
    @dataclass
    class Tuned(LineSettings):
        init: str = ""

    (tmp_path / "line.safetensors").write_bytes(b"to start from")
    with pytest.raises(InputError, match=r"line\.safetensors: is read by this command"):
        train(Tuned(str(tmp_path), init=str(tmp_path / "line.safetensors")))
    assert (tmp_path / "line.safetensors").read_bytes() == b"to start from"


def git(folder: Path, *arguments: str) -> str:
    name = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(["git", *name, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def a_repository(folder: Path, package: str) -> Path:
    """A repository with a commit, and card.py of a package in it; gives that file."""
    file = folder / package / "samodal" / "training" / "card.py"
    file.parent.mkdir(parents=True)
    file.write_text("")
    (folder / "pyproject.toml").write_text('[project]\nname = "samodal"\n')
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return file


@pytest.fixture
def no_commit_given(monkeypatch):
    monkeypatch.delenv("SAMODAL_COMMIT", raising=False)


def test_a_card_names_no_commit_of_a_repository_that_the_package_is_installed_in(
    tmp_path, monkeypatch, no_commit_given
):
    file = a_repository(tmp_path, ".venv/lib/python3.12/site-packages")
    monkeypatch.setattr(card, "__file__", str(file))
    assert card.commit() == "unknown"


def test_a_card_names_no_commit_of_another_project_of_the_same_shape(tmp_path, monkeypatch, no_commit_given):
    file = a_repository(tmp_path, "src")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    monkeypatch.setattr(card, "__file__", str(file))
    assert card.commit() == "unknown"


def test_a_card_names_the_commit_of_the_project_and_whether_files_have_changed_since(
    tmp_path, monkeypatch, no_commit_given
):
    file = a_repository(tmp_path, "src")
    monkeypatch.setattr(card, "__file__", str(file))
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    (tmp_path / "notes.txt").write_text("of no file that git knows")
    assert card.commit() == head
    file.write_text("changed")
    assert card.commit() == f"{head}-dirty"
