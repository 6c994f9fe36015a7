"""The training of an amodal SAM on toy pictures: what is trained, how it resumes, what it leaves behind."""

import dataclasses
import json
import math
import os
import subprocess
import sys

import pytest
import torch

from samodal.errors import InputError
from samodal.segmenters.sam import AmodalSam
from samodal.segmenters.sam.config import AmodalSamConfig
from samodal.training import schedule
from samodal.training.optimizer import adamw, check_optimised
from samodal.training.recipes import load_recipe, names, recipe_path
from samodal.training.sam import sam as sam_module
from samodal.training.sam.batch import Batch
from samodal.training.sam.objective import Objective
from samodal.training.sam.sam import SamEngine, train
from samodal.training.sam.sam import new_model as model_of
from samodal.training.sam.settings import TrainSettings
from samodal.training.sam.validation import Predict, validate
from toy_data import write_toy

pytest.importorskip("accelerate")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    write_toy(root / "train", sequences=2, frames=4, seed=0)
    write_toy(root / "val", sequences=1, frames=3, seed=1)
    return root


def settings_for(root, out, **changes) -> TrainSettings:
    chosen = {
        "data": f"streetsim:{root}/train", "out": str(out), "name": "toy", "size": "tiny", "adapters": "none",
        "frames": 2, "instances": 3, "steps": 4, "warmup": 2, "precision": "float32", "device": "cpu",
        "workers": 1, "log_every": 1, "min_visible": 4,
    }  # fmt: skip
    return TrainSettings(**(chosen | changes))


@pytest.fixture(scope="module")
def visible(root, tmp_path_factory):
    """A short visible stage, on which the others build."""
    out = tmp_path_factory.mktemp("visible")
    settings = settings_for(root, out, val=f"streetsim:{root}/val", steps=6, validations=2)
    return train(settings)


