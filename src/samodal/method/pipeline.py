"""S-AModal on one page (paper, Algorithm 1, Figures 2 and 3), online, one frame at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from samodal.method.answers import in_order, parted, taken
from samodal.method.camera import CameraMotion
from samodal.method.checks import alike, check_frame, check_taken, checked_time, take
from samodal.method.cuts import CutDetector
from samodal.method.hidden import HiddenPhase, Surroundings, patch_of
from samodal.method.history import Seen
from samodal.method.memory import PointMemory, Remembered
from samodal.method.prompts.choose import make_selector, select_all
from samodal.method.restore import restore
from samodal.method.rules import Rules
from samodal.parts import Features, Observed, PointTracker, Prediction, Prompt, PromptSelector, Segmenter
from samodal.seeds import generator
from samodal.tracks import FrameResult, Instance, State, VisibleInstance


class Pipeline:
    """Visible instances in, visible and hidden amodal instances out.

    Args:
        segmenter: the amodal SAM.
        tracker: follows the points of hidden instances; it serves one pipeline at a time, the one that was reset last.
        rules: see `samodal.method.rules`.
        seed: of the random prompts, with the clip, the instance and the frame.
        select: chooses the prompt of each visible instance; None: as the rules say.
    """

    def __init__(self, segmenter: Segmenter, tracker: PointTracker, rules: Rules, seed: int = 0,
                 select: PromptSelector | None = None):  # fmt: skip
        self.segmenter, self.tracker, self.rules, self.seed = segmenter, tracker, rules, seed
        self.select = select or make_selector(rules.prompt, rules.points)
        self.cuts, self.camera = CutDetector(rules.cut), CameraMotion(rules.motion == "filter")
        self.reset()

    def reset(self, clip: str = "") -> None:
        """Forget everything: the next frame is frame 0 of another video, named `clip`."""
        self.clip, self.t, self.time, self.size = clip, -1, 0.0, None
        self._asked: dict[int, tuple[list[Prompt], list[Prediction]]] = {}  # of frames to come
        self.memory = PointMemory(self.rules.memory_tuples, self.rules.memory_instances, self.rules.earlier is not None)
        for part in (take(self.tracker, self), self.cuts, self.camera):
            part.reset()

    def run(self, clip: str, observed: Iterable[Observed]) -> Iterator[FrameResult]:
        """All frames of a clip, each with what the front end saw in it."""
        self.reset(clip)
        for seen in observed:
            yield self.step(seen.frame.image, seen.visible, seen.frame.time)

    def step(self, image: np.ndarray, visible: Iterable[VisibleInstance], time: float | None = None) -> FrameResult:
        """One frame of Figure 2.

        Args:
            image: (H, W, 3) uint8 RGB.
            visible: what the front end reports in it.
            time: seconds from the start of the video; None counts on at 10 frames a second.

        Raises:
            InputError: for an image, a time or instances that cannot be of this frame; nothing has changed then.
        """
        check_taken(self.tracker, self)
        size, time = check_frame(image, visible, self.size), checked_time(time, self.t + 1, self.time)
        self.size, self.t, self.time = size, self.t + 1, time
        (shown, slivers), asked = parted(visible, self.rules), self._asked.pop(self.t, None)
        features = self.segmenter.encode([image]) if shown and asked is None else None  # first: a GPU works meanwhile
        grey = self.camera.look(image, visible)  # another thread works, too
        if cut := self.cuts.step(image, time, grey):
            for part in (self.memory, self.tracker, self.camera):
                part.reset()
        self.tracker.observe(image, self.t)
        prompts = self._select(image, shown, self.t) if asked is None else asked[0]
        answers = self._segment(features, prompts) if asked is None else asked[1]
        self.view = self.camera.step(image, visible, time)
        seen = [self._remember(*found) for found in zip(shown, prompts, answers, strict=True)]
        self.camera.learn_sizes(seen)

        # Memory check and retrieval, for all that was not found. Slivers first seen now stand with their visible mask.
        found = [instance.id for instance in seen if instance.amodal is not None]
        missing = self.memory.missing(found, self.rules.min_score) if self.rules.track else []
        hidden = self._follow(missing, visible, {sliver.id: sliver.mask for sliver in slivers}, {i.id for i in shown})
        stray = [Instance.copied(sliver, State.KEPT) for sliver in slivers if all(m.id != sliver.id for m in missing)]
        for key in self.memory.forget(self.time, self.rules.remember_s):
            self.tracker.drop(key)
        instances = in_order([*seen, *hidden, *stray], [known.id for known in self.memory], visible)
        return FrameResult(self.t, self.time, instances, cut, image)

    def ask(self, frames: Sequence[Observed]) -> None:
        """Segment frames to come, in another thread; not where shapes of frames before are told (rule `earlier`)."""
        if self.rules.earlier is None:
            seen = [(one.frame.image, parted(one.visible, self.rules)[0], one.frame.t) for one in alike(frames)]
            asked = [self._select(*one) for one in seen]
            answers = iter(self._segment(self.segmenter.encode([s[0] for s in seen]) if any(asked) else None, *asked))
            self._asked |= {s[2]: (p, [next(answers) for _ in p]) for s, p in zip(seen, asked, strict=True)}

    def _select(self, image: np.ndarray, shown: Sequence[VisibleInstance], t: int) -> list[Prompt]:
        """Algorithm 1, first half: K point prompts from each visible mask, and what more a segmenter may be told."""
        masks = [instance.mask for instance in shown]
        random = [generator(self.seed, self.clip, instance.id, t) for instance in shown]
        prompts = select_all(self.select, image, masks, random)
        earlier = [self.memory.shape(i.id, i.mask, t, self.rules.earlier) for i in shown]
        return [p.told(category=i.category, earlier=e) for p, i, e in zip(prompts, shown, earlier, strict=True)]

    def _segment(self, features: Features | None, *prompts: Sequence[Prompt]) -> list[Prediction]:
        """Algorithm 1, second half: of each frame, embedded once, decode all prompts in one batch."""
        every, index = sum(map(list, prompts), []), [n for n, own in enumerate(prompts) for _ in own]
        return self.segmenter.decode(features, every, index).predictions() if every else []

    def _remember(self, instance: VisibleInstance, prompt: Prompt, answer: Prediction) -> Instance:
        """Apply the rules to a predicted mask, and store prompt and mask in the point memory."""
        answer, state, score = taken(answer, instance, self.rules)
        amodal, visible = answer.amodal or None, instance.mask
        if amodal is not None:
            shown = Seen(self.t, self.time, prompt.points, visible, amodal, score, answer.iou)
            self.memory.store(instance, shown, self.view)
            self.tracker.drop(instance.id)
        return Instance(instance.id, instance.category, score, state, visible, amodal, prompt.points, **answer.details)

    def _follow(self, missing: Sequence[Remembered], visible: Sequence[VisibleInstance], slivers: dict, prompted: set):
        """Point tracking (Figure 3): brings what is missing to this frame; gives what is to be reported of it."""
        phases = [(remembered.id, remembered, remembered.phase or self._begin(remembered)) for remembered in missing]
        positions, hidden = self.tracker.positions(), []
        for key, remembered, phase in phases:
            others = [instance.mask for instance in visible if instance.id != key]
            around = Surroundings(self.t, self.time, others, slivers.get(key), key in prompted, self.view)
            hidden.append(remembered.step(around, positions.get(key), phase, self.rules))
            if not phase.followed:
                self.tracker.drop(key)
        return [instance for instance in hidden if instance is not None]

    def _begin(self, remembered: Remembered) -> HiddenPhase:
        """The hidden phase of what is missing for the first time; its points are followed from now on."""
        remembered.phase = HiddenPhase.begin(remembered.history, self.t, self.rules, patch_of(self.tracker))
        self.tracker.add(remembered.id, remembered.phase.start, remembered.phase.anchor.t)
        return remembered.phase

    def state_dict(self) -> dict:
        """Everything needed to go on elsewhere with the same parts and rules."""
        parts = {name: getattr(self, name).state() for name in ("memory", "tracker", "cuts", "camera")}
        return {"clip": self.clip, "t": self.t, "time": self.time, "size": self.size} | parts

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict()`, checked by `samodal.method.restore`; the next step is the frame after."""
        self.reset()
        self.clip, self.t, self.time, self.size = restore(state, self.memory, self.tracker, self.cuts, self.camera)
