"""The parts that can be named on the command line, and where they live; imported only when used.

To add one: write a class that satisfies its protocol in `parts.py` and add its line here, or name it from
outside as `package.module:Class` without touching this file.
"""

import importlib
from typing import Any

from samodal.errors import InputError
from samodal.suggest import nearest

FRONT_ENDS = {
    "truth": "samodal.frontends.truth:Truth",  # visible masks of a data set: a perfect front end
    "file": "samodal.frontends.file:ResultsFile",  # results of any method: YouTube-VIS, KITTI MOTS, Scalabel
}
SELECTORS = {
    "random": "samodal.prompts.selectors:RandomPoints",
    "erosion": "samodal.prompts.selectors:ErodedPoints",
    "center": "samodal.prompts.selectors:CenterPoint",
}
TRACKERS = {
    "lucas_kanade": "samodal.trackers.lucas_kanade:LucasKanade",
    "still": "samodal.trackers.still:Still",
    "cotracker3": "samodal.trackers.cotracker:CoTrackerOnline",  # cotracker3:CHECKPOINT
}
METHODS = {
    "samodal": "samodal.methods.samodal:SAmodal",
    "copy-visible": "samodal.methods.trivial:CopyVisible",
    "hull": "samodal.methods.trivial:Hull",
    "hold-last": "samodal.methods.trivial:HoldLast",
    "constant-velocity": "samodal.methods.trivial:ConstantVelocity",
}


def find(table: dict[str, str], name: str, what: str) -> Any:
    """The class behind a name of a table, or behind `package.module:Class`.

    Raises:
        InputError: for an unknown name, with the nearest known one, or a class that cannot be imported.
    """
    path = table.get(name, name)
    if ":" not in path:
        raise InputError(f"unknown {what} {name!r}{nearest(name, table)}")
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{what} {name!r} cannot be imported ({error}){nearest(module, table)}") from error


def split(text: str, table: dict[str, str]) -> tuple[str, str | None]:
    """NAME[:ARGUMENT] in its two halves; `package.module:Class[:ARGUMENT]` counts as a name."""
    name, _, argument = text.partition(":")
    if name not in table and argument:
        attribute, _, argument = argument.partition(":")
        name = f"{name}:{attribute}"
    return name, argument or None
