"""Its weights on disk: .safetensors with the config inside."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from samodal.errors import InputError
from samodal.frontends.centers.model import Centers, CentersConfig
from samodal.torch_files import read_safetensors, shipped_names, shipped_path, write_network


def load(path_or_name: str | Path) -> Centers:
    """A network in float32 on the CPU, in evaluation.

    Args:
        path_or_name: a .safetensors of `samodal train centers`, or the name of weights shipped with this package.

    Raises:
        InputError: for a missing or damaged file, or one of another network.
    """
    path = Path(path_or_name)
    if not path.exists():
        path = shipped_path(str(path_or_name)) or path
    if not path.is_file():
        raise InputError(
            f"{path_or_name}: no such file; give a .safetensors of `samodal train centers`, or weights shipped here "
            f"({shipped_names('centers')})"
        )
    metadata, state = read_safetensors(path)
    if "centers" not in metadata:
        raise InputError(f"{path}: expected weights of `samodal train centers`, found {', '.join(metadata) or 'none'}")
    network = Centers(CentersConfig.from_dict(json.loads(metadata["centers"])))
    try:
        network.load_state_dict({name: value.to(torch.float32) for name, value in state.items()})
    except RuntimeError as error:
        raise InputError(f"{path}: not the weights of its own config ({str(error).splitlines()[1].strip()})") from None
    return network.eval()


def save(network: Centers, path: str | Path, half: bool = False) -> None:
    """Write a network with its config, in 16 bit where `half`."""
    write_network(network, path, "centers", network.config.to_dict(), half)
