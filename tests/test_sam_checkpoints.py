import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from samodal.checkpoints import files
from samodal.errors import InputError
from samodal.segmenters.sam import AmodalSam, AmodalSamConfig
from tiny_sam import transformers_sam

TINY = AmodalSamConfig.named("tiny")


def make(seed: int = 0, **changes) -> AmodalSam:
    return AmodalSam.initialise(TINY.replace(**changes), seed)


def same(first: AmodalSam, second: AmodalSam) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_saving_and_loading_is_exact(tmp_path):
    model = make(adapter_rate=0.1, pad="full")
    model.save(tmp_path / "a.safetensors")
    loaded = AmodalSam.from_checkpoint(tmp_path / "a.safetensors")
    assert loaded.config == model.config
    assert same(loaded, model)
    assert not loaded.prompt_encoder.shared_embedding.positional_embedding.requires_grad


def test_sixteen_bits_take_half_the_space_and_come_back_rounded(tmp_path):
    model = make()
    model.save(tmp_path / "a.safetensors")
    model.save(tmp_path / "h.safetensors", half=True)
    sizes = [(tmp_path / name).stat().st_size for name in ("a.safetensors", "h.safetensors")]
    assert sizes[1] < 0.6 * sizes[0]
    for name, value in AmodalSam.from_checkpoint(tmp_path / "h.safetensors").state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-3, atol=1e-6)


def test_a_delta_holds_adapters_and_decoder_and_finds_its_base(tmp_path):
    base = make(adapters=False)
    base.save(tmp_path / "base.safetensors")
    model = AmodalSam.from_checkpoint(tmp_path / "base.safetensors")
    model.add_adapters(seed=1)
    with torch.no_grad():
        model.mask_decoder.iou_token.weight.add_(1)
    model.save(tmp_path / "delta.safetensors", only="delta")
    stored = load_file(tmp_path / "delta.safetensors")
    assert all(name.startswith(("vision_encoder.adapter.", "mask_decoder.")) for name in stored)
    assert same(AmodalSam.from_checkpoint(tmp_path / "delta.safetensors"), model)


def test_a_delta_on_another_base_is_refused(tmp_path):
    make().save(tmp_path / "base.safetensors")
    AmodalSam.from_checkpoint(tmp_path / "base.safetensors").save(tmp_path / "delta.safetensors", only="delta")
    make(seed=9).save(tmp_path / "base.safetensors")
    with pytest.raises(InputError, match=r"delta\.safetensors.*base\.safetensors is another model"):
        AmodalSam.from_checkpoint(tmp_path / "delta.safetensors")


def test_a_delta_whose_base_is_gone_names_both(tmp_path):
    torch.save(make().state_dict(), tmp_path / "gone.pth")
    make().save(tmp_path / "delta.safetensors", only="delta", base=str(tmp_path / "gone.pth"))
    (tmp_path / "gone.pth").unlink()
    with pytest.raises(InputError, match=r"delta\.safetensors.*gone\.pth: no such checkpoint"):
        AmodalSam.from_checkpoint(tmp_path / "delta.safetensors")


def test_a_delta_of_a_model_from_nowhere_is_refused(tmp_path):
    with pytest.raises(InputError, match="base"):
        make().save(tmp_path / "delta.safetensors", only="delta")


def test_low_rank_updates_are_merged_when_saved(tmp_path):
    pytest.importorskip("peft")
    model = make()
    model.tune("lora")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    model.save(tmp_path / "a.safetensors")
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        merged = AmodalSam.from_checkpoint(tmp_path / "a.safetensors").embed(image)
        torch.testing.assert_close(merged, model.embed(image), rtol=0, atol=1e-4)


def tuned(tmp_path, mode: str) -> AmodalSam:
    """A model on a base in a file, with every parameter changed that a tuning mode trains."""
    if not (tmp_path / "base.safetensors").exists():
        make().save(tmp_path / "base.safetensors")
    model = AmodalSam.from_checkpoint(tmp_path / "base.safetensors")
    model.tune(mode)
    with torch.no_grad():
        for parameter in model.trainable().values():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


