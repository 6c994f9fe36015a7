"""Which visible instances a segmenter is asked about, what of its answers is taken, and how a result lists them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from samodal.method.rules import Rules
from samodal.parts import Prediction
from samodal.tracks import Instance, State, VisibleInstance


def parted(visible: Iterable[VisibleInstance], rules: Rules) -> tuple[list[VisibleInstance], list[VisibleInstance]]:
    """The instances that are prompted, and those of which too little is visible (rule `min_visible`)."""
    least = rules.min_visible or 1
    return [i for i in visible if i.mask.area >= least], [i for i in visible if i.mask.area < least]


def taken(answer: Prediction, instance: VisibleInstance, rules: Rules) -> tuple[Prediction, State, float]:
    """The answer that stands for a visible instance, with its state and score (`min_cover`, `unite`, `frame_score`)."""
    visible, state = instance.mask, State.VISIBLE
    if rules.min_cover is not None and answer.amodal.overlap(visible) / visible.area < rules.min_cover:
        answer, state = Prediction(visible, answer.iou), State.KEPT
    elif rules.unite:
        answer = answer.united(visible)
    trusted = rules.frame_score == "iou" or instance.score is None
    return answer, state, answer.iou * (1.0 if trusted else instance.score)


def in_order(
    instances: Sequence[Instance], ids: Sequence[int | str], visible: Iterable[VisibleInstance]
) -> tuple[Instance, ...]:
    """The instances of a frame by the order of `ids`, unknown ones last, with what is told of their return."""
    order, back = {key: n for n, key in enumerate(ids)}, {i.id: i.returned for i in visible}
    listed = sorted(instances, key=lambda instance: order.get(instance.id, len(order)))
    return tuple(i if back.get(i.id) is None else replace(i, returned=back[i.id]) for i in listed)
