"""The way in from Python: `samodal.load()` gives a tracker; it takes a video or one frame after another."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from samodal.build import (
    EMBEDDED_FRONT_END,
    check_settings,
    demonstration,
    embedded_models,
    found_device,
    make_front_end,
    make_rules,
    opened,
    refuse_live,
    segmenter_of,
    teachable,
    with_best,
    with_details,
    with_segmenter,
)
from samodal.errors import InputError
from samodal.making import PROTOCOLS, checked, make_tracker
from samodal.method.checks import check_frame, checked_time, listed, reported
from samodal.method.hindsight import Hindsight
from samodal.method.pipeline import Pipeline
from samodal.method.rules import Rules
from samodal.parts import Frame, FrontEnd, LearningSession, PointTracker, Segmenter, Video
from samodal.settings import RunSettings
from samodal.tracks import Clip, FrameResult, VisibleInstance
from samodal.video import open_video
from samodal.views.frame import FrameView


def load(
    weights: str | Path | None = None,
    *,
    preset: str = RunSettings.preset,
    rules: dict[str, Any] | None = None,
    segmenter: str | Segmenter | None = None,
    tracker: str | PointTracker = RunSettings.tracker,
    vis: str | FrontEnd | None = None,
    reassociate: bool | None = None,
    device: str = "auto",
    seed: int = 0,
    details: bool = False,
    offline: bool = False,
) -> AmodalTracker:
    """An amodal tracker; without arguments with the embedded models and the preset `default`.

    Every argument is the flag of `samodal run` of the same name. Parts are named, or given as objects. Where embedded
    weights are taken that know a simulator only (all but `detector` and the completer), the logger "samodal" says so
    once (`logging.getLogger("samodal").setLevel("ERROR")`: never).

    Args:
        weights: of the segmenter: an embedded name, a checkpoint file, or a Hugging Face name or folder; None: those
            that come with it.
        preset: default, points, paper or released.
        rules: single rules changed, see `samodal.Rules`.
        segmenter: NAME[:ARGUMENT], or an object (`samodal.parts.Segmenter`). None: that of the preset.
        tracker: point tracker, NAME[:ARGUMENT], or an object (`samodal.parts.PointTracker`).
        vis: front end that gives the visible masks, NAME[:ARGUMENT], or an object (`samodal.parts.FrontEnd`). None:
            the embedded one, where no visible masks are given.
        reassociate: repair the ids of the front end; None: of the embedded one alone.
        device: auto, cpu, cuda, cuda:1, mps.
        seed: of random prompts.
        details: give `Instance.hypotheses` and `Instance.confidence`, where the segmenter has them.
        offline: hindsight: improve the masks in gaps by what comes after them. `stream` then gives frames late, and
            `step` is refused.

    Raises:
        InputError: for a name, a rule, a device or a file that does not exist, or a part that cannot be used.
    """
    named = {"segmenter": segmenter, "point tracker": tracker, "front end": vis}
    objects = {what: part for what, part in named.items() if part is not None and not isinstance(part, str)}
    for what, part in objects.items():
        checked(part, PROTOCOLS[what], what)
    settings = RunSettings(
        vis=vis if isinstance(vis, str) else None,
        preset=preset,
        rules=rules or {},
        segmenter=segmenter if isinstance(segmenter, str) else None,
        tracker=tracker if isinstance(tracker, str) else RunSettings.tracker,
        weights=None if weights is None else str(weights),
        device=device,
        seed=seed,
        details=details,
        offline=offline,
    )
    check_settings(settings)
    settings, reason = with_best(settings)
    if reason:
        _tell(reason)
    _tell_of_embedded(settings, objects)
    pipeline = _pipeline(with_segmenter(settings), objects)
    if vis is None:
        settings = replace(settings, **EMBEDDED_FRONT_END)
    if reassociate is not None:
        settings = replace(settings, reassociate=reassociate)
    return AmodalTracker(pipeline, settings, objects.get("front end"))


def _pipeline(settings: RunSettings, objects: dict[str, Any]) -> Pipeline:
    """The method with the parts that the settings name, or with those that are given as objects."""
    device = found_device(settings.device)
    segmenter = objects.get("segmenter") or segmenter_of(settings.segmenter, settings.weights, device)
    tracker = objects.get("point tracker") or make_tracker(settings.tracker, device)
    return Pipeline(with_details(segmenter, settings.details), tracker, make_rules(settings), settings.seed)


def _tell_of_embedded(settings: RunSettings, objects: dict[str, Any]) -> None:
    """Log what the embedded models know that no object stands in for."""
    replaced = {"segmenter": "weights", "front end": "vis"}
    models = embedded_models(settings)
    for what in objects:
        models.pop(replaced.get(what, ""), None)
    if models:
        _tell(demonstration(models))


@lru_cache
def _tell(text: str) -> None:
    """Log a warning once a process."""
    logging.getLogger("samodal").warning(text)


@dataclass(frozen=True)
class LiveVideo:
    """What is known of a video whose frames come one by one: front ends are told its size, nothing else."""

    name: str
    size: tuple[int, int]
    length: int | None = None
    fps: float = 10.0
    truth: Clip | None = None
    source: str = "stream"
    number: int | None = None
    detections: Clip | None = None

    def __iter__(self) -> Iterator[Frame]:
        raise InputError("frames of a stream come one by one, and cannot be read ahead")


class AmodalTracker:
    """Finds and follows whole objects through one video at a time; made by `samodal.load`.

    Args:
        pipeline: the method.
        settings: name the front end where none is given.
        front_end: sees where no visible masks are given.

    Attributes:
        rules: of the method.
    """

    def __init__(self, pipeline: Pipeline, settings: RunSettings, front_end: FrontEnd | None = None):
        self._pipeline, self._settings, self._front_end = pipeline, settings, front_end
        self.reset()

    @property
    def rules(self) -> Rules:
        return self._pipeline.rules

    def reset(self, name: str = "stream") -> None:
        """Forget everything: the next `step` is frame 0 of another video, whose name seeds random prompts."""
        self._pipeline.reset(name)
        self._session: LearningSession | None = None
        self._video: Video | None = None
        self._turn, self._fps = object(), 10.0

    def step(
        self, image: np.ndarray, visible: Iterable[VisibleInstance] | None = None, time: float | None = None
    ) -> FrameView:
        """One frame of a video, as from the callback of a camera.

        Args:
            image: (H, W, 3) uint8 RGB.
            visible: what is visible in it, with ids; None: the front end looks itself.
            time: seconds from the start of the video, never descending; None counts on at 10 frames a second.

        Raises:
            InputError: for an image, a time or instances that cannot be of this frame; nothing has changed then. Also
                with hindsight.
        """
        if self._settings.offline:
            raise InputError("step: gives a frame at once, but this tracker has hindsight (offline=True); use stream")
        return FrameView.of(self._step(image, visible, time, self._pipeline.t + 1))

    def _step(
        self, image: np.ndarray, visible: Iterable[VisibleInstance] | None, time: float | None, number: int
    ) -> FrameResult:
        """`step` with the number that the frame has for the front end: videos may leave out frames."""
        session = None
        if visible is None:
            check_frame(image, (), self._pipeline.size)
            checked_time(time, self._pipeline.t + 1, self._pipeline.time)
            session = self._session or self._open(image)
            visible = reported(session, image, number)
        result = self._pipeline.step(image, listed(visible), time)
        if session is not None:
            session.learn(result)
        return result

    def stream(
        self, source: str | Path | Video | Iterable, name: str = "stream", fps: float = 10.0
    ) -> Iterator[FrameView]:
        """The frames of a video with all instances, as they are finished.

        With hindsight a frame, with its picture, waits until the gaps in it are closed: for 12 seconds at most.

        Args:
            source: a video file, a folder of frames, `camera:0`, a stream's URL; an opened video; or an iterable of
                (H, W, 3) uint8 RGB images or of pairs (image, visible instances).
            name: of an iterable; seeds random prompts.
            fps: frames a second of an iterable; videos have times of their own.

        Raises:
            InputError: for a source that cannot be read, a frame that does not fit those before, or where another
                stream of this tracker, or `reset`, has come in between. With hindsight also for a camera or a stream.
        """
        if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < float("inf"):
            raise InputError(f"fps: expected frames a second, a number above 0, got {fps!r}")
        if isinstance(source, str | Path):
            source = open_video(source)
        if not isinstance(source, Video | Iterable):
            raise InputError(
                "source: expected a video file, a folder, a video, or an iterable of images or of pairs (image, "
                f"visible instances), got {type(source).__name__}"
            )
        video = source if isinstance(source, Video) else None
        if self._settings.offline and video is not None:
            refuse_live(video)
        self.reset(name if video is None else video.name)
        self._video, self._fps = video, fps
        results = self._results(source, name if video is None else video.name)
        if self._settings.offline:
            results = self._late(results)
        yield from map(FrameView.of, results)

    def _results(self, source: Iterable[Any], name: str) -> Iterator[FrameResult]:
        """What the method gives of each frame."""
        turn = self._turn
        for t, entry in enumerate(source):
            if self._turn is not turn:
                raise InputError(
                    f"stream {name!r}: the tracker has begun another video since; make a tracker for each with "
                    "samodal.load()"
                )
            if self._video is not None:
                yield self._step(entry.image, None, entry.time, entry.t)
                continue
            if isinstance(entry, tuple) and len(entry) != 2:
                raise InputError(f"source: expected an image or a pair (image, visible), got {len(entry)} values")
            image, visible = entry if isinstance(entry, tuple) else (entry, None)
            yield self._step(image, visible, t / self._fps, self._pipeline.t + 1)

    def _late(self, results: Iterable[FrameResult]) -> Iterator[FrameResult]:
        """The same with hindsight."""
        hindsight = Hindsight(self.rules)
        for result in results:
            yield from hindsight.add(result, self._pipeline.view)
        yield from hindsight.rest()

    def _open(self, image: np.ndarray) -> LearningSession:
        """The front end at work on the video of which this is a frame."""
        video = self._video or LiveVideo(self._pipeline.clip, tuple(np.shape(image)[:2]), fps=self._fps)
        front_end = self._front_end or make_front_end(self._settings)
        self._session = teachable(opened(front_end, video), video, self._settings.reassociate)
        return self._session
