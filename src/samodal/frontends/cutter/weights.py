"""Its weights on disk: .safetensors with the config inside."""

from __future__ import annotations

from pathlib import Path

from samodal.checkpoints import networks
from samodal.frontends.cutter.config import CutterConfig
from samodal.frontends.cutter.network import Cutter

KIND = networks.Kind(
    "cutter",
    CutterConfig,
    "no such file; give a .safetensors of `samodal train cutter`, or weights shipped here ({shipped})",
)


def load(path_or_name: str | Path) -> Cutter:
    """A cutter; see `samodal.checkpoints.networks.load`."""
    return networks.load(path_or_name, KIND, Cutter, "a cutter of this config")


def save(network: Cutter, path: str | Path, half: bool = False) -> None:
    """Write a network with its config, in 16 bit where `half`."""
    networks.save(path, KIND, network.config, network.state_dict(), half)
