"""Its weights on disk: .safetensors with the config inside."""

from __future__ import annotations

from pathlib import Path

from samodal.checkpoints import networks
from samodal.frontends.centers.model import Centers, CentersConfig

KIND = networks.Kind(
    "centers",
    CentersConfig,
    "no such file; give a .safetensors of `samodal train centers`, or embedded weights ({shipped})",
)


def load(path_or_name: str | Path) -> Centers:
    """A network of centers; see `samodal.checkpoints.networks.load`."""
    return networks.load(path_or_name, KIND, Centers, "centers of this config")


def save(network: Centers, path: str | Path, half: bool = False) -> None:
    """Write a network with its config, in 16 bit where `half`."""
    networks.save(path, KIND, network.config, network.state_dict(), half)
