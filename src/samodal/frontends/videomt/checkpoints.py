"""Weights of VidEoMT on disk: our own .safetensors, and what transformers loads by folder or hub name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from torch import Tensor

from samodal.errors import InputError
from samodal.frontends.road_users import named
from samodal.frontends.videomt.config import VideomtConfig
from samodal.frontends.videomt.model import Network
from samodal.hub import Wanted, model_folder
from samodal.torch_files import read_safetensors, shipped_names, shipped_path, write_network

EXAMPLE = "tue-mps/videomt-dinov2-small-ytvis2019"
WANTED = Wanted("VidEoMT", "videomt", EXAMPLE)
# Of transformers' class alone: its loss, its training and inputs with masked patches.
_UNUSED = ("criterion.empty_weight", "attn_mask_probs", "embeddings.mask_token", "embeddings.position_ids")


def load(path_or_name: str | Path) -> Network:
    """A network in float32 on the CPU.

    Args:
        path_or_name: our .safetensors, the name of weights shipped with this package, a folder as transformers saves
            a VideomtForUniversalSegmentation, or its name on the Hugging Face hub.

    Raises:
        InputError: for a missing file, a repository that is gated or not there, or another architecture.
    """
    path, name = Path(path_or_name), str(path_or_name)
    if not path.exists():
        path = shipped_path(name) or path
    if path.is_file():
        return _from_file(path)
    if path.suffix == ".safetensors" or re.fullmatch(r"[\w.-]+", name) and not path.exists():
        raise InputError(
            f"{name}: no such VidEoMT; give a .safetensors, a folder, weights shipped here "
            f"({shipped_names('videomt')}), or a hub name as {EXAMPLE}"
        )
    return _from_transformers(model_folder(name, WANTED), name)


def save(network: Network, path: str | Path, half: bool = False) -> None:
    """Write a network with its config as .safetensors, in 16 bit where `half`."""
    write_network(network, path, "videomt", network.config.to_dict(), half)


def _from_file(path: Path) -> Network:
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: expected a .safetensors as `samodal train vis` writes, or a folder of transformers")
    metadata, state = read_safetensors(path)
    if "videomt" not in metadata:
        found = (
            next((key for key in metadata if key != "format"), None) or f"parameters as {min(state, default='none')}"
        )
        raise InputError(
            f"{path}: expected a VidEoMT with its config, found {found}; for a checkpoint of transformers give its "
            "folder, with config.json in it"
        )
    return _build(VideomtConfig.from_dict(json.loads(metadata["videomt"])), state, str(path))


def _from_transformers(folder: Path, name: str) -> Network:
    """A folder with config.json and weights, whatever their number of files."""
    from transformers import VideomtForUniversalSegmentation

    try:
        model, loaded = VideomtForUniversalSegmentation.from_pretrained(folder, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{name}: transformers cannot load it ({str(error).strip().splitlines()[0]})") from None
    missing = sorted(set(loaded["missing_keys"]) - set(_UNUSED))
    if missing:
        raise InputError(f"{name}: {len(missing)} parameters of VidEoMT are missing, as {missing[0]}; is it damaged?")
    labels = [model.config.id2label[n] for n in range(model.config.num_labels)]
    state = {key: value for key, value in model.state_dict().items() if key not in _UNUSED}
    return _build(config_of(model.config, named(labels, name)), state, name)


def config_of(config, classes: tuple[str, ...]) -> VideomtConfig:
    """The config of transformers' class as ours.

    Raises:
        InputError: for an activation that no released model has.
    """
    if config.hidden_act != "gelu":
        raise InputError(f"a VidEoMT with {config.hidden_act!r} between its layers is not supported, only 'gelu'")
    size, patch = (v if isinstance(v, int) else v[0] for v in (config.image_size, config.patch_size))
    return VideomtConfig(
        classes=classes,
        size=(size, size),
        fit="stretch",
        patch=patch,
        stem="patch",
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        blocks=config.num_blocks,
        heads=config.num_attention_heads,
        queries=config.num_queries,
        registers=config.num_register_tokens,
        upscales=config.num_upscale_blocks,
        mlp=config.mlp_ratio,
        gated=config.use_swiglu_ffn,
        epsilon=config.layer_norm_eps,
    )


def _build(config: VideomtConfig, state: dict[str, Tensor], where: str) -> Network:
    with torch.device("meta"):
        network = Network(config)
    expected = {key: value.shape for key, value in network.state_dict().items()}
    found = {key: value.shape for key, value in state.items()}
    wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if wrong:
        key = wrong[0]
        raise InputError(
            f"{where}: not the weights of its own config: {len(wrong)} parameters differ, as {key}: expected "
            f"{_shape(expected.get(key))}, found {_shape(found.get(key))}"
        )
    network.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    return network.eval()


def _shape(shape: torch.Size | None) -> str:
    return "none" if shape is None else str(tuple(shape))
