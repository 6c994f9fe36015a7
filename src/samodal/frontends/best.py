"""`best`: the best public model that is at hand and can run here, else the embedded front end. Nothing is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from re import findall

from samodal.checkpoints.hub import cached
from samodal.checkpoints.published import HUB, Published
from samodal.making import make
from samodal.parts import FrontEnd
from samodal.registry import FRONT_ENDS

NAME = "best"
EMBEDDED = "detector"
"""What is taken where no public model can be."""


@dataclass(frozen=True)
class Chosen:
    """What `best` comes to.

    Attributes:
        vis: front end with its argument; of a model from the hub the folder, which says the revision.
        reason: in a line.
    """

    vis: str
    reason: str


def chosen(device: str) -> Chosen:
    """The first of `checkpoints.published.HUB` that is in the cache and runs on a device; else the embedded one."""
    passed = []
    for name, model in HUB.items():
        folder = cached(name, model.files) if model.why else None
        if folder is None:
            continue
        if hindrance := _hindrance(model, device, str(folder)):
            passed.append(f"; {name} {hindrance}")
            continue
        text = f"--vis best: {model.front_end} with {name} of the hub's cache, {model.why}"
        return Chosen(f"{model.front_end}:{folder}", text + "".join(passed))
    rest = "".join(passed) or "; `samodal weights` lists them"
    return Chosen(EMBEDDED, f"--vis best: the embedded {EMBEDDED}, as no public model that runs here is at hand{rest}")


def _hindrance(model: Published, device: str, folder: str) -> str:
    """Why a model cannot run here; "" where it can."""
    found = version("transformers")
    if tuple(map(int, findall(r"\d+", found)[:2])) < model.transformers:
        return f"needs transformers {'.'.join(map(str, model.transformers))}, here is {found}"
    if model.gpu and not device.startswith("cuda"):
        return "needs a GPU"
    return "lies in a folder with a comma in its name" if "," in folder else ""


def front_end(device: str) -> FrontEnd:
    """The front end that `best` comes to."""
    return make(FRONT_ENDS, chosen(device).vis, "front end", {"device": lambda: device})
