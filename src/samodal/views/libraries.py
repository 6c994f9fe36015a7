"""Libraries that are needed by some calls alone, and imported by them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from samodal.errors import missing_extra

EXTRAS = {"supervision": "supervision"}
"""The extra of pyproject.toml that brings a library; tables brings all others."""


def library(name: str) -> Any:
    """A module.

    Raises:
        InputError: where it is not installed; it names the extra that brings it.
    """
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise missing_extra(f"this call ({package})", EXTRAS.get(package, "tables")) from None
