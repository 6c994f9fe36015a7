"""Weights into a network and out of it: config, checksums and, for deltas, a named base."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from samodal.checkpoints.config import NetworkConfig
from samodal.checkpoints.files import (
    checksum,
    read_safetensors,
    read_state_dict,
    shipped_names,
    shipped_path,
    without_prefix,
)
from samodal.errors import InputError
from samodal.outputs import cannot_write, writing

Network = TypeVar("Network", bound=nn.Module)
# What tells models that people have at hand, most particular first.
KNOWN = (
    ("CoTracker v1", r"updateformer\.space_blocks\."),
    ("CoTracker v2", r"(track_feat_updater|vis_predictor)\."),
    ("CoTracker3", r"updateformer\."),
    ("TAPIR", r"(resnet_torch|torch_pips_mixer|tapir)"),
    ("a SAM", r"(image_encoder|vision_encoder)\."),
    ("SAVOS", r"flow_decoder\."),
    ("VidEoMT", r"query_updater\."),
)

FACTOR = "::factor"
"""Ends the name of the factors of a matrix that is stored in 8 bit."""

# Older deltas, all of amodal SAMs, have the checksum of this tensor of their base alone.
OLD_CHECKED = "vision_encoder.neck.conv2.weight"


@dataclass(frozen=True)
class Kind:
    """A kind of network, as its files know it.

    Attributes:
        key: in the metadata of our .safetensors, where config and checksums are.
        config: its class.
        missing: the message where there is no such file; the names of the shipped weights replace "{shipped}".
    """

    key: str
    config: type[NetworkConfig]
    missing: str


@dataclass(frozen=True)
class Base:
    """What a delta is added to.

    Attributes:
        name: anything that the network's `load` takes.
        checksums: of the base's tensors in 16 bit, so that 16-bit and 32-bit copies of a base are the same.
        complete: whether they are those of all tensors that the delta relies on; older files have a single checksum.
    """

    name: str
    checksums: dict[str, int]
    complete: bool


@dataclass(frozen=True, eq=False)
class Weights:
    """What a file of weights holds.

    Attributes:
        where: the file, for messages.
        tensors: by name, as stored.
        config: None in files of others.
        base: None for a whole network.
        other: the key of another kind of network in the metadata, "" without.
    """

    where: str
    tensors: dict[str, Tensor]
    config: Any = None
    base: Base | None = None
    other: str = ""

    def content(self) -> str:
        """What a file without a config of its kind seems to be, for messages."""
        if self.other:
            return self.other
        known = (title for title, pattern in KNOWN if any(map(re.compile(pattern).match, self.tensors)))
        return next(known, f"parameters as {min(self.tensors, default='none')}")


def locate(name: str, kind: Kind, download: Callable[[str], Path] | None = None) -> Path:
    """The file or folder of a name: on disk, shipped here, or from a hub.

    Args:
        download: takes a hub name as OWNER/NAME.

    Raises:
        InputError: where there is none.
    """
    path = Path(name)
    try:
        if path.is_file() or (download and path.is_dir()):
            return path
    except (OSError, ValueError) as error:  # a name that is too long, or that no file can have
        raise InputError(f"{name[:60]!r} cannot be the name of a checkpoint ({error.args[-1]})") from None
    if (shipped := shipped_path(name)) is not None:
        return shipped
    # A file that is not there is no hub name.
    endings = (".safetensors", ".pth", ".pt", ".bin")
    if download and path.suffix not in endings and re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return download(name)
    raise InputError(f"{name}: {kind.missing.replace('{shipped}', shipped_names(kind.key))}")


def read(path: Path, kind: Kind) -> Weights:
    """A file of weights, ours or a torch file; the checksums of ours are compared.

    Older files of ours have no checksums and are taken as they are.

    Raises:
        InputError: if it is damaged or its metadata cannot be meant.
    """
    if path.suffix != ".safetensors":
        return Weights(str(path), read_state_dict(path))
    metadata, tensors = read_safetensors(path)
    if kind.key not in metadata:
        return Weights(str(path), tensors, other=next((key for key in metadata if key != "format"), ""))
    try:
        header = json.loads(metadata[kind.key])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its metadata is no JSON ({error}); was it written by another program?") from None
    if not isinstance(header, dict) or not header:
        raise InputError(f"{path}: its metadata has no config; was it written by another program?")
    nested = "config" in header
    config = kind.config.from_dict(header["config"] if nested else header, str(path))
    if not nested:
        return Weights(str(path), tensors, config)
    for name, wanted in _checksums(header, "checksums", path).items():
        if name in tensors and checksum(tensors[name]) != wanted:
            raise InputError(f"{path}: {name} has changed since it was written; copy or download the file again")
    return Weights(str(path), _from_eight_bits(tensors, path), config, _base(header, path))


def load(name: str | Path, kind: Kind, make: Callable[[Any], Network], title: str, advice: str = "") -> Network:
    """A whole network that `samodal train KEY` of its kind wrote, in float32 on the CPU, in evaluation.

    Args:
        name: a .safetensors, or the name of weights shipped with this package.
        make: builds the network from a config.
        title: of what is expected, for messages.
        advice: ends the message where the file is of another kind.

    Raises:
        InputError: for a missing or damaged file, or the weights of another network.
    """
    weights = read(locate(str(name), kind), kind)
    if weights.config is None:
        expected = f"weights of `samodal train {kind.key}`"
        raise InputError(f"{weights.where}: expected {expected}, found {weights.content()}{advice}")
    return build(lambda: make(weights.config), weights.tensors, weights.where, title)


def check_base(delta: Weights, base: Weights) -> None:
    """Raises InputError where the base of a delta is not what it was made on."""
    for name, wanted in delta.base.checksums.items():
        if name not in base.tensors or checksum(base.tensors[name].to(torch.float16)) != wanted:
            raise InputError(
                f"{delta.where}: its base {delta.base.name} is another model than it was trained on: {name} differs"
            )


def build(make: Callable[[], Network], tensors: dict[str, Tensor], where: str, title: str) -> Network:
    """A network in float32 on the CPU, in evaluation, after checking that the tensors are all its parameters.

    It is first built without memory: what a file says of its size need not be true.

    Args:
        make: builds it with any weights.
        tensors: by name, with one prefix before all names or without.
        title: of what is expected.

    Raises:
        InputError: where a parameter is missing, foreign, of another shape, or no real number, as nan.
    """
    try:
        with torch.device("meta"), _Unfilled(), _at_most(len(tensors)):
            network = make()
    except _TooMany:
        raise InputError(f"{where}: its config asks for many more parameters than it has ({len(tensors)})") from None
    except Exception as error:  # torch and transformers raise anything for a config that cannot be
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{where}: no network can be built from its config ({reason})") from error
    expected = network.state_dict()
    tensors = without_prefix(tensors, expected)
    if (other := _difference(tensors, expected)) is not None:
        raise InputError(f"{where}: expected {title}, found {other}")
    if any(buffer.is_meta for buffer in network.buffers()):
        network = make()
    state = {name: tensors[name].to(torch.float32).contiguous() for name in expected}
    if (broken := next((name for name, value in state.items() if not value.isfinite().all()), None)) is not None:
        raise InputError(f"{where}: {broken} has values that are no numbers (nan or infinite); did its training fail?")
    network.load_state_dict(state, assign=True)
    return network.eval()


def save(
    path: str | Path, kind: Kind, config: NetworkConfig, state: Mapping[str, Tensor], half: bool = False,
    shared: Weights | None = None, base: Weights | None = None, *, eight: bool = False,
) -> None:  # fmt: skip
    """Write weights as .safetensors with their config and a checksum of every tensor.

    Args:
        state: parameters by name.
        half: in 16 bit (float16).
        shared: where given, only what differs from it is written, with its name and the checksums of the rest.
        base: what `shared` was made from, whose checksums those are; where absent, `shared` itself.
        eight: matrices in 8 bit, with a factor for each row of their first axis; the rest as `half` says.

    Raises:
        InputError: for another ending.
    """
    if Path(path).suffix != ".safetensors":
        raise InputError(f"{path}: weights are written as .safetensors, which can hold no code; choose that ending")
    header: dict[str, Any] = {"config": config.to_dict()}
    if shared is not None:
        same = sorted(name for name, value in state.items() if _equal(value, shared.tensors.get(name)))
        relied = (base or shared).tensors
        sums = {name: checksum(relied[name].to(torch.float16)) for name in same}
        header |= {"base": shared.where, "base_checksums": sums}
        state = {name: value for name, value in state.items() if name not in sums}
    dtype = torch.float16 if half else torch.float32
    tensors = {name: value.detach().to("cpu", dtype).contiguous() for name, value in state.items()}
    if eight:
        for name in [name for name, value in tensors.items() if value.ndim > 1 and value.numel()]:
            tensors |= _in_eight_bits(name, tensors[name].float())
    header["checksums"] = {name: checksum(value) for name, value in tensors.items()}
    metadata = {"format": "pt", kind.key: json.dumps(header)}
    try:
        with writing(path) as partial:
            save_file(tensors, str(partial), metadata=metadata)
    except SafetensorError as error:
        raise cannot_write(Path(path), error) from None


def _in_eight_bits(name: str, value: Tensor) -> dict[str, Tensor]:
    """A matrix as whole numbers from -127 to 127 and the factors of its rows, under two names."""
    factor = (value.flatten(1).abs().amax(1) / 127).clamp_min(1e-12)
    whole = (value / factor.view(-1, *[1] * (value.ndim - 1))).round().to(torch.int8)
    return {name: whole, name + FACTOR: factor}


def _from_eight_bits(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors of a file with its 8-bit matrices as real numbers."""
    plain = {name: value for name, value in tensors.items() if not name.endswith(FACTOR)}
    for name, value in plain.items():
        if value.dtype == torch.int8:
            factor = tensors.get(name + FACTOR)
            if factor is None or factor.dtype != torch.float32 or factor.shape != value.shape[:1]:
                raise InputError(f"{path}: {name} is in 8 bit without factors of its rows; copy the file again")
            plain[name] = value.float() * factor.view(-1, *[1] * (value.ndim - 1))
    return plain


