"""SAVOS weights on disk: our .safetensors with the config inside, or a torch file with the released names."""

from __future__ import annotations

from pathlib import Path

from samodal.baselines.savos.config import SavosConfig
from samodal.baselines.savos.model import Savos
from samodal.checkpoints import networks

KIND = networks.Kind(
    "savos",
    SavosConfig,
    "no such SAVOS; give a released file, a .safetensors of ours, or embedded weights ({shipped})",
)


def load(path: str | Path, **changes) -> Savos:
    """A network in float32 on the CPU, in evaluation.

    Args:
        path: a .safetensors of `save`, the name of weights shipped with this package, or a torch file with the released
            names, which never runs code.
        changes: of the config, as skip="visible".

    Raises:
        InputError: for a missing or damaged file, or the weights of another network.
    """
    weights = networks.read(networks.locate(str(path), KIND), KIND)
    config = (weights.config or SavosConfig()).replace(**changes)
    return networks.build(lambda: Savos(config), weights.tensors, weights.where, "SAVOS of this config")


def save(network: Savos, path: str | Path, half: bool = False) -> None:
    """Write a network with its config, in 16 bit where `half`."""
    networks.save(path, KIND, network.config, network.state_dict(), half)
