"""From the settings of a run to its parts: rules, method, front end and segmenter, put together and on their device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from samodal.errors import InputError
from samodal.frontends.per_frame import Reassociated, association_for
from samodal.frontends.remembered import Remembered
from samodal.frontends.scaled import Scaled
from samodal.method.rules import Rules, preset
from samodal.parts import FrontEnd, LearningSession, Method, Segmenter, Video, VisSession
from samodal.registry import FRONT_ENDS, METHODS, PIXELS, SEGMENTERS, find, make, make_tracker, parameters, split
from samodal.settings import RunSettings
from samodal.tracks import FrameResult

if TYPE_CHECKING:
    from samodal.baselines.savos.flow import FlowMemory

EMBEDDED_FRONT_END = {"vis": "videomt", "reassociate": True}
"""What sees in a plain video where nothing is named: better than `centers` on StreetSim (docs/results.md)."""


PRESET_SEGMENTERS = {"default": "completion"}
"""The segmenter of a preset where none is named; sam for all others."""


def make_method(settings: RunSettings) -> Method:
    """The method that the settings name, with its model on its device; the model is loaded once a process."""
    return make(METHODS, settings.method, "method", _context(settings))


def _context(settings: RunSettings) -> dict[str, Callable[[], Any]]:
    """What the constructor of a part may ask for."""
    settings = with_segmenter(settings)
    return {
        "device": lambda: found_device(settings.device),
        "seed": lambda: settings.seed,
        "weights": lambda: settings.weights,
        "rules": lambda: make_rules(settings),
        "segmenter": lambda: with_details(
            segmenter_of(settings.segmenter, settings.weights, settings.device), settings.details
        ),
        "tracker": lambda: make_tracker(settings.tracker, found_device(settings.device)),
        "flow": flow_memory,
    }


def make_rules(settings: RunSettings) -> Rules:
    """The preset with the changes of --rules; an unknown rule is an InputError with the nearest known one."""
    if not isinstance(settings.rules, dict) or not all(isinstance(name, str) for name in settings.rules):
        raise InputError(f"rules: expected names with values, as {{'points': 3}}, got {settings.rules!r}")
    return preset(settings.preset, **settings.rules)


def make_session(settings: RunSettings, video: Video, remembered: Remembered | None = None) -> LearningSession:
    """The front end that the settings name, at work on a video, with its ids repaired where they ask for it.

    A session that learns from results associates already.

    Args:
        remembered: results of front ends over this video for other methods, which are not made again.
    """
    settings = settled(settings, video)
    start = partial(_start, settings, video)
    session = start() if remembered is None else remembered.session(_decided_by(settings), video.length, start)
    return teachable(session, video, settings.reassociate)


def teachable(session: VisSession, video: Video, reassociate: bool) -> LearningSession:
    """A session that takes results, whatever it makes of them; with its ids repaired where that is asked for."""
    if isinstance(session, LearningSession):
        return session
    return Reassociated(session, association_for(video)) if reassociate else _Unteachable(session)


class _Unteachable:
    """A session that makes nothing of results: `learn` does nothing."""

    def __init__(self, session: VisSession):
        self.step, self.reset = session.step, session.reset

    def learn(self, result: FrameResult) -> None:
        pass


def _start(settings: RunSettings, video: Video) -> VisSession:
    session = make_front_end(settings).open(video)
    return session if settings.vis_scale == 1 else scaled(session, settings)


def _decided_by(settings: RunSettings) -> tuple:
    """What of the settings decides what a front end gives."""
    vis = _named(settings)
    kind = find(FRONT_ENDS, split(vis, FRONT_ENDS)[0], "front end")
    return vis, settings.vis_scale, settings.seed if "seed" in parameters(kind) else None


def scaled(session: VisSession, settings: RunSettings) -> VisSession:
    """A session that sees frames of the size that --vis_scale asks for.

    Raises:
        InputError: for a front end that reads masks, not pixels, or a scale that cannot be meant.
    """
    name = split(_named(settings), FRONT_ENDS)[0]
    if name in FRONT_ENDS and FRONT_ENDS[name].group != PIXELS:
        raise InputError(
            f"--vis_scale is for front ends that work on pixels; {name} gives masks that are there already"
        )
    if not 0.01 <= settings.vis_scale <= 8:
        raise InputError(f"vis_scale {settings.vis_scale}: expected a share of the frame's size, as 0.5")
    return Scaled(session, settings.vis_scale)


def make_front_end(settings: RunSettings) -> FrontEnd:
    """The front end that the settings name."""
    return make(FRONT_ENDS, _named(settings), "front end", _context(settings))


def _named(settings: RunSettings) -> str:
    """The front end that the settings name; they must be settled."""
    if settings.vis is None:
        raise ValueError("settings that leave the front end open: call settled first")
    return settings.vis


def settled(settings: RunSettings, video: Video) -> RunSettings:
    """The settings with what they leave open: the segmenter; and the front end, a data set's truth or the embedded."""
    settings = with_segmenter(settings)
    if settings.vis is not None:
        return settings
    return replace(settings, **({"vis": "truth"} if video.truth is not None else EMBEDDED_FRONT_END))


def with_segmenter(settings: RunSettings) -> RunSettings:
    """The settings with the segmenter that they leave open, and with the weights that come with it."""
    text = settings.segmenter or PRESET_SEGMENTERS.get(settings.preset, "sam")
    name, argument = split(text, SEGMENTERS)
    own = SEGMENTERS[name].embedded if name in SEGMENTERS and argument is None else None
    return replace(settings, segmenter=text, weights=settings.weights or own)


@lru_cache(maxsize=2)
def segmenter_of(segmenter: str, weights: str | None, device: str) -> Segmenter:
    """The segmenter of a name with its weights on a device; a process loads each once."""
    context = {"weights": lambda: weights, "device": lambda: found_device(device)}
    return make(SEGMENTERS, segmenter, "segmenter", context)


def with_details(segmenter: Segmenter, details: bool) -> Segmenter:
    """The segmenter, told whether details are wanted where it has a say in them (`Segmenter.details`)."""
    if hasattr(segmenter, "details"):
        segmenter.details = details
    return segmenter


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
