"""Weight files as tensors by name and metadata. They come from anywhere, and none of them can run code here."""

from __future__ import annotations

import hashlib
import re
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from samodal.errors import InputError
from samodal.files import mistaken

SHIPPED = Path(__file__).parents[1] / "weights"
WRAPPERS = (
    "state_dict", "model", "model_state_dict", "model_state", "net", "network", "weights", "params", "module", "ema",
)  # fmt: skip
"""Keys under which training programs put the state_dict of a model."""
DEPTH = 4
"""Wrappers inside wrappers that are opened at most."""
LONGEST_NAME = 300
# What training programs keep beside weights: numbers of numpy, command lines, paths and times.
BESIDE = (
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype", "numpy.bool_",
    *(f"numpy.dtypes.{name}DType" for name in ("Bool", "Int32", "Int64", "Float16", "Float32", "Float64")),
    "argparse.Namespace", "pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath", "datetime.datetime", "datetime.timedelta",
)  # fmt: skip


class _Beside:
    """Stands for what is kept beside weights; it takes any values and looks at none."""

    def __new__(cls, *values: Any, **named: Any):
        return object.__new__(cls)

    def __init__(self, *values: Any, **named: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The state_dict of a torch file (.pth, .pt, .bin), out of the wrappers of common training programs.

    Names are as in the file; see `without_prefix`.

    Raises:
        InputError: if it is damaged, holds code, or has no state_dict.
    """
    allowed = [(_Beside, name) for name in BESIDE]
    try:
        # The reader warns of protocols that it may not know, and then reads them or raises.
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch, zip and pickle raise anything
        raise InputError(f"{path}: {_reason(path, error)}") from None
    state = _state_of(content)
    if state is None:
        raise InputError(
            f"{path}: expected a state_dict (parameter names to tensors), found {_kind(content)}; save the state_dict "
            "alone"
        )
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            found = f"{_kind(value)} under {name[:60]!r}" if isinstance(name, str) else f"a name that is {_kind(name)}"
            raise InputError(
                f"{path}: expected a state_dict (parameter names to tensors), found {found} in it; save the state_dict "
                "alone"
            )
    return _named(state, path)


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """(metadata, tensors by name) of a .safetensors file.

    Raises:
        InputError: if it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
    except Exception as error:  # as above
        raise InputError(
            f"{path}: not a readable safetensors file ({mistaken(path) or _first_line(error)}); was it cut short?"
        ) from None
    return metadata, _named(tensors, path)


def without_prefix(state: dict[str, Tensor], like: Iterable[str]) -> dict[str, Tensor]:
    """Names without what a program put before all of them, as `module.` of several GPUs or `model.` of Lightning.

    Args:
        like: names of the network, or how they begin. Where no name begins so after a dot, all are left as they are.
    """
    roots = {name.partition(".")[0] for name in like}
    first = next(iter(state), "")
    cuts = [0, *(match.end() for match in re.finditer(r"\.", first))]
    for cut in cuts:
        if not all(name.startswith(first[:cut]) for name in state):
            break
        if any(name[cut:].partition(".")[0] in roots for name in state):
            return {name[cut:]: value for name, value in state.items()}
    return state


def checksum(tensor: Tensor) -> int:
    """CRC-32 of a tensor's values."""
    return zlib.crc32(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())


def shipped_path(name: str) -> Path | None:
    """The file of weights that come with the package, by their name; None where there are none of that name."""
    path = SHIPPED / f"{name}.safetensors"
    return path if re.fullmatch(r"[\w.-]+", name) and path.is_file() else None


def changed(path: Path) -> str:
    """What is wrong with a file of shipped weights, by its SHA-256; "" where nothing is."""
    sums = (SHIPPED / "SHA256SUMS").read_text(encoding="ascii").split()
    stated = dict(zip(sums[1::2], sums[::2], strict=True))
    if path.name not in stated:
        return "has no checksum in SHA256SUMS"
    return "" if sha256(path) == stated[path.name] else "has changed since it was shipped; install samodal again"


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def shipped_names(key: str) -> str:
    """The names of the shipped weights whose metadata has a key, for messages; "none" where there are none."""
    return ", ".join(path.stem for path in sorted(SHIPPED.glob("*.safetensors")) if has_key(path, key)) or "none"


def has_key(path: Path, key: str) -> bool:
    """Whether the metadata of a .safetensors has a key."""
    try:
        with safe_open(path, framework="pt") as file:
            return key in (file.metadata() or {})
    except Exception:  # a damaged file has none
        return False


def _state_of(content: Any, depth: int = DEPTH) -> dict | None:
    """The dict that holds tensors, out of its wrappers; None where there is none."""
    if not isinstance(content, dict):
        return None
    for key in WRAPPERS if depth else ():
        if (state := _state_of(content.get(key), depth - 1)) is not None:
            return state
    return content if any(isinstance(value, Tensor) for value in content.values()) else None


def _named(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors, after checking that their names can be shown."""
    odd = next((name for name in tensors if not name.isprintable() or len(name) > LONGEST_NAME), None)
    if odd is not None:
        raise InputError(f"{path}: expected parameter names, found {odd[:60]!r}; was the file damaged?")
    return tensors


def _reason(path: Path, error: Exception) -> str:
    """Why a torch file was not read, and the way out."""
    if kind := mistaken(path):
        return f"not a readable torch file: it is {kind}; download or copy the weights again"
    code = re.search(r"GLOBAL (\S+)|reduce for unrecognized function (.+)|got (<class .+>)", str(error))
    if code:
        name = next(part for part in code.groups() if part)
        return f"refused: it holds code beside weights ({name[:80]}); save the state_dict alone"
    if "weights_only" in str(error) or "Weights only" in str(error):
        return "refused: it is no torch file, or it holds code beside weights; save the state_dict alone"
    return f"not a readable torch file ({_first_line(error)}); was it cut short?"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _kind(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, dict):
        names = ", ".join(str(name)[:30] for name in list(value)[:5])
        return f"dict of {names}" if names else "an empty dict"
    return type(value).__name__