def _base(header: dict[str, Any], path: Path) -> Base | None:
    if "base" not in header:
        return None
    if not isinstance(header["base"], str):
        raise InputError(f"{path}: its base should be a name, found {str(header['base'])[:40]!r}")
    if "base_checksums" in header:
        return Base(header["base"], _checksums(header, "base_checksums", path), complete=True)
    return Base(header["base"], {OLD_CHECKED: header.get("base_checksum")}, complete=False)


def _checksums(header: dict[str, Any], key: str, path: Path) -> dict[str, int]:
    values = header.get(key, {})
    if not isinstance(values, dict):
        raise InputError(f"{path}: {key} in its metadata should be numbers by name, found {str(values)[:40]!r}")
    return values


def _equal(value: Tensor, other: Tensor | None) -> bool:
    return other is not None and torch.equal(value.detach().cpu().float(), other.float())


def _difference(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str | None:
    """What tensors are that are not the parameters expected, in a few words; None where they are."""
    missing, extra = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    if missing:
        for name, pattern in KNOWN:
            begins = re.compile(pattern).match
            if any(map(begins, tensors)) and not any(map(begins, expected)):
                return f"{name} (it lacks {missing[0]})"
    if missing or extra:
        parts = [f"{len(missing)} parameters are missing, as {missing[0]}"] if missing else []
        parts += [f"{len(extra)} parameters are unknown, as {extra[0]}"] if extra else []
        return f"another model: {'; '.join(parts)}"
    for name, value in expected.items():
        found = tensors[name]
        if found.shape != value.shape:
            return f"one of another size: {name} is {tuple(found.shape)}, not {tuple(value.shape)}"
        if not found.is_floating_point() or found.layout is not torch.strided or found.is_meta:
            return f"{name} as {found.dtype} ({found.layout}), not as plain real numbers"
    return None


class _TooMany(Exception):
    """A network has more parameters than its file."""


class _Unfilled(TorchFunctionMode):
    """Parameters without memory get no random values: drawing them there would load torch's compiler, for seconds."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return kwargs["tensor"] if func is nn.init.normal_ else func(*args, **(kwargs or {}))


@contextmanager
def _at_most(count: int):
    """Stop to build a network that has far more parameters than so many tensors could fill."""
    left = 1000 + 4 * count  # layers may be built and then replaced

    def count_down(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _TooMany

    handle = register_module_parameter_registration_hook(count_down)
    try:
        yield
    finally:
        handle.remove()