def test_a_training_leaves_a_checkpoint_its_card_and_a_log(visible):
    assert visible.steps == 6 and visible.metrics.keys() == {"train", "val"}
    assert AmodalSam.from_checkpoint(visible.checkpoint).config.adapters is False
    card = visible.checkpoint.with_suffix(".md").read_text()
    for part in (
        "stage `visible`",
        "seed 0",
        "amodal_miou",
        "iou_rank_correlation",
        "optimised = trainable",
        "instances_per_s",
    ):
        assert part in card
    facts = json.loads(visible.checkpoint.with_suffix(".json").read_text())
    assert facts["steps"] == 6 and facts["counts"]["frames"] == 8 and len(facts["history"]) == 2
    lines = [json.loads(line) for line in (visible.checkpoint.parent / "toy.log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert not (visible.checkpoint.parent / "toy.state.pt").exists()


def test_the_best_validated_model_is_the_one_kept(root, tmp_path, monkeypatch):
    scores = iter([0.3, 0.7, 0.5])
    weights = []

    def judge(predict, cache, frames):
        weights.append({k: v.clone() for k, v in predict.model.state_dict().items()})
        return {"visible_miou": next(scores, 0.0)}

    monkeypatch.setattr("samodal.training.sam.sam.validate", judge)
    monkeypatch.setattr("samodal.training.sam.sam.measured", lambda *_: {})
    outcome = train(settings_for(root, tmp_path, val=f"streetsim:{root}/val", steps=8, validations=3))
    assert len(weights) == 3
    assert_equal(AmodalSam.from_checkpoint(outcome.checkpoint).state_dict(), weights[1])


def assert_equal(found: dict, expected: dict):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


class Stopped(Exception):
    """Pulls the plug in a test."""


@pytest.mark.parametrize("stage", ["visible", "amodal"])
def test_a_resumed_training_ends_with_the_same_weights(root, tmp_path, visible, monkeypatch, stage):
    amodal = {
        "init": str(visible.checkpoint),
        "adapters": "fresh",
        "stage": "amodal",
        "tune": "adapters",
        "prompts": "amodal",
    }
    changes = {"steps": 6, "band_share": 0.3} | (amodal if stage == "amodal" else {})
    whole = train(settings_for(root, tmp_path / "whole", **changes))

    step = SamEngine.step

    def until_four(self, drawn, done):
        if self.progress.step == 4:
            self.save_state()
            raise Stopped
        return step(self, drawn, done)

    monkeypatch.setattr(SamEngine, "step", until_four)
    with pytest.raises(Stopped):
        train(settings_for(root, tmp_path / "parts", **changes))
    monkeypatch.setattr(SamEngine, "step", step)
    parts = train(settings_for(root, tmp_path / "parts", **changes))
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts" / "toy.log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert_equal(
        AmodalSam.from_checkpoint(parts.checkpoint).state_dict(),
        AmodalSam.from_checkpoint(whole.checkpoint).state_dict(),
    )


@pytest.mark.parametrize(
    ("adapters", "tune", "learns"),
    [
        ("fresh", "adapters", (".adapter.", "mask_decoder.")),
        ("fresh", "decoder", ("mask_decoder.",)),
        ("none", "decoder", ("mask_decoder.",)),
    ],
)
def test_what_is_frozen_stays_bit_equal_and_the_rest_learns(root, tmp_path, visible, adapters, tune, learns):
    settings = settings_for(
        root, tmp_path, init=str(visible.checkpoint), adapters=adapters, stage="amodal", tune=tune, prompts="amodal",
        seed=3, steps=2,
    )  # fmt: skip
    start = AmodalSam.from_checkpoint(visible.checkpoint)
    if adapters == "fresh":
        start.add_adapters(3)
    end = AmodalSam.from_checkpoint(train(settings).checkpoint).state_dict()
    changed = {name for name, value in start.state_dict().items() if not torch.equal(value, end[name])}
    assert changed and all(any(part in name for part in learns) for name in changed)
    assert all(any(part in name for name in changed) for part in learns)


@pytest.mark.parametrize("stage", ["visible", "amodal"])
def test_each_stage_learns_its_own_masks_and_prompts_come_from_visible_ones_alone(root, tmp_path, monkeypatch, stage):
    prompted, judged = [], []
    draw, judge = sam_module.draw_prompts, Objective.__call__

    def drawn(visible, plan, generator):
        prompted.append(visible)
        return draw(visible, plan, generator)

    def called(self, logits, iou, target, batch, transform):
        judged.append((target, batch))
        return judge(self, logits, iou, target, batch, transform)

    monkeypatch.setattr(sam_module, "draw_prompts", drawn)
    monkeypatch.setattr(Objective, "__call__", called)
    train(settings_for(root, tmp_path, steps=2, stage=stage))
    for visible, (target, batch) in zip(prompted, judged, strict=True):
        assert torch.equal(visible, batch.visible) and not torch.equal(visible, batch.amodal)
        assert torch.equal(target, batch.visible if stage == "visible" else batch.amodal)


@pytest.mark.heavy
def test_two_processes_train_one_model(root, tmp_path):
    script = tmp_path / "two.py"
    fields = dataclasses.asdict(settings_for(root, tmp_path / "out", val=f"streetsim:{root}/val"))
    script.write_text(f"from samodal.cli.train import TrainSettings, main\nmain(TrainSettings(**{fields!r}))\n")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run([*launch, str(script)], check=True, timeout=300, env=os.environ | {"OMP_NUM_THREADS": "1"})
    lines = [json.loads(line) for line in (tmp_path / "out" / "toy.log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert AmodalSam.from_checkpoint(tmp_path / "out" / "toy.safetensors").config.size == (128, 224)


def test_low_rank_updates_are_trained_and_saved_merged(root, tmp_path, visible):
    pytest.importorskip("peft")
    settings = settings_for(root, tmp_path, init=str(visible.checkpoint), stage="amodal", tune="lora", steps=2)
    end = AmodalSam.from_checkpoint(train(settings).checkpoint).state_dict()
    start = AmodalSam.from_checkpoint(visible.checkpoint).state_dict()
    changed = {name for name in start if not torch.equal(start[name], end[name])}
    assert any(".attn.qkv." in name for name in changed) and any("mask_decoder" in name for name in changed)
    assert not any("prompt_encoder" in name for name in changed)


def test_low_rank_updates_start_from_the_seed_whatever_else_drew_random_numbers(visible):
    pytest.importorskip("peft")
    starts = []
    for seed in (1, 1, 2):
        torch.rand(3)
        model = model_of(TrainSettings(init=str(visible.checkpoint), stage="amodal", tune="lora", seed=seed))
        starts.append(next(value for name, value in model.named_parameters() if "lora_A" in name))
    assert torch.equal(starts[0], starts[1]) and not torch.equal(starts[0], starts[2])


def test_trainings_of_different_precision_follow_each_other_in_one_process(root, tmp_path):
    for precision in ("float32", "bf16", "float32"):
        assert train(settings_for(root, tmp_path / precision, steps=1, precision=precision)).steps == 1


def test_an_interrupted_training_does_not_go_on_with_other_settings(root, tmp_path, monkeypatch):
    settings = settings_for(root, tmp_path, save_minutes=0.0)
    monkeypatch.setattr(SamEngine, "measure_if_due", lambda self: interrupt(self))
    with pytest.raises(Stopped):
        train(settings)
    with pytest.raises(InputError, match="lr was 0.001 and is 0.01, seed was 0 and is 1"):
        train(dataclasses.replace(settings, lr=0.01, seed=1))


def interrupt(engine: SamEngine) -> None:
    if engine.progress.step == 2:
        raise Stopped


def new_model(tune: str) -> AmodalSam:
    model = AmodalSam.initialise(AmodalSamConfig.named("tiny"), 0)
    model.tune(tune)
    return model


def test_the_check_says_what_is_optimised():
    model = new_model("adapters")
    parts = check_optimised(model, adamw(TrainSettings(), list(model.trainable().values())))
    assert "vision_encoder.adapter: " in parts and "mask_decoder: " in parts and "prompt_encoder" not in parts


def test_an_optimiser_without_the_adapters_is_refused_as_the_released_one_should_have_been():
    model = new_model("adapters")
    released = torch.optim.AdamW(model.mask_decoder.parameters())
    with pytest.raises(RuntimeError, match=r"missing: \['vision_encoder\.adapter"):
        check_optimised(model, released)


def test_an_optimiser_with_frozen_or_foreign_parameters_is_refused():
    model = new_model("decoder")
    with pytest.raises(RuntimeError, match=r"too much: \['prompt_encoder"):
        check_optimised(model, torch.optim.AdamW(model.parameters()))
    foreign = torch.optim.AdamW([*model.trainable().values(), torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(RuntimeError, match="a foreign tensor"):
        check_optimised(model, foreign)


@pytest.mark.parametrize("adapters", ("none", "fresh"))
def test_adapters_of_the_start_can_be_taken_off_or_replaced(tmp_path, adapters):
    model = new_model("adapters")
    model.save(tmp_path / "with.safetensors")
    settings = TrainSettings(init=str(tmp_path / "with.safetensors"), adapters=adapters, tune="decoder", seed=4)
    started = model_of(settings).state_dict()
    before = model.state_dict()
    kept = {k: v for k, v in before.items() if ".adapter." not in k}
    assert all(torch.equal(started[k], v) for k, v in kept.items())
    if adapters == "none":
        assert started.keys() == kept.keys()
    else:
        assert started.keys() == before.keys()
        assert any(not torch.equal(started[k], v) for k, v in before.items() if ".adapter." in k)


def test_a_training_whose_optimiser_is_wrong_never_starts(root, tmp_path, visible, monkeypatch):
    def decoder_only(settings, parameters):
        return torch.optim.AdamW(parameters[-2:])

    monkeypatch.setattr(sam_module, "adamw", decoder_only)
    settings = settings_for(
        root, tmp_path, init=str(visible.checkpoint), adapters="fresh", stage="amodal", tune="adapters"
    )
    with pytest.raises(RuntimeError, match="missing"):
        train(settings)
    assert not (tmp_path / "toy.log.jsonl").exists()


def test_the_loss_falls_on_a_toy_set(root, tmp_path):
    train(settings_for(root, tmp_path, steps=30, warmup=5, augment=False, frames=4, prompts="random_point"))
    losses = [json.loads(line)["loss"] for line in (tmp_path / "toy.log.jsonl").read_text().splitlines()]
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


@pytest.mark.parametrize("recipe", ["asd-paper", "asd-released"])
def test_the_papers_and_the_released_recipe_run(root, tmp_path, recipe):
    settings = load_recipe(
        recipe, data=f"streetsim:{root}/train", val="", init="", adapters="keep", size="tiny", epochs=0.0, steps=3,
        out=str(tmp_path), name="toy", device="cpu", workers=1, log_every=1,
    )  # fmt: skip
    assert train(settings).steps == 3
    rates = [json.loads(line)["lr"] for line in (tmp_path / "toy.log.jsonl").read_text().splitlines()]
    expected = [1e-5, 1e-5, 1e-5] if recipe == "asd-paper" else [1e-5, 1e-5 / 200, 2e-5 / 200]
    assert rates == pytest.approx(expected)


def test_the_released_schedule_at_chosen_steps():
    """Base rate first; warm-up is the rate of the following step; then (1 - i / steps) ** .9 after the warm-up."""
    total = 10_000
    assert schedule.released(0, total) == 1.0
    assert schedule.released(1, total) == pytest.approx(1 / 200)
    assert schedule.released(200, total) == 1.0
    assert schedule.released(201, total) == 1.0
    assert schedule.released(5201, total) == pytest.approx(0.5**0.9)
    assert schedule.released(total, total) == pytest.approx((201 / total) ** 0.9)


def test_the_step_and_cosine_schedules_at_chosen_places():
    assert [schedule.every_ten_epochs(e) for e in (0, 9.99, 10, 20)] == pytest.approx([1, 1, 0.1, 0.01])
    assert schedule.cosine(0, 0.0, warmup=10) == pytest.approx(0.1)
    assert schedule.cosine(50, 0.5, warmup=10) == pytest.approx(0.5)
    assert schedule.cosine(99, 1.0, warmup=0) == pytest.approx(0.0, abs=1e-12)


def test_a_training_by_the_clock_ends_near_a_rate_of_zero(root, tmp_path):
    train(settings_for(root, tmp_path, steps=0, minutes=0.05))
    lines = [json.loads(line) for line in (tmp_path / "toy.log.jsonl").read_text().splitlines()]
    assert lines[-1]["lr"] < 0.35 * max(line["lr"] for line in lines)
    assert lines[-1]["minutes"] >= 0.05 * 0.9


class Oracle(torch.nn.Module):
    """Answers with the masks it was given, one after the other."""

    def __init__(self, model, masks):
        super().__init__()
        self.model, self.masks = model, masks

    def forward(self, pixels, points, labels, boxes, masks, index, multimask):
        now, self.masks = self.masks[: len(index)], self.masks[len(index) :]
        return (2.0 * now.float() - 1)[:, None], now.flatten(1).float().mean(1, keepdim=True)


def test_validation_gives_one_to_the_truth_and_less_to_the_visible_mask(root):
    from samodal.training.sam.cache import build, unpack

    model = AmodalSam.initialise(AmodalSamConfig.named("tiny"), 0)
    cache = build(f"streetsim:{root}/val", model.transform, centres=True, workers=1, report=lambda _: None)
    visible, amodal = unpack(cache.visible), unpack(cache.amodal)
    right = validate(Oracle(model, amodal), cache, frames=2)
    assert right["amodal_miou"] == right["hidden_miou"] == 1.0 and right["instances"] == len(cache)
    copied = validate(Oracle(model, visible), cache, frames=2)
    each = ((visible & amodal).flatten(1).sum(1) / amodal.flatten(1).sum(1)).tolist()
    assert copied["amodal_miou"] == pytest.approx(sum(each) / len(each))
    assert copied["hidden_miou"] == 0.0 and copied["visible_miou"] == 1.0


def test_the_best_of_three_masks_is_trained_and_the_others_are_not():
    target = torch.zeros(2, 16, 16, dtype=torch.bool)
    target[:, 4:12, 4:12] = True
    logits = torch.full((2, 3, 4, 4), -2.0)
    logits[0, 1, 1:3, 1:3] = logits[1, 2, 1:3, 1:3] = 2.0
    logits.requires_grad_()
    batch = Batch(torch.zeros(2, 3, 16, 16), target, target, torch.arange(2))
    transform = AmodalSamConfig.named("tiny").transform
    values = Objective("focal_dice", 0.0, "double")(logits, torch.zeros(2, 3), target, batch, transform)
    values["loss"].backward()
    moved = logits.grad.abs().sum((2, 3)) > 0
    assert moved.tolist() == [[False, True, False], [False, False, True]]
    assert values["iou"] > 0.5 and math.isclose(values["loss"].item(), values["mask_loss"].item())


def test_the_iou_loss_reaches_every_mask_and_only_the_iou_head():
    target = torch.zeros(1, 16, 16, dtype=torch.bool)
    target[:, 4:12, 4:12] = True
    logits = torch.full((1, 3, 4, 4), -2.0)
    iou = torch.full((1, 3), 0.5, requires_grad=True)
    batch = Batch(torch.zeros(1, 3, 16, 16), target, target, torch.arange(1))
    transform = AmodalSamConfig.named("tiny").transform
    values = Objective("focal_dice", 1.0, "input")(logits, iou, target, batch, transform)
    values["loss"].backward()
    assert values["iou_loss"].item() == pytest.approx(0.25)
    assert (iou.grad > 0).all()


def test_a_frozen_encoder_keeps_nothing_for_the_backward_pass():
    predict = Predict(new_model("decoder"))
    seen = []
    embed = predict.model.embed
    predict.model.embed = lambda pixels: seen.append(embed(pixels)) or seen[-1]
    ones = torch.ones(1, 1, dtype=torch.long)
    predict(torch.zeros(1, 3, 128, 224), torch.zeros(1, 1, 2), ones, None, None, torch.zeros(1).long(), False)
    assert not seen[0].requires_grad


@pytest.mark.parametrize("name", names())
def test_every_recipe_is_valid_and_named_after_its_file(name):
    settings = load_recipe(name)
    assert settings.recipe == name
    assert sum(bool(getattr(settings, length)) for length in ("minutes", "steps", "epochs")) == 1


def test_paper_and_released_recipes_differ_where_the_facts_say():
    paper, released = load_recipe("asd-paper"), load_recipe("asd-released")
    assert (paper.tune, paper.loss, paper.schedule, paper.epochs) == ("adapters", "focal_dice", "step", 20)
    assert (released.tune, released.loss, released.schedule, released.epochs) == (
        "decoder",
        "released",
        "released",
        10,
    )
    for recipe in (paper, released):
        assert (recipe.frames, recipe.instances, recipe.lr, recipe.iou_weight) == (1, 1, 1e-5, 0.0)


def test_unknown_recipes_and_keys_are_refused_with_the_nearest_known(tmp_path):
    with pytest.raises(InputError, match="did you mean 'streetsim-amodal'"):
        recipe_path("streetsim-amodall")
    with pytest.raises(InputError, match="unknown setting 'minuts'; did you mean 'minutes'"):
        load_recipe("streetsim-amodal", minuts=3)
    own = tmp_path / "own.yaml"
    own.write_text("frams: 3\n")
    with pytest.raises(InputError, match=r"own\.yaml: unknown setting 'frams'; did you mean 'frames'"):
        load_recipe(str(own))


def test_settings_that_cannot_be_meant_are_refused(root, tmp_path):
    good = settings_for(root, tmp_path)
    for changes, message in (
        ({"data": ""}, "no data"),
        ({"steps": 0}, "exactly one of minutes, steps and epochs"),
        ({"minutes": 1.0}, "exactly one"),
        ({"schedule": "released", "steps": 0, "minutes": 1.0}, "counts steps"),
        ({"loss_size": "frame"}, "augment: false"),
    ):
        with pytest.raises(InputError, match=message):
            train(dataclasses.replace(good, **changes))
    with pytest.raises(InputError, match="tune adapters needs a model"):
        train(settings_for(root, tmp_path, tune="adapters"))
    with pytest.raises(InputError, match="tune: 'adapter'; did you mean 'adapters'"):
        settings_for(root, tmp_path, tune="adapter")