@pytest.mark.parametrize("mode", ["lora", "full", "adapters", "decoder"])
def test_a_delta_reloads_as_the_model_that_was_tuned(tmp_path, mode):
    if mode == "lora":
        pytest.importorskip("peft")
    model = tuned(tmp_path, mode)
    model.save(tmp_path / "delta.safetensors", only="delta")
    model.save(tmp_path / "whole.safetensors")
    whole = AmodalSam.from_checkpoint(tmp_path / "whole.safetensors")
    assert same(AmodalSam.from_checkpoint(tmp_path / "delta.safetensors"), whole)
    assert not same(whole, AmodalSam.from_checkpoint(tmp_path / "base.safetensors"))
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(whole.embed(image), model.embed(image), rtol=0, atol=1e-4)


@pytest.mark.parametrize("part", ["vision_encoder.layers", "vision_encoder.pos_embed", "prompt_encoder.point_embed"])
def test_a_delta_on_a_base_with_other_values_anywhere_is_refused(tmp_path, part):
    tuned(tmp_path, "adapters").save(tmp_path / "delta.safetensors", only="delta")
    state = load_file(tmp_path / "base.safetensors")
    changed = {name: value + 1 if name.startswith(part) else value for name, value in state.items()}
    save_file(changed, tmp_path / "base.safetensors", metadata={"samodal": json.dumps({"config": TINY.to_dict()})})
    with pytest.raises(InputError, match=rf"base\.safetensors is another model .*: {part}.* differs"):
        AmodalSam.from_checkpoint(tmp_path / "delta.safetensors")


def test_a_sixteen_bit_copy_of_its_base_serves_a_delta(tmp_path):
    make().save(tmp_path / "base.safetensors", half=True)
    model = tuned(tmp_path, "adapters")
    model.save(tmp_path / "delta.safetensors", only="delta")
    AmodalSam.from_checkpoint(tmp_path / "base.safetensors").save(tmp_path / "base.safetensors")
    assert same(AmodalSam.from_checkpoint(tmp_path / "delta.safetensors"), model)


def test_a_delta_for_another_input_size_interpolates_its_base(tmp_path):
    make().save(tmp_path / "base.safetensors")
    model = AmodalSam.from_checkpoint(tmp_path / "base.safetensors", size=(64, 96))
    with torch.no_grad():
        model.mask_decoder.iou_token.weight.add_(1)
    model.save(tmp_path / "delta.safetensors", only="delta")
    assert list(load_file(tmp_path / "delta.safetensors")) == ["mask_decoder.iou_token.weight"]
    assert same(AmodalSam.from_checkpoint(tmp_path / "delta.safetensors"), model)


def test_a_delta_of_a_delta_is_added_to_the_whole_model_and_one_on_itself_is_refused(tmp_path):
    first = tuned(tmp_path, "adapters")
    first.save(tmp_path / "first.safetensors", only="delta")
    model = AmodalSam.from_checkpoint(tmp_path / "first.safetensors")
    with torch.no_grad():
        model.mask_decoder.iou_token.weight.add_(1)
    model.save(tmp_path / "second.safetensors", only="delta")
    (tmp_path / "first.safetensors").unlink()
    assert same(AmodalSam.from_checkpoint(tmp_path / "second.safetensors"), model)
    facts = {"config": TINY.to_dict(), "base": str(tmp_path / "self.safetensors"), "base_checksum": 0}
    save_file({"a": torch.zeros(1)}, tmp_path / "self.safetensors", metadata={"samodal": json.dumps(facts)})
    with pytest.raises(InputError, match=r"self\.safetensors is a delta too"):
        AmodalSam.from_checkpoint(tmp_path / "self.safetensors")


