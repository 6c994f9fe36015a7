"""Weights on disk: our own .safetensors, original SAM and released S-AModal .pth, Hugging Face folders and names.

Nothing read here can execute code: .pth files go through torch's weights-only reader.
"""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from samodal.errors import InputError
from samodal.segmenters.sam import names
from samodal.segmenters.sam.config import AmodalSamConfig
from samodal.segmenters.sam.model import AmodalSam
from samodal.torch_files import read_safetensors, read_state_dict, shipped_names, shipped_path

FREQUENCIES = "prompt_encoder.shared_embedding.positional_embedding"
DELTA = ("vision_encoder.adapter.", "mask_decoder.")


def load(path_or_name: str | Path, size: tuple[int, int] | None = None) -> AmodalSam:
    """Load an amodal SAM, or a plain SAM (without adapters), in float32 on the CPU.

    Args:
        path_or_name: our .safetensors (a whole model, or a delta that names its base), a .pth of segment-anything
            or of the released S-AModal, a folder as transformers saves a SamModel, the name of weights shipped with
            this package ("streetsim-small"), or a name on the Hugging Face hub ("facebook/sam-vit-base").
        size: (H, W) of another model input; positions are interpolated to it.

    Raises:
        InputError: where there is no such file or it holds no SAM; says what was expected and found.
    """
    config, state = _read(str(path_or_name))
    if size is not None and tuple(size) != config.size:
        resized = config.replace(size=tuple(size))
        state = _resize_positions(state, config, resized)
        config = resized
    return _build(config, state, str(path_or_name))


def save(model: AmodalSam, path: str | Path, only: str | None = None, half: bool = False, base: str | None = None):
    """Write a model, or what tuning changed of it, as safetensors with its config in the file's metadata.

    Args:
        model: where it was tuned with low-rank updates, the merged weights are written.
        path: ends in .safetensors.
        only: "delta" writes adapters and mask decoder with a reference to their base.
        half: 16-bit (float16) values.
        base: what a delta is added to, anything that `load` accepts; where absent, what the model was loaded from.

    Raises:
        InputError: for another ending, or a delta of a model that came from nowhere.
    """
    from samodal.segmenters.sam.lora import merged_state

    state = merged_state(model)
    if Path(path).suffix != ".safetensors":
        raise InputError(f"{path}: weights are written as .safetensors, which can hold no code; choose that ending")
    facts = {"config": model.config.to_dict()}
    if only == "delta":
        base = base or model.source
        if base is None:
            raise InputError("a delta needs a base: save the whole model, or say which checkpoint it starts from")
        facts |= {"base": base, "base_checksum": _checksum(state)}
        state = {name: value for name, value in state.items() if name.startswith(DELTA)}
    elif only is not None:
        raise ValueError(f'only is None or "delta", got {only!r}')
    dtype = torch.float16 if half else torch.float32
    tensors = {name: value.detach().to("cpu", dtype).contiguous() for name, value in state.items()}
    save_file(tensors, str(path), metadata={"format": "pt", "samodal": json.dumps(facts)})


def _build(config: AmodalSamConfig, state: dict[str, torch.Tensor], where: str) -> AmodalSam:
    """A model on given weights, after checking that they are all its parameters and no others."""
    with torch.device("meta"):
        model = AmodalSam(config)
    expected = model.state_dict()
    missing, extra = sorted(set(expected) - set(state)), sorted(set(state) - set(expected))
    if missing or extra:
        what = [f"{len(missing)} parameters are missing, as {missing[0]}"] if missing else []
        what += [f"{len(extra)} are of another model, as {extra[0]}"] if extra else []
        raise InputError(f"{where}: not the checkpoint of this SAM: {'; '.join(what)}")
    for name, value in expected.items():
        if value.shape != state[name].shape:
            raise InputError(
                f"{where}: {name} should be {tuple(value.shape)} and is {tuple(state[name].shape)}: "
                "a checkpoint of another size"
            )
    model.load_state_dict({name: state[name].float() for name in expected}, assign=True)
    model.prompt_encoder.shared_embedding.positional_embedding.requires_grad_(False)
    model.source = where
    return model.eval()


