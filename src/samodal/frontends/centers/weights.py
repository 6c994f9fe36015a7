"""Its weights on disk: .safetensors with the config inside."""

from __future__ import annotations

from pathlib import Path

from samodal.checkpoints import networks
from samodal.errors import InputError
from samodal.frontends.centers.model import Centers, CentersConfig

KIND = networks.Kind(
    "centers",
    CentersConfig,
    "no such file; give a .safetensors of `samodal train centers`, or embedded weights ({shipped})",
)


def load(path_or_name: str | Path) -> Centers:
    """A network in float32 on the CPU, in evaluation.

    Args:
        path_or_name: a .safetensors of `samodal train centers`, or the name of weights shipped with this package.

    Raises:
        InputError: for a missing or damaged file, or the weights of another network.
    """
    weights = networks.read(networks.locate(str(path_or_name), KIND), KIND)
    if weights.config is None:
        raise InputError(f"{weights.where}: expected weights of `samodal train centers`, found {weights.content()}")
    return networks.build(lambda: Centers(weights.config), weights.tensors, weights.where, "centers of this config")


def save(network: Centers, path: str | Path, half: bool = False) -> None:
    """Write a network with its config, in 16 bit where `half`."""
    networks.save(path, KIND, network.config, network.state_dict(), half)
