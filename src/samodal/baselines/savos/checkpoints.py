"""SAVOS weights on disk: .safetensors with the config inside, or a released torch file."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from samodal.baselines.savos.config import SavosConfig
from samodal.baselines.savos.model import Savos
from samodal.errors import InputError
from samodal.torch_files import read_safetensors, read_state_dict, shipped_names, shipped_path, write_network


def load(path: str | Path, **changes) -> Savos:
    """A network in float32 on the CPU, in evaluation.

    Args:
        path: a .safetensors of `save`, the name of weights shipped with this package, or a torch file with the released
            names, which never runs code.
        changes: of the config, as skip="visible".

    Raises:
        InputError: for a missing or damaged file, or one of another network.
    """
    path = Path(path) if Path(path).is_file() else shipped_path(str(path)) or Path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: no such SAVOS; give a released file, a .safetensors of ours, or weights shipped here "
            f"({shipped_names('savos')})"
        )
    values, state = {}, None
    if path.suffix == ".safetensors":
        metadata, state = read_safetensors(path)
        values = json.loads(metadata.get("savos", "{}"))
    else:
        state = read_state_dict(path)
    config = SavosConfig.from_dict(SavosConfig().to_dict() | values | changes)
    return _fill(Savos(config), state, path).eval()


def save(network: Savos, path: str | Path, half: bool = False) -> None:
    """Write a network with its config, in 16 bit where `half`."""
    write_network(network, path, "savos", network.config.to_dict(), half)


def _fill(network: Savos, state: dict[str, torch.Tensor], path: Path) -> Savos:
    """The network with this state_dict; what is missing, foreign or of another shape is named."""
    wanted = network.state_dict()
    missing, foreign = sorted(wanted.keys() - state), sorted(state.keys() - wanted)
    if missing or foreign:
        parts = [
            f"{len(names)} parameters are {what}, as {names[0]}"
            for names, what in ((missing, "missing"), (foreign, "unknown"))
            if names
        ]
        raise InputError(f"{path}: not a SAVOS checkpoint: {'; '.join(parts)}")
    for name, value in state.items():
        if value.shape != wanted[name].shape:
            raise InputError(
                f"{path}: {name} should be {tuple(wanted[name].shape)} and is {tuple(value.shape)}; is it the SAVOS "
                "model of another data set?"
            )
    network.load_state_dict({name: value.to(torch.float32) for name, value in state.items()})
    return network
