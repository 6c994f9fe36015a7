"""The network of VidEoMT and its weights: equal to transformers' own, queries in and out, files, wrong files."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from samodal.categories import ours
from samodal.errors import InputError
from samodal.frontends.road_users import mapping, named
from samodal.frontends.videomt import SIZES, Network, VideomtConfig, load, save
from samodal.frontends.videomt import weights as files
from samodal.frontends.videomt.regions import exclusive_regions
from samodal.images import enlargers
from samodal.training.vis.start import untrained
from tiny_videomt import TINY, frames, tiny


def theirs(**changes):
    """A tiny random model of transformers; its position embeddings and scales are no constants."""
    from transformers import VideomtConfig as Config
    from transformers import VideomtForUniversalSegmentation

    torch.manual_seed(1)
    config = Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=32, patch_size=8, num_blocks=2,
        num_queries=5, num_register_tokens=2, num_upscale_blocks=2, mlp_ratio=2,
        id2label={0: "giant_panda", 1: "sedan", 2: "person"}, **changes,
    )  # fmt: skip
    return VideomtForUniversalSegmentation(config).eval()


@pytest.mark.parametrize("gated", [False, True])
def test_a_folder_of_transformers_loads_and_predicts_the_same_frame_by_frame(gated, tmp_path):
    model = theirs(use_swiglu_ffn=gated)
    model.save_pretrained(tmp_path)
    network = load(tmp_path)
    assert network.config.classes == ("giant_panda", "sedan", "person")
    clip = torch.randn(2, 3, 3, 32, 32)
    with torch.inference_mode():
        expected = model(pixel_values_videos=clip)
        queries, found = None, []
        for t in range(3):
            predicted, queries = network.step(network.tokens(clip[:, t]), queries)
            found += predicted
    assert len(found) == 3
    torch.testing.assert_close(torch.cat([p.masks for p in found]), expected.masks_queries_logits)
    torch.testing.assert_close(torch.cat([p.classes for p in found]), expected.class_queries_logits)


def test_masks_have_the_shape_of_a_rectangular_input_and_training_predicts_after_every_last_block():
    network = tiny().train()
    predicted, queries = network.step(network.tokens(torch.randn(2, 3, 32, 64)))
    assert len(predicted) == TINY.blocks and queries.shape == (2, 4, 32)
    assert all(p.masks.shape == (2, 4, 8, 16) and p.classes.shape == (2, 4, 3) for p in predicted)


def test_what_the_queries_bring_from_the_last_frame_changes_the_next_one():
    network, pixels = tiny(), torch.randn(1, 3, 32, 64)
    with torch.inference_mode():
        (first,), queries = network.step(network.tokens(pixels))
        (again,), _ = network.step(network.tokens(pixels), queries)
    assert not torch.allclose(first.masks, again.masks, atol=1e-4)


def test_before_training_a_frame_is_seen_as_if_it_were_the_first():
    network, pixels = untrained(TINY, seed=0).eval(), torch.randn(1, 3, 32, 64)
    with torch.inference_mode():
        (first,), queries = network.step(network.tokens(pixels))
        (again,), _ = network.step(network.tokens(pixels), queries)
    assert torch.equal(first.masks, again.masks)


def test_our_sizes_are_small_enough_to_be_shipped_in_16_bit():
    for config in SIZES.values():
        with torch.device("meta"):
            parameters = sum(p.numel() for p in Network(config).parameters())
        assert 2 * parameters < 10e6


@pytest.mark.parametrize("wrong", [{"size": (30, 64)}, {"patch": 8}])
def test_a_config_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError):
        TINY.replace(**wrong)


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path):
    network = tiny()
    save(network, tmp_path / "vis.safetensors")
    again = load(tmp_path / "vis.safetensors")
    assert again.config == network.config and not again.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    save(network, tmp_path / "half.safetensors", half=True)
    assert load(tmp_path / "half.safetensors").query.weight.dtype == torch.float32
    with pytest.raises(InputError, match="choose that ending"):
        save(network, tmp_path / "vis.pth")


def test_files_that_are_no_videomt_are_named(tmp_path):
    save_file({"mask_decoder.x": torch.zeros(1)}, str(tmp_path / "other.safetensors"), metadata={"samodal": "{}"})
    with pytest.raises(InputError, match="expected a VidEoMT with its config, found samodal"):
        load(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="no such VidEoMT.*videomt-dinov2-small"):
        load("missing.safetensors")
    (tmp_path / "vis.pth").write_bytes(b"")
    with pytest.raises(InputError, match="expected a .safetensors"):
        load(tmp_path / "vis.pth")
    state = {name: value for name, value in tiny().state_dict().items() if name != "query.weight"}
    told = {"videomt": json.dumps(TINY.to_dict())}
    save_file(state, str(tmp_path / "cut.safetensors"), metadata=told)
    with pytest.raises(InputError, match=r"VidEoMT of its config, found .*1 parameters are missing, as query.weight"):
        load(tmp_path / "cut.safetensors")


def test_a_folder_of_another_architecture_is_named(tmp_path):
    with pytest.raises(InputError, match="found no config.json"):
        load(tmp_path)
    told = {"model_type": "eomt", "architectures": ["EomtForUniversalSegmentation"]}
    (tmp_path / "config.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match="expected a VidEoMT .model_type videomt., found EomtForUniversalSegmentation"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not readable"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "videomt"}))
    with pytest.raises(InputError, match="transformers cannot load it"):
        load(tmp_path)


def test_a_gated_or_unreachable_repository_says_what_to_do(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError

    def gated(name, file):
        raise GatedRepoError.__new__(GatedRepoError)  # its arguments differ between versions

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", gated)
    with pytest.raises(InputError, match="org/model: gated: accept its licence at .*hf auth login"):
        load("org/model")

    def unreachable(name, file):
        raise OSError("no route\nto the host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(InputError, match=r"the Hugging Face hub did not give it \(no route\)$"):
        load("org/model")


def test_a_hub_name_is_checked_before_its_weights_are_fetched(tmp_path, monkeypatch):
    import huggingface_hub

    (tmp_path / "config.json").write_text(json.dumps({"model_type": "sam"}))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda name, file: str(tmp_path / file))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("fetched"))
    with pytest.raises(InputError, match="found sam"):
        load("org/model")
    theirs().save_pretrained(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    assert load("org/model").config.queries == 5


def test_class_names_of_other_data_sets_are_road_users():
    assert [ours(n) for n in ("motorbike", "Vehical", "traffic light", "sedan", "Pedestrian", "pickup_truck")] == [
        "motorcycle", "car", None, "car", "person", "truck",
    ]  # fmt: skip
    assert mapping(("cat", "car", "sedan", "person"), "x") == {"car": [1, 2], "person": [3]}
    with pytest.raises(InputError, match="no class that is a road user: it has cat, dog; expected some of person"):
        mapping(("cat", "dog"), "x")


def test_numbered_classes_are_those_of_the_data_set_in_the_checkpoints_name():
    labels = [f"LABEL_{n}" for n in range(40)]
    found = mapping(named(labels, files.EXAMPLE), "x")
    assert found == {"person": [0], "car": [5], "train": [16], "motorcycle": [20], "truck": [28]}
    assert mapping(named(labels, "videomt-YTVIS-2021"), "x")["person"] == [25]
    with pytest.raises(InputError, match="it has LABEL_0.* and 34 others"):
        mapping(named(labels, "unknown"), "x")


def test_a_frame_keeps_its_proportions_in_a_padded_input_and_fills_a_stretched_one():
    wide = frames(1, (20, 80))[0] | 1
    padded, stretched = TINY.transform, TINY.replace(fit="stretch").transform
    assert padded.resized((20, 80)) == (16, 64)
    fitted = padded.fitted(wide)
    assert fitted.shape == (3, 32, 64) and (fitted[:, :16] > 0).all() and (fitted[:, 16:] == 0).all()
    assert (stretched.fitted(wide) > 0).all()
    for transform in (padded, stretched):
        torch.testing.assert_close(
            transform.pixels(wide), transform.normalise(torch.from_numpy(transform.fitted(wide))), rtol=0, atol=0
        )


@pytest.mark.parametrize("size", [(32, 64), (20, 80), (135, 240), (7, 9)])
@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_masks_are_enlarged_as_by_interpolating_the_whole_input(size, fit):
    config = TINY.replace(fit=fit)
    logits = torch.randn(config.mask_size, dtype=torch.float32)
    rows, columns = enlargers(config.transform, config.mask_size, size)
    height, width = config.transform.resized(size)
    expected = logits[None, None]
    if (height, width) != config.size:
        expected = F.interpolate(expected, config.size, mode="bilinear", align_corners=False)[..., :height, :width]
    expected = F.interpolate(expected, size, mode="bilinear", align_corners=False)[0, 0].numpy()
    np.testing.assert_allclose(rows @ logits.numpy() @ columns.T, expected, atol=1e-5)


def test_each_pixel_goes_to_the_highest_score_times_probability_as_judged_pixel_by_pixel():
    rng = np.random.default_rng(0)
    masks = rng.normal(0, 2, (3, *TINY.mask_size)).astype(np.float32)
    scores = np.array([0.6, 0.9, 0.7], np.float32)
    size = (45, 90)
    rows, columns = enlargers(TINY.transform, TINY.mask_size, size)
    probability = np.stack([1 / (1 + np.exp(-(rows @ mask @ columns.T))) for mask in masks])
    value = np.where(probability > 0.5, probability * scores[:, None, None], 0)
    owner = np.where(value.max(0) > 0, value.argmax(0), -1)
    for n, region in enumerate(exclusive_regions(TINY, masks, scores, size)):
        assert np.array_equal(region.mask, owner == n) and region.area == (owner == n).sum()
        assert region.own_area == (probability[n] > 0.5).sum()
        assert region.inside == pytest.approx(probability[n][owner == n].mean(), abs=1e-5)


def test_a_query_with_an_empty_mask_wins_nothing():
    (region,) = exclusive_regions(TINY, np.full((1, *TINY.mask_size), -1, np.float32), np.array([0.9]), (32, 64))
    assert region.area == region.own_area == region.inside == 0 and not region.mask.any()


def test_a_config_survives_json():
    config = VideomtConfig()
    assert VideomtConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
