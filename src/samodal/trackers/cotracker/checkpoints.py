"""Weights of CoTracker3 on disk: the released .pth files and our own .safetensors; neither can execute code here."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import torch
from torch import Tensor

from samodal.errors import InputError
from samodal.torch_files import read_safetensors, read_state_dict, shipped_names, shipped_path, write_network
from samodal.trackers.cotracker.config import CoTrackerConfig
from samodal.trackers.cotracker.model import Network

LICENCE = "the released CoTracker3 weights are CC-BY-NC 4.0: not for commercial use"
# What tells other models that people have at hand, most particular first.
OTHERS = (
    ("CoTracker v1", r"^updateformer\.space_blocks\."),
    ("CoTracker v2", r"^(track_feat_updater|vis_predictor)\."),
    ("TAPIR", r"^(resnet_torch|torch_pips_mixer|tapir)"),
    ("a SAM", r"^(image_encoder|vision_encoder)\."),
)


def load(path_or_name: str | Path, config: CoTrackerConfig) -> Network:
    """A network on the weights of a file or a hub name; `config` says what a .pth should hold.

    Raises:
        InputError: as `CoTracker3.from_checkpoint` says.
    """
    path = Path(path_or_name)
    if not path.is_file():
        path = shipped_path(str(path_or_name)) or _download(str(path_or_name), config)
    if path.suffix == ".safetensors":
        return _build(*_read_safetensors(path), str(path))
    state = read_state_dict(path)
    embedding = state.pop("time_emb", None)
    network = _build(config, state, str(path))
    _check_window(path, embedding, config)
    return network


def save(network: Network, path: str | Path, half: bool = False) -> None:
    """Write a network with its config as .safetensors."""
    write_network(network, path, "cotracker", network.config.to_dict(), half)


def kind(config: CoTrackerConfig) -> str:
    """A config in words, for messages."""
    return f"CoTracker3 {'online' if config.online else 'offline'} (window {config.window})"


def _build(config: CoTrackerConfig, state: dict[str, Tensor], where: str) -> Network:
    network = Network(config)
    expected = {name: value.shape for name, value in network.state_dict().items()}
    found = {name: value.shape for name, value in state.items()}
    if found != expected:
        raise InputError(f"{where}: expected {kind(config)}, found {_other(found, expected)}")
    network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    return network.eval()


def _other(found: dict[str, torch.Size], expected: dict[str, torch.Size]) -> str:
    """What a checkpoint holds that is not the one expected, in a few words."""
    missing, extra = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing:
        for name, pattern in OTHERS:
            if any(re.search(pattern, one) for one in found):
                return f"{name} (it lacks {missing[0]})"
        return f"another model: {len(missing)} parameters are missing, as {missing[0]}"
    if extra:
        return f"another model: {len(extra)} parameters are unknown, as {extra[0]}"
    name = next(name for name in expected if expected[name] != found[name])
    return f"one of another size: {name} is {tuple(found[name])}, not {tuple(expected[name])}"


def _check_window(path: Path, embedding: Tensor | None, config: CoTrackerConfig) -> None:
    """Online and offline weights differ in no shape but that of their time embedding, which few files hold."""
    other = "offline" if config.online else "online"
    if embedding is not None and embedding.shape[1] != config.window:
        found = f"CoTracker3 of window {embedding.shape[1]}"
        raise InputError(f"{path}: expected {kind(config)}, found {found}; load it with online={not config.online}")
    if embedding is None and other in path.stem:
        raise InputError(
            f"{path}: expected {kind(config)}, found CoTracker3 {other} by its name; "
            f"load it with online={not config.online}, or rename it if its name is wrong"
        )


def _read_safetensors(path: Path) -> tuple[CoTrackerConfig, dict[str, Tensor]]:
    metadata, state = read_safetensors(path)
    if "cotracker" not in metadata:
        found = _other({name: value.shape for name, value in state.items()}, {"fnet.conv1.weight": torch.Size()})
        raise InputError(f"{path}: expected a CoTracker3 with its config, as its `save` writes, found {found}")
    return CoTrackerConfig.from_dict(json.loads(metadata["cotracker"])), state


def _download(name: str, config: CoTrackerConfig) -> Path:
    """A released file from a hub name, after telling its licence."""
    if Path(name).suffix in (".pth", ".pt", ".bin", ".safetensors") or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise InputError(
            f"{name}: no such checkpoint; give a file, weights shipped here ({shipped_names('cotracker')}), or the hub "
            f"name facebook/cotracker3 ({LICENCE})"
        )
    from huggingface_hub import hf_hub_download

    file = "scaled_online.pth" if config.online else "scaled_offline.pth"
    warnings.warn(f"{name}: {LICENCE}", stacklevel=4)
    try:
        return Path(hf_hub_download(name, file))
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{name}: no such file, and the Hugging Face hub did not give {file} ({reason})") from None
