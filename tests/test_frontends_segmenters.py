"""Mask2Former and RF-DETR as front ends: small random models saved as folders, and outputs that are told."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from made_up import passing_square
from samodal.errors import InputError
from samodal.frontends import hub_segmenter
from samodal.frontends.checkpoint import parse
from samodal.frontends.hub_segmenter import Limits, Loaded, Preparation
from samodal.frontends.mask2former import Mask2Former
from samodal.frontends.rf_detr import RfDetr
from samodal.masks import Mask
from samodal.runner import run_video
from samodal.settings import RunSettings
from samodal.video import ArrayVideo

CLASSES = {0: "cat", 1: "car", 2: "person"}
NAMED = {"id2label": CLASSES, "label2id": {name: n for n, name in CLASSES.items()}}


def mask2former(**labels):
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = SwinConfig(
        image_size=64, embed_dim=16, depths=[1] * 4, num_heads=[1] * 4, window_size=4, out_features=stages
    )
    config = Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=16,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16, num_queries=6,
        **(labels or NAMED),
    )  # fmt: skip
    return Mask2FormerForUniversalSegmentation(config)


def rf_detr_config():
    from transformers import RfDetrConfig
    from transformers.models.rf_detr.configuration_rf_detr import RfDetrDinov2Config

    backbone = RfDetrDinov2Config(
        image_size=56, patch_size=14, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_windows=2,
        out_features=["stage1", "stage2"],
    )  # fmt: skip
    return RfDetrConfig(
        backbone_config=backbone, d_model=16, decoder_ffn_dim=16, decoder_layers=2, decoder_self_attention_heads=2,
        decoder_cross_attention_heads=2, num_queries=6, group_detr=1, intermediate_size=16, **NAMED,
    )  # fmt: skip


def rf_detr():
    transformers = pytest.importorskip("transformers")
    if not hasattr(transformers, "RfDetrForInstanceSegmentation"):
        pytest.skip("this transformers has no RF-DETR")
    return transformers.RfDetrForInstanceSegmentation(rf_detr_config())


KINDS = {"mask2former": (Mask2Former, mask2former), "rf_detr": (RfDetr, rf_detr)}


@pytest.fixture(params=KINDS)
def folder(request, tmp_path):
    """(name of the front end, folder of a random checkpoint for frames of about 64x128)."""
    torch.manual_seed(0)
    _, make = KINDS[request.param]
    make().save_pretrained(tmp_path)
    if request.param == "mask2former":
        size = {"size": {"shortest_edge": 64, "longest_edge": 128}, "size_divisor": 32}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(size))
    return request.param, tmp_path


def test_a_checkpoint_loads_and_runs_to_the_end(folder, tmp_path):
    name, path = folder
    frames = np.stack([observation.frame.image for observation in passing_square(3)[1]])
    settings = RunSettings(vis=f"{name}:{path},keep=0,score=0", method="copy-visible", device="cpu", overlay=False)
    video = ArrayVideo("drive", frames)
    first = run_video(settings, video, tmp_path / "one")
    assert first.frames == 3
    run_video(settings, video, tmp_path / "two")
    assert (tmp_path / "one" / "frames.jsonl").read_bytes() == (tmp_path / "two" / "frames.jsonl").read_bytes()


def test_masks_come_at_the_frames_size_without_a_shared_pixel(folder):
    name, path = folder
    session = KINDS[name][0](f"{path},keep=0,score=0,area=1").open(ArrayVideo("drive", np.zeros((1, 50, 90, 3), "u1")))
    found = session.step(np.random.default_rng(0).integers(0, 255, (50, 90, 3), np.uint8), 0)
    assert found
    assert all(instance.mask.size == (50, 90) and instance.category in ("car", "person") for instance in found)
    assert sum((instance.mask.decode().astype(int) for instance in found), np.zeros((50, 90), int)).max() <= 1


@pytest.mark.parametrize("size", [(50, 90), (90, 50), (60, 60), (375, 1242), (40, 400)])
@pytest.mark.parametrize("rule", [{"shortest_edge": 80, "longest_edge": 133}, {"height": 64, "width": 96}])
def test_frames_are_prepared_as_transformers_prepares_them(size, rule):
    from transformers import Mask2FormerImageProcessorPil

    frame = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    theirs = Mask2FormerImageProcessorPil(size=rule, size_divisor=32)(frame, return_tensors="pt")["pixel_values"]
    ours = Preparation(rule, divisor=32).pixels(frame)
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1e-5


def test_what_a_checkpoint_says_of_its_preparation_is_used(tmp_path):
    default = Preparation({"height": 8, "width": 8}, 4)
    assert Preparation.read(tmp_path, default) == default
    told = {"size": {"height": 5, "width": 7}, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    read = Preparation.read(tmp_path, default)
    assert (read.input_size((100, 50)), read.mean) == ((8, 8), [0, 0, 0])
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": {"max_height": 5}}))
    with pytest.raises(InputError, match="max_height.*expected height and width"):
        Preparation.read(tmp_path, default)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[1]", "expected names and values"),
        ("{", "not valid JSON"),
        ('{"size": 8}', "expected names and values"),
        ('{"size": {"height": "8", "width": 8}}', "size should be a whole number"),
        ('{"size": {"height": 1000000000, "width": 8}}', r"in \[1, 8192\], found 1000000000"),
        ('{"size_divisor": -3}', "size_divisor should be a whole number"),
        ('{"image_mean": [0, 0]}', "image_mean should be 3 times a number"),
        ('{"image_std": [1, 1, 0]}', "image_std should be"),
    ],
)
def test_a_preparation_that_no_model_has_is_refused(content, told, tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(InputError, match=f"preprocessor_config.json: .*{told}"):
        Preparation.read(tmp_path, Preparation({"height": 8, "width": 8}, 4))


class Told(torch.nn.Module):
    """A Mask2Former whose output is given: class logits over cat, car, person, nothing, and 4x8 mask logits."""

    device = torch.device("cpu")

    def __init__(self, classes, masks):
        super().__init__()
        self.output = SimpleNamespace(
            class_queries_logits=torch.tensor(np.stack(classes)[None], dtype=torch.float32),
            masks_queries_logits=torch.tensor(np.stack(masks)[None], dtype=torch.float32),
        )

    def forward(self, pixel_values):
        return self.output


def session_of(monkeypatch, classes, masks, limits=""):
    loaded = Loaded(Told(classes, masks), Preparation({"height": 16, "width": 32}), {"car": [1], "person": [2]})
    monkeypatch.setattr(hub_segmenter, "_loaded", lambda *_: loaded)
    return Mask2Former(f"told,area=1{limits}").open(ArrayVideo("drive", np.zeros((1, 4, 8, 3), np.uint8)))


def block(left: int, right: int, sure: float = 20.0) -> np.ndarray:
    """4x8 logits, inside from one column to before another."""
    made = np.full((4, 8), -20.0)
    made[:, left:right] = sure
    return made


FRAME = np.zeros((4, 8, 3), np.uint8)
CAT, CAR, PERSON, NOTHING = np.eye(4) * 20


def test_road_users_are_reported_with_class_score_and_mask(monkeypatch):
    session = session_of(monkeypatch, [CAR, CAT, NOTHING, PERSON], [block(0, 3), block(3, 4), block(4, 5), block(5, 8)])
    car, person = session.step(FRAME, 0)
    assert (car.category, person.category) == ("car", "person")
    assert (car.mask, person.mask) == (Mask.of(block(0, 3) > 0), Mask.of(block(5, 8) > 0))
    assert car.score == pytest.approx(1.0)
    assert [instance.id for instance in session.step(FRAME, 1)] == [car.id, person.id]


def test_an_unsure_mask_lowers_the_score(monkeypatch):
    session = session_of(monkeypatch, [CAR], [block(0, 3, sure=np.log(3))])
    assert session.step(FRAME, 0)[0].score == pytest.approx(0.75)


def test_two_queries_on_one_thing_are_one_instance(monkeypatch):
    weaker = np.array([0.0, 1.0, 0.0, 0.0])
    session = session_of(monkeypatch, [weaker, CAR], [block(0, 3), block(0, 3)], ",score=0,keep=0")
    assert [instance.score for instance in session.step(FRAME, 0)] == [pytest.approx(1.0)]


def test_weak_detections_do_not_begin_an_instance(monkeypatch):
    session = session_of(monkeypatch, [np.array([0.0, 0.5, 0.0, 0.0])], [block(0, 3)], ",keep=0.2")
    assert session.step(FRAME, 0) == []


def test_small_detections_are_left_out(monkeypatch):
    assert session_of(monkeypatch, [CAR], [block(0, 3)], ",area=13").step(FRAME, 0) == []
    assert len(session_of(monkeypatch, [CAR], [block(0, 3)], ",area=12").step(FRAME, 0)) == 1


def test_without_a_least_area_a_detection_has_a_pixel_all_the_same(monkeypatch):
    session = session_of(monkeypatch, [CAR, CAR], [block(0, 0), block(0, 3)], ",area=0,score=0,keep=0")
    assert [instance.mask.area for instance in session.step(FRAME, 0)] == [12]


def test_a_frame_too_large_for_memory_says_what_to_do(monkeypatch):
    session = session_of(monkeypatch, [CAR], [block(0, 3)])

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr(Told, "forward", full)
    with pytest.raises(InputError, match=r"a frame of 8x4 \(width x height\) does not fit .* smaller checkpoint"):
        session.step(FRAME, 0)

    def broken(*_, **__):
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Told, "forward", broken)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        session.step(FRAME, 0)


def test_the_argument_names_a_checkpoint_and_limits():
    assert parse("org/model,score=0.4,area=9", "mask2former", Limits(), "") == ("org/model", Limits(score=0.4, area=9))
    for argument, message in [
        (None, "mask2former:facebook/mask2former"), ("a,scor=1", "did you mean 'score'"),
        ("a,area=big", "area must be a number"), ("a,area=-1", "area must be a number of 0 or more"),
        ("a,score=nan", "score must be a number of 0 or more"), ("a,keep=inf", "keep must be a number of 0 or more"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=message):
            Mask2Former(argument)


def test_a_missing_checkpoint_says_what_is_expected(tmp_path):
    with pytest.raises(InputError, match="no such Mask2Former; give a folder .* or a hub name"):
        Mask2Former(str(tmp_path / "absent" / "deeper"))
    with pytest.raises(InputError, match="no such RF-DETR; give a folder"):
        RfDetr("weights.pth")
    with pytest.raises(InputError, match="found no config.json in it"):
        Mask2Former(str(tmp_path))


def test_another_architecture_is_named(tmp_path):
    mask2former().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"expected a RF-DETR \(model_type rf_detr\), found Mask2FormerForUniversal"):
        RfDetr(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="config.json: not readable"):
        RfDetr(str(tmp_path))


def test_boxes_alone_are_not_enough(tmp_path):
    rf_detr()
    from transformers import RfDetrForObjectDetection

    RfDetrForObjectDetection(rf_detr_config()).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="parameters of RF-DETR are missing, .* one that gives masks"):
        RfDetr(str(tmp_path))


def test_a_checkpoint_without_road_users_says_what_it_has(tmp_path):
    mask2former(id2label={0: "cat", 1: "dog"}, label2id={"cat": 0, "dog": 1}).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no class that is a road user: it has cat, dog"):
        Mask2Former(str(tmp_path))


def test_a_semantic_checkpoint_is_refused():
    with pytest.raises(InputError, match="one mask for all cars"):
        Mask2Former("facebook/mask2former-swin-tiny-cityscapes-semantic")


def test_a_gated_or_unreachable_repository_says_what_to_do(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError

    def gated(name, file):
        raise GatedRepoError.__new__(GatedRepoError)  # its arguments differ between versions

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", gated)
    with pytest.raises(InputError, match="org/model: gated: accept its licence at .*hf auth login"):
        Mask2Former("org/model")

    def unreachable(name, file):
        raise OSError("no route\nto the host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(InputError, match=r"the Hugging Face hub did not give it \(no route\)$"):
        RfDetr("org/model")


def test_a_hub_name_is_checked_before_its_weights_are_fetched(tmp_path, monkeypatch):
    import huggingface_hub

    (tmp_path / "config.json").write_text(json.dumps({"model_type": "sam"}))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda name, file: str(tmp_path / file))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("fetched"))
    with pytest.raises(InputError, match="found sam"):
        Mask2Former("org/model")
    mask2former().save_pretrained(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    assert Mask2Former("org/model").loaded.classes == {"car": [1], "person": [2]}


def test_the_segmenter_of_the_documentation_runs_as_it_is_printed():
    page = (Path(__file__).parents[1] / "docs" / "extend.md").read_text(encoding="utf-8")
    (code,) = [b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if b.startswith("# my_segmenter.py")]
    names = {}
    exec(code, names)
    frames = np.zeros((3, 40, 60, 3), np.uint8)
    for t in range(3):
        frames[t, 10:20, 10 + 4 * t : 30 + 4 * t] = 255
    session = names["EveryFrameAnew"]().open(ArrayVideo("drive", frames))
    assert [[(instance.id, instance.mask.area) for instance in session.step(f, t)] for t, f in enumerate(frames)] == [
        [(1, 200)]
    ] * 3
