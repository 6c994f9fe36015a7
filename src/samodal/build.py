"""From the settings of a run to its parts: rules, method, front end and segmenter, put together and on their device."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from samodal.errors import InputError, nearest
from samodal.frontends.per_frame import Reassociated, association_for
from samodal.frontends.remembered import Remembered
from samodal.frontends.scaled import Scaled
from samodal.method.rules import Rules, preset
from samodal.parts import FrontEnd, Method, Segmenter, Video, VisSession
from samodal.registry import FRONT_ENDS, METHODS, PIXELS, find, make_tracker, split
from samodal.settings import RunSettings

if TYPE_CHECKING:
    from samodal.baselines.savos.flow import FlowMemory

EMBEDDED_FRONT_END = {"vis": "videomt", "reassociate": True}
"""What sees in a plain video where nothing is named: better than `centers` on StreetSim (docs/results.md)."""


def make_method(settings: RunSettings) -> Method:
    """The method that the settings name, with its model on its device; the model is loaded once a process."""
    name, argument = split(settings.method, METHODS)
    if name not in METHODS and ":" not in name:
        raise InputError(f"unknown method {name!r}{nearest(name, METHODS)}")
    kind, rules = find(METHODS, name, "method"), make_rules(settings)
    if argument and name in METHODS and not METHODS[name].argument:
        raise InputError(f"method {name} takes no argument; found {argument!r}")
    if hasattr(kind, "with_rules"):
        return kind.with_rules(rules)
    if name != "samodal":
        taken = inspect.signature(kind).parameters
        options = {"device": found_device(settings.device)} if "device" in taken else {}
        options |= {"flow": flow_memory()} if "flow" in taken else {}
        return kind(**options) if argument is None else kind(argument, **options)
    tracker = make_tracker(settings.tracker, found_device(settings.device))
    return kind(segmenter_of(settings.weights, settings.device), tracker, rules, settings.seed)


def make_rules(settings: RunSettings) -> Rules:
    """The preset with the changes of --rules; an unknown rule is an InputError with the nearest known one."""
    known = Rules.__dataclass_fields__
    for name in settings.rules:
        if name not in known:
            raise InputError(f"unknown rule {name!r}{nearest(name, known)}")
    return preset(settings.preset, **settings.rules)


def make_session(settings: RunSettings, video: Video, said: Remembered | None = None) -> VisSession:
    """The front end that the settings name, at work on a video, with its ids repaired where they ask for it.

    A session that learns from results associates already.

    Args:
        said: what front ends said of this video to other methods, and are not asked again.
    """
    settings = settled(settings, video)

    def start() -> VisSession:
        session = make_front_end(settings).open(video)
        return session if settings.vis_scale == 1 else scaled(session, settings, video)

    session = start() if said is None else said.session(_decided_by(settings), video.length, start)
    if settings.reassociate and not hasattr(session, "learn"):
        return Reassociated(session, association_for(video))
    return session


def _decided_by(settings: RunSettings) -> tuple:
    """What of the settings decides what a front end says of a video."""
    kind = find(FRONT_ENDS, split(settings.vis, FRONT_ENDS)[0], "front end")
    seed = settings.seed if "seed" in inspect.signature(kind).parameters else None
    return settings.vis, settings.vis_scale, seed


def scaled(session: VisSession, settings: RunSettings, video: Video) -> VisSession:
    """A session that sees frames of the size that --vis_scale asks for.

    Raises:
        InputError: for a front end that reads masks, not pixels, or a scale that cannot be meant.
    """
    name = split(settings.vis, FRONT_ENDS)[0]
    if name in FRONT_ENDS and FRONT_ENDS[name].group != PIXELS:
        raise InputError(
            f"--vis_scale is for front ends that work on pixels; {name} gives masks that are there already"
        )
    if not 0.01 <= settings.vis_scale <= 8:
        raise InputError(f"vis_scale {settings.vis_scale}: expected a share of the frame's size, as 0.5")
    return Scaled(session, settings.vis_scale)


def make_front_end(settings: RunSettings) -> FrontEnd:
    """The front end that the settings name."""
    name, argument = split(settings.vis, FRONT_ENDS)
    kind = find(FRONT_ENDS, name, "front end")
    taken = inspect.signature(kind).parameters
    options = {"device": found_device(settings.device)} if "device" in taken else {}
    options |= {"seed": settings.seed} if "seed" in taken else {}
    return kind(**options) if argument is None else kind(argument, **options)


def settled(settings: RunSettings, video: Video) -> RunSettings:
    """The settings with the front end that they leave open: a data set's own truth, or the embedded one."""
    if settings.vis is not None:
        return settings
    return replace(settings, **({"vis": "truth"} if video.truth is not None else EMBEDDED_FRONT_END))


@lru_cache(maxsize=2)
def segmenter_of(weights: str, device: str) -> Segmenter:
    """The segmenter of a checkpoint on a device; a process loads each once."""
    from samodal.segmenters.sam import AmodalSam, SamSegmenter

    return SamSegmenter(AmodalSam.from_checkpoint(weights), found_device(device))


@lru_cache(maxsize=1)
def flow_memory() -> FlowMemory:
    """What observes optical flow in this process."""
    from samodal.baselines.savos.flow import FlowMemory

    return FlowMemory()


def found_device(name: str) -> str:
    """What `auto` means here, or the name itself."""
    import torch

    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
