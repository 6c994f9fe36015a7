"""Its weights on disk: .safetensors with the config inside."""

from __future__ import annotations

from pathlib import Path

from samodal.checkpoints import networks
from samodal.frontends.detector.config import DetectorConfig
from samodal.frontends.detector.model import Detector

KIND = networks.Kind(
    "detector",
    DetectorConfig,
    "no such file; give a .safetensors of `samodal train detector`, or weights shipped here ({shipped})",
)


def load(path_or_name: str | Path) -> Detector:
    """A detector; see `samodal.checkpoints.networks.load`."""
    return networks.load(path_or_name, KIND, Detector, "a detector of this config")


def save(network: Detector, path: str | Path, half: bool = False) -> None:
    """Write a network with its config, in 16 bit where `half`."""
    networks.save(path, KIND, network.config, network.state_dict(), half)
