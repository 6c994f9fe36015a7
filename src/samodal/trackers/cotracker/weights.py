"""Weights of CoTracker3 on disk: the released .pth files and our own .safetensors; neither can execute code here."""

from __future__ import annotations

import warnings
from pathlib import Path

from torch import Tensor

from samodal.checkpoints import hub, networks
from samodal.checkpoints.files import without_prefix
from samodal.errors import InputError
from samodal.trackers.cotracker.config import CoTrackerConfig
from samodal.trackers.cotracker.model import Network

LICENCE = "the released CoTracker3 weights are CC-BY-NC 4.0: not for commercial use"
KIND = networks.Kind(
    "cotracker",
    CoTrackerConfig,
    f"no such checkpoint; give a file, embedded weights ({{shipped}}), or the hub name facebook/cotracker3 ({LICENCE})",
)
ROOTS = {"fnet", "updateformer", "corr_mlp"}


def load(path_or_name: str | Path, config: CoTrackerConfig) -> Network:
    """A network on the weights of a file or a hub name; `config` says what a .pth should hold.

    Raises:
        InputError: as `CoTracker3.from_checkpoint` says.
    """
    path = networks.locate(str(path_or_name), KIND, lambda name: _download(name, config))
    if path.is_dir():
        raise InputError(f"{path}: expected a file of weights, found a folder; name {_file(config)} in it")
    weights = networks.read(path, KIND)
    if weights.config is not None:
        return _build(weights.config, weights.tensors, weights.where)
    if path.suffix == ".safetensors":
        raise InputError(
            f"{path}: expected a CoTracker3 with its config, as its `save` writes, found {weights.content()}"
        )
    tensors = without_prefix(weights.tensors, ROOTS)
    embedding = tensors.pop("time_emb", None)
    network = _build(config, tensors, weights.where)
    _check_window(path, embedding, config)
    return network


def save(network: Network, path: str | Path, half: bool = False) -> None:
    """Write a network with its config as .safetensors."""
    networks.save(path, KIND, network.config, network.state_dict(), half)


def title(config: CoTrackerConfig) -> str:
    """A config in words, for messages."""
    return f"CoTracker3 {'online' if config.online else 'offline'} (window {config.window})"


def _build(config: CoTrackerConfig, tensors: dict[str, Tensor], where: str) -> Network:
    return networks.build(lambda: Network(config), tensors, where, title(config))


def _check_window(path: Path, embedding: Tensor | None, config: CoTrackerConfig) -> None:
    """Online and offline weights differ in no shape but that of their time embedding, which few files hold."""
    other = "offline" if config.online else "online"
    if embedding is not None and (embedding.ndim != 3 or embedding.shape[1] != config.window):
        shape = f"CoTracker3 of window {embedding.shape[1]}" if embedding.ndim == 3 else "another time embedding"
        raise InputError(f"{path}: expected {title(config)}, found {shape}; load it with online={not config.online}")
    if embedding is None and other in path.stem:
        raise InputError(
            f"{path}: expected {title(config)}, found CoTracker3 {other} by its name; "
            f"load it with online={not config.online}, or rename it if its name is wrong"
        )


def _file(config: CoTrackerConfig) -> str:
    return "scaled_online.pth" if config.online else "scaled_offline.pth"


def _download(name: str, config: CoTrackerConfig) -> Path:
    """A released file from a hub name, after telling its licence."""
    warnings.warn(f"{name}: {LICENCE}", stacklevel=5)
    return hub.download_file(name, _file(config))
