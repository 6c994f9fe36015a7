"""Reading weight files without ever running code from them."""

import json
import pickle
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from samodal.errors import InputError

SHIPPED = Path(__file__).parent / "weights"
WRAPPERS = ("state_dict", "model")
"""Keys under which training programs put the state_dict of a model."""


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """The state_dict of a torch file (.pth), unwrapped, without the prefix that several GPUs leave.

    Raises:
        InputError: if it is damaged, holds code, or is no state_dict.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path}: refused: it is no torch file, or it holds code beside weights; save the state_dict alone"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable torch file ({str(error).splitlines()[0]})") from None
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path}: expected a state_dict (parameter names to tensors), found {type(state).__name__}")
    return {name.removeprefix("module."): value for name, value in state.items()}


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """(metadata, tensors by name) of a .safetensors file.

    Raises:
        InputError: if it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error}); was it cut short?") from None


def write_network(network: torch.nn.Module, path: str | Path, key: str, config: dict, half: bool = False) -> None:
    """Write a network as .safetensors, in 16 bit where `half`, with its config as JSON under a key of the metadata.

    Raises:
        InputError: for another ending.
    """
    if Path(path).suffix != ".safetensors":
        raise InputError(f"{path}: weights are written as .safetensors, which can hold no code; choose that ending")
    dtype = torch.float16 if half else torch.float32
    tensors = {name: value.detach().to("cpu", dtype).contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, str(path), metadata={"format": "pt", key: json.dumps(config)})


def shipped_path(name: str) -> Path | None:
    """The file of weights that come with the package, by their name; None where there are none of that name."""
    path = SHIPPED / f"{name}.safetensors"
    return path if re.fullmatch(r"[\w.-]+", name) and path.is_file() else None


def shipped_names(key: str) -> str:
    """The names of the shipped weights whose metadata has a key, for messages; "none" where there are none."""
    names = [path.stem for path in sorted(SHIPPED.glob("*.safetensors")) if key in _metadata(path)]
    return ", ".join(names) or "none"


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata() or {}
