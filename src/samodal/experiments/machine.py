"""Where an experiment ran and with which weights, for its record."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

from samodal.checkpoints.files import shipped_path


def file_of(part: str) -> Path | None:
    """The file of weights, shipped or not, that WEIGHTS or NAME:WEIGHTS[,LIMIT=VALUE…] names, None for none."""
    name = part.rpartition(":")[2].split(",")[0]
    return Path(name) if Path(name).is_file() else shipped_path(name)


def digest(part: str) -> str | None:
    """Of the content of the file that a part names, see `file_of`."""
    file = file_of(part)
    return file and hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()


def machine(device: str) -> str:
    """GPUs, CPU cores and versions in words."""
    import torch

    count = torch.cuda.device_count() if device != "cpu" else 0
    card = f"{count} x " * (count > 1) + torch.cuda.get_device_name() if count else "no GPU"
    return f"{card}, {os.cpu_count()} CPU cores, Python {platform.python_version()}, torch {torch.__version__}"
