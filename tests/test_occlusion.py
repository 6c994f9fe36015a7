"""Who hides whom in a frame, and what a segmenter may say beside its mask."""

import numpy as np
import pytest

from made_up import SIZE, Oracle, image_of, square
from samodal.confidence import Confidence
from samodal.masks import Mask
from samodal.method.pipeline import Pipeline
from samodal.method.rules import preset
from samodal.occlusion import LEAST_PIXELS, LEAST_SHARE
from samodal.parts import Decoded
from samodal.trackers.still import Still
from samodal.tracks import FrameResult, Instance, State, VisibleInstance

FRAME = (40, 60)


def box(x0: int, x1: int, size=FRAME, rows=(10, 20)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[slice(*rows), x0:x1] = True
    return mask


def instance(key, visible, amodal) -> Instance:
    """An instance of whole-frame masks; None or an empty one where nothing is visible."""
    shown = None if visible is None or not visible.any() else visible
    return Instance(key, "car", 0.5, State.HIDDEN if shown is None else State.VISIBLE, shown, amodal)


def three_in_a_row() -> FrameResult:
    """Front covers columns 0 to 10, middle 5 to 25, back 10 to 30: each hides what stands behind it."""
    front, middle, back = box(0, 10), box(5, 25), box(10, 30)
    shown = [front, middle & ~front, back & ~front & ~middle]
    wholes = [front, middle, back]
    keys = ("front", "middle", "back")
    return FrameResult(0, 0.0, tuple(instance(*parts) for parts in zip(keys, shown, wholes, strict=True)))


def test_of_three_boxes_each_is_hidden_by_the_box_whose_visible_pixels_lie_on_it():
    frame = three_in_a_row()
    assert frame.hidden_by == {"front": (), "middle": (("front", 0.25),), "back": (("middle", 0.75),)}
    assert frame.edges() == [("middle", "back", 0.75), ("front", "middle", 0.25)]


def test_a_fully_hidden_instance_is_hidden_by_all_that_stand_before_it_largest_share_first():
    left, right, hidden = box(0, 12), box(12, 30), box(8, 20)
    frame = FrameResult(0, 0.0, (instance(1, left, left), instance(2, right, right), instance(3, None, hidden)))
    assert frame.hidden_by[3] == ((2, pytest.approx(8 / 12)), (1, pytest.approx(4 / 12)))
    assert frame.hidden_by[1] == frame.hidden_by[2] == ()


def test_nothing_hides_what_is_visible_and_no_instance_hides_itself():
    both = box(0, 20)  # a front end may report one pixel twice
    frame = FrameResult(0, 0.0, (instance(1, both, both), instance(2, both, both), instance(3, both, None)))
    assert frame.edges() == []


def test_a_lost_instance_without_a_mask_has_an_empty_entry():
    lost = Instance(9, "car", None, State.LOST, None, None)
    assert FrameResult(0, 0.0, (lost,)).hidden_by == {9: ()}


def test_a_few_covered_pixels_and_a_small_share_are_left_out():
    small, large = box(0, 9, rows=(0, 1)), box(0, 50, (200, 60), (0, 100))
    # 3 of 9 pixels are few; of 5000 pixels, 0.5 % are 25.
    for whole, covered, edges in ((small, 3, 0), (small, 4, 1), (large, 24, 0), (large, 25, 1)):
        front = box(0, covered, whole.shape, (0, 1))
        frame = FrameResult(0, 0.0, (instance(1, front, front), instance(2, None, whole)))
        assert len(frame.edges()) == edges


def slowly(frame: FrameResult) -> dict:
    """The same graph from whole frames, pixel by pixel."""
    empty = np.zeros(FRAME, bool)
    wholes = {i.id: empty if i.amodal is None else i.amodal.decode() for i in frame}
    shown = {i.id: empty if i.visible is None else i.visible.decode() for i in frame}
    graph = {}
    for key, whole in wholes.items():
        covered = {other: int((whole & ~shown[key] & shown[other]).sum()) for other in shown if other != key}
        least = max(LEAST_PIXELS, LEAST_SHARE * whole.sum())
        edges = [(other, count / whole.sum()) for other, count in covered.items() if whole.any() and count >= least]
        graph[key] = tuple(sorted(edges, key=lambda edge: -edge[1]))
    return graph


def test_the_graph_is_that_of_a_judge_who_looks_at_whole_frames():
    rng = np.random.default_rng(3)
    edges = 0
    for _ in range(40):
        instances = []
        for key in range(8):
            x, y, w, h = (int(n) for n in rng.integers((0, 0, 1, 1), (55, 35, 30, 20)))
            whole = np.zeros(FRAME, bool)
            whole[y : y + h, x : x + w] = rng.random(whole[y : y + h, x : x + w].shape) < 0.9
            instances.append(instance(key, whole & (rng.random(FRAME) < rng.choice([0, 0.5, 1])), whole))
        frame = FrameResult(0, 0.0, tuple(instances))
        assert frame.hidden_by == slowly(frame)
        edges += len(frame.edges())
    assert edges > 100


class Talkative(Oracle):
    """Says everything that a segmenter can say; what it completes reaches 6 pixels over the left border."""

    def decode(self, features, prompts, index):
        mask = Mask.of(square(0))
        further = Mask(SIZE, -6, 20, np.ones((16, 22), bool))
        small = Mask.of(square(0, side=8))
        return Decoded(
            amodal=[mask] * len(prompts),
            iou=[0.8] * len(prompts),
            beyond=[further] * len(prompts),
            spread=np.tile(np.float32([1, 2, 3, 4]), (len(prompts), 1)),
            hypotheses=[(small, mask, mask)] * len(prompts),
            confidence=[Confidence.of(-6, 20, np.ones((16, 22)))] * len(prompts),
        )


def shown_by(segmenter, mask, **rules) -> Instance:
    pipeline = Pipeline(segmenter, Still(), preset("default", **rules))
    return pipeline.step(image_of(0, mask), [VisibleInstance(1, "car", 0.5, mask)]).instances[0]


def test_what_a_segmenter_says_beside_its_mask_arrives_with_the_instance():
    visible = square(0) | square(4, y=34, side=4)
    seen = shown_by(Talkative([[visible]]), visible)
    assert seen.state == State.VISIBLE and seen.expected_iou == 0.8 and seen.score == pytest.approx(0.4)
    assert seen.spread.tolist() == [1, 2, 3, 4]
    assert seen.confidence.whole(SIZE).sum() == 16 * 16


def test_every_mask_of_an_instance_has_the_visible_pixels_and_what_lies_beyond_the_frame_has_the_amodal_mask():
    visible = square(0) | square(4, y=34, side=4)
    seen = shown_by(Talkative([[visible]]), visible)
    small, given, large = seen.hypotheses
    assert given == seen.amodal == large and not Mask.of(visible).minus(small)
    assert seen.beyond.box == (-6, 20, 16, 38) and seen.beyond.area == 6 * 16 + seen.amodal.area
    assert seen.beyond.clipped() == seen.amodal


def test_where_the_visible_mask_stands_alone_the_rest_of_the_prediction_is_dropped():
    visible = square(60)
    seen = shown_by(Talkative([[visible]]), visible)
    assert seen.state == State.KEPT and seen.amodal == Mask.of(visible) and seen.expected_iou == 0.8
    assert (seen.beyond, seen.spread, seen.hypotheses, seen.confidence) == (None,) * 4


def test_a_segmenter_that_gives_masks_alone_leaves_the_rest_open():
    seen = shown_by(Oracle([[square(0)]]), square(0))
    assert seen.expected_iou == pytest.approx(0.8)
    assert (seen.beyond, seen.spread, seen.hypotheses, seen.confidence) == (None,) * 4


def test_a_segmenter_that_forgets_a_prompt_is_found_out():
    with pytest.raises(ValueError, match="shorter"):
        Decoded([Mask.of(square(0))] * 2, [0.5] * 2, spread=np.zeros((1, 4), np.float32)).predictions()


def test_confidence_is_laid_on_the_frame_and_cut_at_its_border():
    whole = Confidence.of(-1, 2, np.array([[1.0, 0.5, 0.0]])).whole((4, 3))
    assert whole.tolist() == [[0] * 3, [0] * 3, [pytest.approx(0.5, abs=0.01), 0, 0], [0] * 3]
    assert Confidence.of(9, 9, np.ones((2, 2))).whole((4, 3)).sum() == 0
