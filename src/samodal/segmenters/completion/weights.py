"""Its weights on disk: .safetensors with the config inside."""

from __future__ import annotations

from pathlib import Path

from samodal.checkpoints import networks
from samodal.segmenters.completion.config import CompletionConfig
from samodal.segmenters.completion.network import Completer

KIND = networks.Kind(
    "completion",
    CompletionConfig,
    "no such file; give a .safetensors of `samodal train completion`, or weights shipped here ({shipped})",
)
ADVICE = "; an amodal SAM needs --preset points, paper or released"


def load(path_or_name: str | Path) -> Completer:
    """A completer; see `samodal.checkpoints.networks.load`."""
    return networks.load(path_or_name, KIND, Completer, "a completer", ADVICE)


def save(network: Completer, path: str | Path, half: bool = False) -> None:
    """Write a network with its config, in 16 bit where `half`."""
    networks.save(path, KIND, network.config, network.state_dict(), half)