def test_a_file_does_not_decide_what_is_downloaded(tmp_path, monkeypatch):
    import huggingface_hub

    def cached_only(name, local_files_only=False, **_):
        assert local_files_only
        raise OSError("not in the cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached_only)
    facts = {"config": TINY.to_dict(), "base": "owner/model", "base_checksum": 0}
    save_file({"a": torch.zeros(1)}, tmp_path / "delta.safetensors", metadata={"samodal": json.dumps(facts)})
    with pytest.raises(InputError, match=r"delta\.safetensors.*get it with `hf download owner/model`"):
        AmodalSam.from_checkpoint(tmp_path / "delta.safetensors")


def test_the_shipped_delta_of_before_there_were_checksums_loads_on_its_base():
    base, delta = (AmodalSam.from_checkpoint(name) for name in ("streetsim-small", "streetsim-small-seed1"))
    equal = {name for name, value in base.state_dict().items() if torch.equal(value, delta.state_dict()[name])}
    changed = set(base.state_dict()) - equal
    assert changed and all(name.startswith(("vision_encoder.adapter.", "mask_decoder.")) for name in changed)


def test_a_folder_of_transformers_sam_model_is_the_same_network(tmp_path):
    theirs = transformers_sam()
    theirs.save_pretrained(tmp_path / "sam")
    ours = AmodalSam.from_checkpoint(tmp_path / "sam")
    assert ours.config.global_layers == (1,)
    image, points = torch.randn(1, 3, 128, 128), torch.tensor([[[30.0, 50.0], [9.0, 4.0]]])
    with torch.inference_mode():
        wanted = theirs(image, input_points=points[None], multimask_output=True)
        logits, iou = ours.decode(ours.embed(image), points=points, multimask=True)
    torch.testing.assert_close(logits, wanted.pred_masks[0], rtol=0, atol=2e-4)
    torch.testing.assert_close(iou, wanted.iou_scores[0], rtol=0, atol=2e-4)


def test_weights_shipped_with_the_package_have_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SHIPPED", tmp_path)
    make().save(tmp_path / "streetsim-test.safetensors", half=True)
    assert AmodalSam.from_checkpoint("streetsim-test").config == TINY
    with pytest.raises(InputError, match=r"streetsim-tset.*streetsim-test"):
        AmodalSam.from_checkpoint("streetsim-tset")


def test_another_input_size_interpolates_the_positions(tmp_path):
    model = make()
    model.save(tmp_path / "a.safetensors")
    larger = AmodalSam.from_checkpoint(tmp_path / "a.safetensors", size=(256, 448))
    assert larger.config.grid == (16, 28)
    with torch.inference_mode():
        assert larger.embed(torch.zeros(1, 3, 256, 448)).shape == (1, 64, 16, 28)
    again = AmodalSam.from_checkpoint(tmp_path / "a.safetensors", size=TINY.size)
    assert same(again, model)


def test_a_checkpoint_of_another_model_is_named(tmp_path):
    torch.save({"backbone.conv1.weight": torch.zeros(3)}, tmp_path / "resnet.pth")
    with pytest.raises(InputError, match=r"resnet\.pth: not a SAM checkpoint.*pos_embed|resnet\.pth.*backbone\.conv1"):
        AmodalSam.from_checkpoint(tmp_path / "resnet.pth")


def test_missing_and_foreign_parameters_are_named(tmp_path):
    state = make().state_dict()
    state["tracker.weight"] = torch.zeros(2)
    del state["mask_decoder.iou_token.weight"]
    torch.save(state, tmp_path / "half.pth")
    with pytest.raises(InputError, match=r"1 parameters are missing, as mask_decoder\.iou_token.*tracker\.weight"):
        AmodalSam.from_checkpoint(tmp_path / "half.pth")


def test_parameters_of_another_shape_are_named(tmp_path):
    state = make().state_dict() | {"vision_encoder.neck.conv1.weight": torch.zeros(32, 64, 1, 1)}
    save_file(state, tmp_path / "b.safetensors", metadata={"samodal": json.dumps({"config": TINY.to_dict()})})
    with pytest.raises(InputError, match=r"b\.safetensors.*conv1.weight is \(32, 64, 1, 1\), not \(64, 64, 1, 1\)"):
        AmodalSam.from_checkpoint(tmp_path / "b.safetensors")


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such checkpoint"):
        AmodalSam.from_checkpoint(tmp_path / "nothing.pth")
    with pytest.raises(InputError, match="model.safetensors"):
        AmodalSam.from_checkpoint(tmp_path)


def test_a_sam_without_some_of_its_layers_is_refused(tmp_path):
    state = {name: value for name, value in make().state_dict().items() if "layers.1.attn" not in name}
    torch.save(state, tmp_path / "pruned.pth")
    with pytest.raises(InputError, match=r"pruned\.pth.*layers\.1\.attn\.rel_pos_h"):
        AmodalSam.from_checkpoint(tmp_path / "pruned.pth")


def test_weights_are_written_as_safetensors_only(tmp_path):
    with pytest.raises(InputError, match="safetensors"):
        make().save(tmp_path / "a.pth")
