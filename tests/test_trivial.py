"""The trivial methods on the made-up clip."""

import numpy as np

from made_up import passing_square, square
from samodal.baselines.trivial import ConstantVelocity, CopyVisible, HoldLast, Hull, HullFront
from samodal.method.rules import preset
from samodal.parts import Frame, Observed
from samodal.tracks import State, VisibleInstance


def observed(masks):
    frame = np.zeros((60, 120, 3), np.uint8)
    return [
        Observed(Frame(t, t / 10, frame, str(t)), [] if m is None else [VisibleInstance(1, "car", None, m)])
        for t, m in enumerate(masks)
    ]


def test_copy_visible_and_hull_say_nothing_while_hidden():
    _, clip = passing_square()
    for method in (CopyVisible(), Hull(), HullFront()):
        for one, result in zip(clip, method.run("clip", clip), strict=True):
            assert [i.id for i in result.instances] == [v.id for v in one.visible]


def test_the_hull_of_two_parts_covers_what_lies_between():
    two = square(10, side=10) | square(40, side=10)
    (result,) = Hull().run("clip", observed([two]))
    assert np.array_equal(result.instances[0].amodal.decode()[20:30, 10:50], np.ones((10, 40), bool))
    assert result.instances[0].amodal.area == 400


def test_hold_last_keeps_the_last_mask_and_forgets_it_in_the_end():
    mask = square(40)
    results = list(HoldLast(preset("default", remember_s=0.25)).run("clip", observed([mask, None, None, None])))
    held = [r.instances[0] for r in results[1:3]]
    assert all(one.state == State.HIDDEN and np.array_equal(one.amodal.decode(), mask) for one in held)
    assert results[3].instances == ()


def test_constant_velocity_moves_it_on_and_out_of_the_image():
    results = list(ConstantVelocity().run("clip", observed([square(60), square(76), None, None, None])))
    assert results[2].instances[0].amodal.box[:2] == (92, 20)
    assert results[3].instances == () == results[4].instances


def test_an_instance_that_left_over_the_edge_does_not_come_back_by_itself():
    results = list(HoldLast().run("clip", observed([square(100, side=20), None, None])))
    assert [len(r.instances) for r in results] == [1, 0, 0]


def test_hull_front_completes_an_instance_behind_its_neighbour_and_leaves_the_neighbour_as_it_is():
    frame = Frame(0, 0.0, np.zeros((60, 120, 3), np.uint8), "0")
    behind = square(10, side=30)
    front = np.zeros_like(behind)
    front[30:60, 20:30] = True
    visible = [VisibleInstance(1, "car", None, behind & ~front), VisibleInstance(2, "person", None, front)]
    (result,) = HullFront().run("clip", [Observed(frame, visible)])
    assert np.array_equal(result[1].amodal.decode(), behind)
    assert np.array_equal(result[2].amodal.decode(), front)
