"""Where an experiment ran and with which weights, for its record."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path


def digest_of(path: Path) -> str:
    """Of a file's content."""
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def found_device(device: str) -> str:
    """The device that "auto" means here."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def machine(device: str) -> str:
    """GPU, CPU cores and versions in words."""
    import torch

    card = torch.cuda.get_device_name() if device != "cpu" and torch.cuda.is_available() else "no GPU"
    return f"{card}, {os.cpu_count()} CPU cores, Python {platform.python_version()}, torch {torch.__version__}"
