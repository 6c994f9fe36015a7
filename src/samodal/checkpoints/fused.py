"""Convolutions and what follows them as single calls of oneDNN, for our networks on the CPU.

By itself torch goes over memory three times for a convolution, a batch norm and an activation, brings the weights into
oneDNN's layout in every call, and has a slower way for 1x1 convolutions on one thread. The sums are the same in another
order. The operators are those that torch's own compiler uses; where a torch has none, networks stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)
ACTIVATIONS = {nn.SiLU: ("swish", ""), nn.GELU: ("gelu", "none")}
"""Activations that oneDNN joins to a convolution, by its names."""


@runtime_checkable
class Rearranged(Protocol):
    """A convolution whose weights are stored in another order than it is calculated in."""

    def plain(self) -> nn.Conv2d:
        """The convolution that it is."""
        ...


@runtime_checkable
class Fusable(Protocol):
    """A layer that has a way of its own to be fused, beyond its parts."""

    def fused(self) -> nn.Module:
        """The same layer, of which the parts are fused."""
        ...


class Fused(nn.Module):
    """A convolution and an activation, in evaluation on the CPU.

    Args:
        conv: its weights.
        activation: after it, one of `ACTIVATIONS`; None for none.
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.Module | None = None):
        super().__init__()
        self.weight, self.bias, self._packed = conv.weight, conv.bias, None
        self._shape = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
        self._after = ("none", "") if activation is None else ACTIVATIONS[type(activation)]

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """(N, C, H, W) of (N, L, h, w); `added` is added to it where there is no activation."""
        if self._packed is None:  # how is best depends on the size
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self._shape, list(x.shape))
        if added is not None:
            return torch.ops.mkldnn._convolution_pointwise(
                x, added, self._packed, self.bias, *self._shape, "add", 1.0, None, [], None
            )
        activation, kind = self._after
        return torch.ops.mkldnn._convolution_pointwise(x, self._packed, self.bias, *self._shape, activation, [], kind)


def fused(network: Network) -> Network:
    """The network, changed in place, with its convolutions joined with what follows them where it is on the CPU.

    Args:
        network: in evaluation; it can be used under `torch.inference_mode` alone afterwards, and not be saved.
    """
    on_cpu = next(network.parameters()).device.type == "cpu"
    if on_cpu and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        _fuse(network)
    return network


def without_norms(network: Network) -> Network:
    """The network, changed in place, with its batch norms as part of the convolutions before them, on any device.

    Args:
        network: in evaluation.
    """
    before = ""
    for name, child in network.named_children():
        if isinstance(child, Rearranged):
            setattr(network, name, child.plain())
        elif isinstance(child, nn.BatchNorm2d) and before and isinstance(network, nn.Sequential):
            setattr(network, before, fuse_conv_bn_eval(getattr(network, before), child))
            setattr(network, name, nn.Identity())
        else:
            without_norms(child)
        before = name if isinstance(child, nn.Conv2d) else ""
    return network


def _fuse(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d):
            setattr(module, name, _joined([child])[0])
        elif isinstance(child, nn.Sequential):
            layers = _joined(child)
            setattr(module, name, layers[0] if len(layers) == 1 else nn.Sequential(*layers))
        else:
            _fuse(child)
            if isinstance(child, Fusable):
                setattr(module, name, child.fused())


def _joined(layers: Iterable[nn.Module]) -> list[nn.Module]:
    """Layers one after another, each convolution with the batch norm and the activation after it."""
    waiting, joined = list(layers), []
    while waiting:
        layer = waiting.pop(0)
        if not isinstance(layer, nn.Conv2d):
            holder = nn.ModuleList([layer])
            _fuse(holder)
            joined.append(holder[0])
            continue
        conv = layer.plain() if isinstance(layer, Rearranged) else layer
        if waiting and isinstance(waiting[0], nn.BatchNorm2d):
            conv = fuse_conv_bn_eval(conv, waiting.pop(0))
        joins = waiting and type(waiting[0]) in ACTIVATIONS and getattr(waiting[0], "approximate", "none") == "none"
        joined.append(Fused(conv, waiting.pop(0) if joins else None))
    return joined
