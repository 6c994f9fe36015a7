"""Networks as ONNX files, and ONNX Runtime in place of torch (`--backend onnx`); needs the extra `onnx`."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from samodal.errors import InputError
from samodal.outputs import writing

Network = TypeVar("Network", bound=nn.Module)
OPSET = 17


@runtime_checkable
class Foldable(Protocol):
    """A layer that needs fewer sums in evaluation."""

    def folded(self) -> nn.Module:
        """The same layer with fewer sums."""
        ...


def on_onnx(network: Network, method: str, example: Mapping[str, Tensor], free: Mapping[str, Sequence[int]]) -> Network:
    """The network, changed in place, with a method that ONNX Runtime calculates, on the CPU; its results differ by less
    than 1e-3.

    Args:
        network: on the CPU, in evaluation.
        method: of tensors, that gives a tensor or several.
        example: its inputs by name, in order.
        free: the axes whose length is not that of the example, of each input and then of each output.

    Raises:
        InputError: where ONNX Runtime is missing, or the network is not on the CPU.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"--backend onnx needs {error.name}; install it with: pip install 'samodal[onnx]'") from error
    if next(network.parameters()).device.type != "cpu":
        raise InputError("--backend onnx runs on the CPU; give --device cpu, or --backend torch")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # wait passively
    content = onnx_of(_folded(network), method, example, free)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def calculated(*inputs: Tensor) -> Tensor | list[Tensor]:
        named = {name: value.contiguous().numpy() for name, value in zip(example, inputs, strict=True)}
        outputs = [torch.from_numpy(value) for value in session.run(None, named)]
        return outputs if len(outputs) > 1 else outputs[0]

    setattr(network, method, calculated)
    network.planar = True
    return network


def planar(network: nn.Module) -> bool:
    """Whether a network takes its inputs channel after channel in memory, as ONNX Runtime does, and not with the
    channels of a pixel side by side, as torch is faster on."""
    return getattr(network, "planar", False)


def laid_out(values: Tensor, network: nn.Module) -> Tensor:
    """(N, C, H, W) inputs of a network on its device and in its order of memory."""
    device = next(network.parameters()).device
    return values.to(device) if planar(network) else values.to(device, memory_format=torch.channels_last)


def _folded(network: Network) -> Network:
    for name, child in network.named_children():
        if isinstance(child, Foldable):
            setattr(network, name, child.folded())
        else:
            _folded(child)
    return network


def onnx_of(network: nn.Module, method: str, example: Mapping[str, Tensor], free: Mapping[str, Sequence[int]]) -> bytes:
    """The content of an ONNX file of a method; see `on_onnx`."""
    file = io.BytesIO()
    axes = {name: {axis: f"{name}_{axis}" for axis in places} for name, places in free.items()}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of what the exporter will be replaced by, and of traced Python numbers
        try:
            torch.onnx.export(
                _Method(network, method), tuple(example.values()), file, input_names=list(example),
                output_names=[name for name in free if name not in example], dynamic_axes=axes,
                opset_version=OPSET, dynamo=False,
            )  # fmt: skip
        except torch.onnx.errors.OnnxExporterError as error:
            raise InputError(f"export to ONNX: {error}; install what it needs: pip install 'samodal[onnx]'") from error
    return file.getvalue()


def write_onnx(path: Path, content: bytes) -> None:
    """Write an ONNX file, whole or not at all."""
    with writing(path) as partial:
        partial.write_bytes(content)


class _Method(nn.Module):
    """A method of a network as a network."""

    def __init__(self, network: nn.Module, method: str):
        super().__init__()
        self.network, self._method = network, method

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        outputs = getattr(self.network, self._method)(*inputs)
        return tuple(outputs) if isinstance(outputs, list) else outputs