def _read(name: str) -> tuple[AmodalSamConfig, dict[str, torch.Tensor]]:
    path = Path(name)
    if path.is_dir():
        return _read_folder(path)
    if path.is_file():
        return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pth(path)
    if (embedded := shipped_path(name)) is not None:
        return _read_safetensors(embedded)
    if path.suffix not in (".safetensors", ".pth", ".pt", ".bin") and re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return _read_folder(_download(name))
    shipped = shipped_names("samodal")
    raise InputError(
        f"{name}: no such checkpoint; give a file, a folder, a hub name, or weights shipped here ({shipped})"
    )


def _read_safetensors(path: Path) -> tuple[AmodalSamConfig, dict[str, torch.Tensor]]:
    metadata, state = read_safetensors(path)
    if "samodal" not in metadata:
        state = _our_names(state)
        return names.config_from_shapes(state, str(path)), state
    facts = json.loads(metadata["samodal"])
    config = AmodalSamConfig.from_dict(facts["config"])
    state = {name: value.float() for name, value in state.items()}
    if "base" not in facts:
        return config, state
    try:
        base_config, base = _read(facts["base"])
    except InputError as error:
        raise InputError(f"{path}: cannot read the base it is added to: {error}") from None
    base = {name: value.float() for name, value in base.items()}
    if base_config.size != config.size:
        base = _resize_positions(base, base_config, config)
    if _checksum(base) != facts["base_checksum"]:
        raise InputError(f"{path}: its base {facts['base']} is another model than the one it was trained on")
    frozen = {name: value for name, value in base.items() if not name.startswith(DELTA)}
    return config, frozen | state


def _read_pth(path: Path) -> tuple[AmodalSamConfig, dict[str, torch.Tensor]]:
    state = _our_names(read_state_dict(path))
    return names.config_from_shapes(state, str(path)), state


def _read_folder(path: Path) -> tuple[AmodalSamConfig, dict[str, torch.Tensor]]:
    for name, read in (("model.safetensors", _read_safetensors), ("pytorch_model.bin", _read_pth)):
        if (path / name).is_file():
            return read(path / name)
    raise InputError(f"{path}: expected model.safetensors as transformers saves a SamModel, found no such file")


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["config.json", "model.safetensors"]))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{name}: no such file, and the Hugging Face hub did not give it ({reason})") from None


def _our_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state of segment-anything or of transformers under our names."""
    renamed = {name.removeprefix("module."): value for name, value in state.items()}
    # Only then: `layers.0` of a small network inside is another layer in each of the two.
    if any(name.startswith("image_encoder.") for name in renamed):
        renamed = {names.ours(name): value for name, value in renamed.items()}
        renamed.pop(None, None)
    shared = renamed.pop("shared_image_embedding.positional_embedding", None)
    if shared is not None:
        renamed.setdefault(FREQUENCIES, shared)
    return renamed


def _resize_positions(
    state: dict[str, torch.Tensor], old: AmodalSamConfig, new: AmodalSamConfig
) -> dict[str, torch.Tensor]:
    """Interpolate what depends on the size of the input: the positions, and the tables of the global layers."""
    state = dict(state)
    place = state["vision_encoder.pos_embed"].float().permute(0, 3, 1, 2)
    place = F.interpolate(place, new.grid, mode="bicubic", align_corners=False)
    state["vision_encoder.pos_embed"] = place.permute(0, 2, 3, 1).contiguous()
    if old.relative_positions:
        for i in old.global_layers:
            for axis, side in zip("hw", new.grid, strict=True):
                name = f"vision_encoder.layers.{i}.attn.rel_pos_{axis}"
                table = state[name].float().T[None]
                state[name] = F.interpolate(table, 2 * side - 1, mode="linear")[0].T.contiguous()
    return state


def _checksum(state: dict[str, torch.Tensor]) -> int:
    """Tells one base from another, the same for 16-bit and 32-bit copies of it."""
    value = state["vision_encoder.neck.conv2.weight"].detach().to("cpu", torch.float16).contiguous()
    return zlib.crc32(value.numpy().tobytes())
