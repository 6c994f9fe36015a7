"""S-AModal on one page (paper, Algorithm 1, Figures 2 and 3), online, one frame at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from samodal.masks import Rle, merged, move_mask, union
from samodal.method.cuts import CutDetector
from samodal.method.hidden import advance, centre, is_lost, note_cover, over_the_border
from samodal.method.memory import PointMemory, Remembered, Seen
from samodal.method.prompts.prompt import Prompt
from samodal.method.prompts.spread import spread_points
from samodal.method.rules import Rules
from samodal.parts import PointTracker, PromptSelector, Segmenter
from samodal.seeds import generator
from samodal.tracks import FrameResult, Instance, State, VisibleInstance


class Pipeline:
    """Visible instances in, visible and hidden amodal instances out.

    Args:
        segmenter: the amodal SAM.
        tracker: follows the points of hidden instances.
        select: chooses the prompt of each visible instance.
        rules: see `samodal.method.rules`.
        seed: of the random prompts, with the clip, the instance and the frame.
    """

    def __init__(
        self, segmenter: Segmenter, tracker: PointTracker, select: PromptSelector, rules: Rules, seed: int = 0
    ):
        self.segmenter, self.tracker, self.select = segmenter, tracker, select
        self.rules, self.seed = rules, seed
        self.cuts = None if rules.cut is None else CutDetector(rules.cut)
        self.reset()

    def reset(self, clip: str = "") -> None:
        """Forget everything: the next frame is frame 0 of another video, named `clip`."""
        self.clip, self.t, self.time = clip, -1, 0.0
        self.memory = PointMemory(self.rules.memory_tuples, self.rules.memory_instances)
        self.tracker.reset()
        if self.cuts is not None:
            self.cuts.reset()

    def step(self, frame: np.ndarray, visible: Sequence[VisibleInstance], time: float | None = None) -> FrameResult:
        """One frame of Figure 2.

        Args:
            frame: (H, W, 3) uint8 RGB.
            visible: what the front end reports in it.
            time: seconds from the start of the video; None counts on at 10 frames a second.
        """
        self.t, self.time = self.t + 1, (self.t + 1) / 10 if time is None else time
        cut = self.cuts is not None and self.cuts.step(frame)
        if cut:
            self.memory.clear()
            self.tracker.reset()
        self.tracker.observe(frame, self.t)

        shown, slivers = self._split(visible)
        prompts = self._select(frame, shown)
        amodal, scores = self._segment(frame, shown, prompts)
        seen = [self._remember(*one) for one in zip(shown, prompts, amodal, scores, strict=True)]

        # Memory check and retrieval: points are followed, and masks moved, for all that was not prompted now. What was
        # prompted but not found is followed as well: its last mask is the one to move once it is missing.
        # Slivers first seen now are not remembered yet; they stand with their visible mask, as all do without tracking.
        by_id, prompted = {one.id: one for one in slivers}, {one.id for one in seen}
        unseen = self.memory.missing(one.id for one in seen if one.amodal is not None) if self.rules.track else []
        followed = self._follow(unseen, visible)
        in_front = merged([one.mask for one in visible], frame.shape[:2])
        missing = [one for one in unseen if one.id not in prompted]
        hidden = [self._move(one, followed.get(one.id), by_id.pop(one.id, None), in_front) for one in missing]
        stray = [self._keep(one) for one in by_id.values()]

        for key in self.memory.forget(self.time, self.rules.remember_s):
            self.tracker.drop(key)
        order = {one.id: n for n, one in enumerate(self.memory)}
        instances = [*seen, *(one for one in hidden if one is not None), *stray]
        ordered = sorted(instances, key=lambda i: order.get(i.id, len(order)))
        return FrameResult(self.t, self.time, tuple(ordered), cut)

    def _split(self, visible: Sequence[VisibleInstance]) -> tuple[list[VisibleInstance], list[VisibleInstance]]:
        """The instances to prompt from, and the slivers (rule `min_visible`)."""
        least = self.rules.min_visible or 1
        slivers = [one for one in visible if np.count_nonzero(one.mask) < least]
        return [one for one in visible if one not in slivers], slivers

    def _select(self, frame: np.ndarray, shown: Sequence[VisibleInstance]) -> list[Prompt]:
        """Algorithm 1, first half: K point prompts from each visible mask."""
        masks = [one.mask for one in shown]
        return [
            self.select(frame, one.mask, masks[:n] + masks[n + 1 :], generator(self.seed, self.clip, one.id, self.t))
            for n, one in enumerate(shown)
        ]

    def _segment(self, frame: np.ndarray, shown: Sequence[VisibleInstance], prompts: Sequence[Prompt]):
        """Algorithm 1, second half: embed once, decode all prompts in one batch. (N, H, W) bool and (N,) scores."""
        if not shown:
            return [], []
        features = self.segmenter.encode([frame])
        decoded = self.segmenter.decode(features, prompts, [0] * len(prompts))
        # Down the columns, as masks are coded and decoded: operations on masks of two layouts are many times slower.
        inside = (decoded.amodal > 0).transpose(1, 2).contiguous().numpy(force=True).transpose(0, 2, 1)
        return inside, decoded.iou.float().numpy(force=True).tolist()

    def _remember(self, one: VisibleInstance, prompt: Prompt, mask: np.ndarray, iou: float) -> Instance:
        """Apply the rules to a predicted mask, and store points and mask in the point memory."""
        rules, visible, state = self.rules, Rle.encode(one.mask), State.VISIBLE
        cover = np.count_nonzero(mask & one.mask) / np.count_nonzero(one.mask)
        if rules.min_cover is not None and cover < rules.min_cover:
            mask, state = one.mask, State.KEPT
        elif rules.unite:
            mask = mask | one.mask
        amodal = Rle.encode(mask) if mask.any() else None
        score = iou * (one.score if rules.frame_score == "iou_x_vis" and one.score is not None else 1.0)
        if amodal is not None:
            self.memory.store(one.id, one.category, Seen(self.t, self.time, prompt.points, visible, amodal, score))
            self.tracker.drop(one.id)
        return Instance(one.id, one.category, score, state, visible, amodal, points=prompt.points)

    def _keep(self, one: VisibleInstance) -> Instance:
        """A sliver of something never seen better, or not to be tracked: its visible mask is all that is known."""
        visible = Rle.encode(one.mask)
        return Instance(one.id, one.category, one.score, State.KEPT, visible, visible)

    def _follow(self, missing: Sequence[Remembered], visible: Sequence[VisibleInstance]) -> dict[Any, np.ndarray]:
        """Point tracking (Figure 3): brings the motion of what is missing to this frame.

        Returns:
            {id: (N, 2) where its points are now}
        """
        for one in missing:
            if one.start is None and not one.gone:
                one.choose_anchor(self.t, self.rules.anchor_s)
                one.start = self._points(one.anchor)
                self.tracker.add(one.id, one.start, one.anchor.t)
        positions = self.tracker.positions()
        for one in missing:
            position = positions.get(one.id)
            if self.rules.motion == "robust":
                others = [v.mask for v in visible if v.id != one.id]
                advance(one, position, others, self.t, self.time, self.rules)
            elif position is not None:
                self._displace(one, *position)
        return {key: xy for key, (xy, *_) in positions.items()}

    def _points(self, anchor: Seen) -> np.ndarray:
        """(N, 2) the points to follow from an anchor (rule `follow`)."""
        if self.rules.follow is None:
            return anchor.prompt
        return spread_points(anchor.visible.decode(), anchor.prompt, self.rules.follow)

    def _displace(self, one: Remembered, xy: np.ndarray, visible: np.ndarray, _) -> None:
        """The paper's motion: mean displacement of the points since the instance was last prompted."""
        believed = visible if self.rules.motion == "believed" else np.full(len(xy), self.rules.motion == "points")
        # The paper adds the step from frame to frame; the sum of the steps since the last prompt is the same
        # without a rounding error in each.
        steps = (xy - one.start)[believed]
        one.shift = steps.mean(axis=0) if believed.any() else one.shift + one.velocity()

    def _clamped(self, one: Remembered) -> np.ndarray:
        """(2,) the shift, within the limit of the rule `clamp`."""
        if not self.rules.clamp:
            return one.shift
        limit = one.mean_step() * (self.t - one.anchor.t)
        return np.clip(one.shift, -limit, limit)

    def _move(
        self,
        one: Remembered,
        followed: np.ndarray | None,
        sliver: VisibleInstance | None,
        in_front: np.ndarray,
    ) -> Instance | None:
        """Move the anchor's amodal mask along; None once the instance has left the image."""
        shift, moved = self._clamped(one), None
        if not one.gone and np.isfinite(shift).all():
            moved = move_mask(one.anchor.amodal.decode(), shift, one.scale, centre(one))
        if sliver is None and (moved is None or self._left(moved, in_front)):
            one.gone = True
            self.tracker.drop(one.id)
            return None
        if sliver is None and self._is_lost(one, moved, in_front):
            return self._lost(one)
        parts = [Rle.encode(moved)] if moved is not None and moved.any() else []
        visible = Rle.encode(sliver.mask) if sliver is not None else None
        if visible is not None:
            parts.append(visible)
        leaving = self.rules.leaving is not None and moved is not None and over_the_border(one)
        seconds = self.time - one.last.time
        return Instance(
            one.id,
            one.category,
            None if one.score is None else one.score * self.rules.decay**seconds,
            State.LEAVING if leaving else State.HIDDEN,
            visible,
            union(parts),
            points=one.points,
            followed=followed,
            frames_since_seen=0 if sliver is not None else self.t - one.last.t,
            seconds_since_seen=0.0 if sliver is not None else seconds,
        )

    def _is_lost(self, one: Remembered, moved: np.ndarray, in_front: np.ndarray) -> bool:
        """Once lost it stays so until it is reported again."""
        if not is_lost(one, self.time, self.rules):
            note_cover(one, moved, in_front, self.time)
        return is_lost(one, self.time, self.rules)

    def _lost(self, one: Remembered) -> Instance:
        """Known, but not where: no mask, so no ghost."""
        frames, seconds = self.t - one.last.t, self.time - one.last.time
        return Instance(
            one.id, one.category, None, State.LOST, None, None, frames_since_seen=frames, seconds_since_seen=seconds
        )

    def _left(self, moved: np.ndarray, in_front: np.ndarray) -> bool:
        """Border rule: outside the image, or within `border` pixels of its left or right edge and nothing hides it."""
        if not moved.any():
            return True
        if self.rules.border is None:
            return False
        columns = np.flatnonzero(moved.any(axis=0))
        margin = self.rules.border
        if margin < columns[0] and columns[-1] < moved.shape[1] - 1 - margin:
            return False
        return self.rules.leaving is None or in_front[moved].mean() < self.rules.leaving

    def state_dict(self) -> dict:
        """Everything needed to go on elsewhere with the same parts and rules."""
        own = {"clip": self.clip, "t": self.t, "time": self.time, "memory": self.memory.state()}
        return own | {"tracker": self.tracker.state(), "cuts": None if self.cuts is None else self.cuts.state()}

    def load_state_dict(self, state: dict) -> None:
        """Go on from `state_dict()`; the next step is the frame after it."""
        self.clip, self.t, self.time = state["clip"], state["t"], state["time"]
        self.memory.load_state(state["memory"])
        self.tracker.load_state(state["tracker"])
        if self.cuts is not None:
            self.cuts.load_state(state["cuts"])
