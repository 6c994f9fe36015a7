"""From the settings of a run to its parts: rules, method, front end and segmenter, put together and on their device."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samodal.errors import InputError, nearest, page
from samodal.frontends import best
from samodal.frontends.per_frame import Reassociated, association_for
from samodal.frontends.remembered import Remembered
from samodal.frontends.scaled import Scaled
from samodal.loading import once
from samodal.making import check_name, checked, find, knows_backend, make, make_tracker, not_taken, parameters, split
from samodal.method.hindsight import Offline, check_hindsight
from samodal.method.prompts.choose import make_selector
from samodal.method.rules import Rules, preset
from samodal.parts import FrontEnd, LearningSession, Method, Segmenter, Video, VisSession
from samodal.registry import FRONT_ENDS, METHODS, PIXELS, SEGMENTERS, TRACKERS
from samodal.settings import RunSettings
from samodal.tracks import FrameResult

if TYPE_CHECKING:
    from samodal.baselines.savos.flow import FlowMemory

EMBEDDED_FRONT_END = {"vis": "detector"}
"""What sees in a plain video where nothing is named: it alone was trained on real streets (docs/results.md)."""


OTHER_TRACKER = (
    "The released code tracks with CoTracker v1, this run with {}. For v1: --tracker cotracker1:CHECKOUT,CHECKPOINT "
    "(CC-BY-NC 4.0; {})."
)
PRESET_SEGMENTERS = {"default": "completion"}
"""The segmenter of a preset where none is named; sam for all others."""
DEMONSTRATION = (
    "The embedded weights of {} were trained on StreetSim alone and are for demonstration; for real video give {} ({})."
)


def check_settings(settings: RunSettings) -> None:
    """Check names, rules, the weights' file and the device before anything is opened.

    Raises:
        InputError: for what cannot be meant, with the nearest known name.
    """
    rules = make_rules(settings)
    make_selector(rules.prompt, rules.points)
    if settings.offline:
        _check_offline(settings, rules)
    if settings.weights is not None:
        _check_weights(settings.weights)
    for table, text, what in (
        (METHODS, settings.method, "method"),
        (FRONT_ENDS, settings.vis, "front end"),
        (SEGMENTERS, settings.segmenter, "segmenter"),
        (TRACKERS, settings.tracker, "point tracker"),
    ):
        if text is not None:
            check_name(table, text, what)
    if settings.device not in ("auto", "cpu"):
        found_device(settings.device)


def _check_offline(settings: RunSettings, rules: Rules) -> None:
    """Refuse what hindsight cannot work with."""
    if settings.method != "samodal":
        raise InputError(f"--offline is for the method samodal, not for {settings.method}; leave it out")
    check_hindsight(rules)


def refuse_live(video: Video) -> None:
    """Raise InputError for a video that cannot be read a second time, as hindsight does."""
    if getattr(video, "live", None) is not None:
        raise InputError(
            f"{video.source}: --offline looks back from later frames, and a camera or stream is live; leave out "
            "--offline, or record the video first"
        )


def _check_weights(name: str) -> None:
    """Whether there can be weights of this name; those of a hub are asked for when they are loaded."""
    embedded = [path.stem for path in Path(__file__).with_name("weights").glob("*.safetensors")]
    hub = re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.endswith((".safetensors", ".pth", ".pt", ".bin"))
    if not (hub or os.path.exists(name) or name in embedded):
        raise InputError(
            f"{name}: no such checkpoint; give a file, a folder, a hub name, or embedded weights"
            f"{nearest(name, embedded)}"
        )


def make_method(settings: RunSettings) -> Method:
    """The method that the settings name, with its model on its device; the model is loaded once a process.

    With hindsight it is an `Offline`, whose results come late.

    Raises:
        InputError: for a method or rules that leave no hindsight.
    """
    if settings.offline:
        _check_offline(settings, make_rules(settings))
    method = make(METHODS, settings.method, "method", _context(settings))
    return Offline(method) if settings.offline else method


def _context(settings: RunSettings) -> dict[str, Callable[[], Any]]:
    """What the constructor of a part may ask for."""
    settings = with_segmenter(settings)
    return {
        "device": lambda: found_device(settings.device),
        "backend": lambda: settings.backend,
        "seed": lambda: settings.seed,
        "weights": lambda: settings.weights,
        "rules": lambda: make_rules(settings),
        "segmenter": lambda: with_details(
            segmenter_of(settings.segmenter, settings.weights, settings.device, settings.backend), settings.details
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
        self.step, self.reset, self.alone = session.step, session.reset, getattr(session, "alone", False)

    def learn(self, result: FrameResult) -> None:
        pass


def _start(settings: RunSettings, video: Video) -> VisSession:
    session = opened(make_front_end(settings), video)
    return session if settings.vis_scale == 1 else scaled(session, settings)


def opened(front_end: FrontEnd, video: Video) -> VisSession:
    """A front end at work on a video; an InputError where what it gives is no session."""
    return checked(front_end.open(video), VisSession, f"front end, what {type(front_end).__name__}.open gives")


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
        raise InputError(f"--vis_scale is for front ends that work on pixels; {name} reads what is there already")
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
    settings = with_best(with_segmenter(settings))[0]
    if settings.vis is not None:
        return settings
    return replace(settings, **({"vis": "truth"} if video.truth is not None else EMBEDDED_FRONT_END))


def with_best(settings: RunSettings) -> tuple[RunSettings, str]:
    """The settings with the front end that `--vis best` comes to, and why; the reason is empty for all others."""
    if settings.vis != best.NAME:
        return settings, ""
    found = best.chosen(found_device(settings.device))
    return replace(settings, vis=found.vis), found.reason


def with_segmenter(settings: RunSettings) -> RunSettings:
    """The settings with the segmenter that they leave open, and with the weights that come with it."""
    text = settings.segmenter or PRESET_SEGMENTERS.get(settings.preset, "sam")
    name, argument = split(text, SEGMENTERS)
    own = SEGMENTERS[name].embedded if name in SEGMENTERS and argument is None else None
    return replace(settings, segmenter=text, weights=settings.weights or own)


@once(2)
def segmenter_of(segmenter: str, weights: str | None, device: str, backend: str = "torch") -> Segmenter:
    """The segmenter of a name with its weights on a device; a process loads each once."""
    context = {"weights": lambda: weights, "device": lambda: found_device(device), "backend": lambda: backend}
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
    """What `auto` means here, or the name itself.

    Raises:
        InputError: for a name of no device, or of one that this machine or this torch does not have.
    """
    import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if cuda else "cpu"
    name = "cuda" if name == "cuda:all" else name  # each worker has a GPU of its own, and one alone has the first
    kind = re.fullmatch(r"cpu|mps|cuda(?::(\d+))?", str(name))
    if kind is None:
        raise InputError(f"--device {name}: expected auto, cpu, cuda, cuda:N, cuda:all or mps")
    if name == "mps" and not torch.backends.mps.is_available():
        raise InputError("--device mps: this torch has no MPS; use auto or cpu")
    if str(name).startswith("cuda") and int(kind[1] or 0) >= cuda:
        found = f"this machine has {cuda} of them" if cuda else "this torch has no CUDA"
        raise InputError(f"--device {name}: {found}; use auto or cpu")
    return name


def embedded_models(settings: RunSettings) -> dict[str, str]:
    """The embedded models that a run uses, each by the setting that names another."""
    chosen, models = with_segmenter(settings), {}
    # The completer sees no pixels, and was also taught by outlines of real objects.
    if settings.method == "samodal" and chosen.segmenter == "sam" and chosen.weights == SEGMENTERS["sam"].embedded:
        models["weights"] = "the amodal SAM"
    if settings.vis in ("videomt", "centers"):
        models["vis"] = "the front end"
    return models


def demonstration(models: dict[str, str], flag: str = "") -> str:
    """What is told of embedded models; `flag` stands before the settings that name others."""
    named, flags = " and ".join(models.values()), " and ".join(flag + name for name in models)
    return DEMONSTRATION.format(named, flags, page("real-video.md"))


def notices(settings: RunSettings, many: bool = False) -> list[str]:
    """What a user may not expect of these settings: weights for demonstration, another tracker than released.

    Args:
        many: whether they are for any number of videos or clips.
    """
    embedded, texts = embedded_models(settings), []
    if embedded and not (settings.data or "").startswith("streetsim:"):
        texts.append(demonstration(embedded, "--"))
    released = settings.method == "samodal" and settings.preset == "released"
    if released and not settings.tracker.startswith("cotracker1:"):
        texts.append(OTHER_TRACKER.format(settings.tracker, TRACKERS["cotracker1"].needs))
    if settings.backend != "torch" and (others := _without_backend(settings)):
        texts.append(f"--backend {settings.backend} changes nothing in the {' and the '.join(others)}.")
    if unused := _without_effect(settings, many or settings.data is not None):
        texts.append(f"Without effect in this run: {', '.join(f'--{name}' for name in unused)}.")
    return texts


def _without_effect(settings: RunSettings, many: bool) -> list[str]:
    """The settings that are given and that nothing of this run takes."""
    names = not_taken(settings.method) + ([] if settings.overlay else ["draw", "graph"])
    names += [] if many else ["workers"]
    return [name for name in names if getattr(settings, name) != getattr(RunSettings(), name)]


def _without_backend(settings: RunSettings) -> list[str]:
    """The parts of a run that do not know what `--backend` names, in words."""
    chosen = with_segmenter(settings)
    vis = chosen.vis or ("truth" if chosen.data else EMBEDDED_FRONT_END["vis"])
    parts = [(FRONT_ENDS, vis, "front end")]
    ours = chosen.method == "samodal"
    parts.append((SEGMENTERS, chosen.segmenter, "segmenter") if ours else (METHODS, chosen.method, "method"))
    named = [(table, split(text, table)[0], what) for table, text, what in parts]

    def knows(table: Any, name: str, what: str) -> bool:
        return knows_backend(find(table, name, what), settings.backend)

    return [f"{what} {name}" for table, name, what in named if not knows(table, name, what)]
