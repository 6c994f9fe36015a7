"""StreetSim: exact truth, equal pixels everywhere, pools that share nothing."""

import hashlib
import re
import sys

import numpy as np
import pytest

from samodal.errors import InputError
from samodal.sim import splits
from samodal.sim.assets import POOLS, TEXTURES, Body, asset_names, bodies, pose, rider_on, riders
from samodal.sim.layout import scene as lay_out
from samodal.sim.mesh import Builder
from samodal.sim.scene import Actor, Camera, Scene
from samodal.sim.street import TYPES

SMALL = (270, 480)
TEN_FRAMES = "2e3ba5baf5defc136e920d417d52446437dbcf71cce01585ca1db9cae0cb6c0c"


def _box_body(name: str, width: float, height: float) -> Body:
    builder = Builder()
    builder.box((0, 0, height / 2), (width, 0.5, height), "paint")
    mesh = builder.mesh()
    return Body(name, "car", lambda phase: mesh, 1, 0.5, width)


def _scene(*boxes: tuple[float, float, float, float]) -> Scene:
    """Boxes of (x, distance, width, height) in front of a camera at 1.5 m, two frames, an empty street."""
    ground = Builder()
    ground.panel([(-50, 0, -0.1), (50, 0, -0.1), (50, 100, -0.1), (-50, 100, -0.1)], "#808080", (0, 0, 1))
    actors = tuple(
        Actor(k + 1, _box_body(f"{k} {box}", *box[2:]), {"paint": (200, 60 * k, 40)}, 1.0,
              np.array([[box[0], box[1], 0.0, 0.0]] * 2), np.zeros(2, int))
        for k, box in enumerate(boxes)
    )  # fmt: skip
    camera = Camera(0.75, np.array([[0, 0, 1.5, 0.0]] * 2), 0.0)
    street = ((None, ground.mesh()),)
    return Scene("train_0000_day", "day", (0.0, 0.1), actors, street, "sky-0", camera, (0.0, 0.0, 1.0), frozenset())


def _truth(scene: Scene, size=(540, 960)):
    from samodal.sim.stage import Stage
    from samodal.sim.truth import annotate

    stage = Stage(scene, size)
    try:
        return annotate(stage)[0]
    finally:
        stage.close()


def _front_by_hand(x: float, distance: float, width: float, height: float, size=(540, 960)) -> np.ndarray:
    """The pixels whose centres lie within the front face of a box, by the pinhole formula; it hides its other faces."""
    focal, near = 0.75 * size[1], distance - 0.25
    columns = (np.arange(size[1]) + 0.5 - size[1] / 2) / focal * near
    heights = 1.5 - (np.arange(size[0]) + 0.5 - size[0] / 2) / focal * near
    lift = 0.015
    return ((heights >= lift) & (heights <= height + lift))[:, None] & (abs(columns - x) <= width / 2)


def _grown(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    shifts = [
        padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx]
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    ]
    return np.any(shifts, axis=0)


@pytest.mark.parametrize("box", [(0.0, 10.25, 4.0, 1.6), (0.37, 7.3, 1.7, 2.2), (-1.2, 20.25, 3.1, 1.8)])
def test_an_amodal_mask_is_the_projection_worked_out_by_hand(box):
    mask = _truth(_scene(box))[0].amodal.decode()
    by_hand = _front_by_hand(*box)
    assert not (by_hand & ~mask).any()
    # The rasteriser takes every pixel that a face touches: up to one pixel more on each side.
    assert not (mask & ~_grown(by_hand)).any()


def test_a_box_behind_a_larger_one_is_hidden_and_keeps_its_whole_mask():
    near, far = (0.0, 8.25, 4.0, 2.5), (0.2, 14.25, 1.8, 1.6)
    alone = _truth(_scene(far))[0].amodal
    both = {instance.id: instance for instance in _truth(_scene(near, far, (5.0, 14.25, 1.0, 1.6)))}
    assert 2 not in both, "never visible in the clip, so not annotated"
    assert both[1].visible.area == both[1].amodal.area and both[1].depth_order == 0
    half = {instance.id: instance for instance in _truth(_scene(near, (3.2, 14.25, 1.8, 1.6)))}
    # The shadow of the near box ends at 2 m / 8 m * 14 m = 3.5 m, the far one begins at 2.3 m and is 1.8 m wide.
    assert abs(half[2].occlusion - 1.2 / 1.8) < 0.04 and half[2].depth_order == 1
    assert abs(half[2].amodal.area - alone.area) < 0.05 * alone.area


def test_an_instance_that_is_seen_once_stays_annotated_while_it_is_hidden():
    from samodal.sim.stage import Stage
    from samodal.sim.truth import annotate

    scene = _scene((0.0, 8.25, 4.0, 2.5), (0.2, 14.25, 1.8, 1.6))
    scene.actors[1].track[1, 0] = 9.0
    stage = Stage(scene, SMALL)
    first, second = annotate(stage)
    stage.close()
    assert [instance.id for instance in first] == [1, 2] and [instance.id for instance in second] == [1, 2]
    assert first[1].visible is None and first[1].occlusion == 1.0
    assert second[1].visible == second[1].amodal


def test_smaller_things_than_forty_pixels_are_not_annotated():
    found = _truth(_scene((0.0, 8.25, 1.0, 1.0), (3.0, 90.0, 0.3, 0.3)))
    assert [instance.id for instance in found] == [1]


@pytest.fixture(scope="module")
def rendered():
    from samodal.sim.render import frames

    return {name: list(frames(name, SMALL)) for name in ("train_0002_day", splits.sequences("train")[10])}


def test_visible_masks_are_disjoint_and_within_the_amodal_ones(rendered):
    for frame in (frame for clip in rendered.values() for frame in clip):
        total = np.zeros(SMALL, int)
        for instance in frame.instances:
            if instance.visible is not None:
                total += instance.visible.decode()
                assert not (instance.visible.decode() & ~instance.amodal.decode()).any()
        assert total.max(initial=0) <= 1


def test_frames_carry_time_depth_order_and_camera(rendered):
    for clip in rendered.values():
        assert [frame.t for frame in clip] == [0, 1, 2, 3] and [frame.time for frame in clip] == [
            0.0,
            1.0,
            2.0,
            3.0,
        ]
        for frame in clip:
            assert frame.image.shape == (*SMALL, 3) and frame.image.dtype == np.uint8
            assert [instance.depth_order for instance in frame.instances] == list(range(len(frame.instances)))
            distances = [instance.distance for instance in frame.instances]
            assert distances == sorted(distances)
            assert 0.6 * SMALL[1] < frame.camera["focal"] < 0.9 * SMALL[1]


def test_ten_frames_have_the_pixels_and_masks_they_always_had():
    from samodal.sim.render import frames

    digest = hashlib.sha256()
    for weather in splits.WEATHERS:
        name = next(name for name in splits.sequences("train") if name.endswith(weather))
        for frame in frames(name):
            if frame.t in (0, 3):
                digest.update(frame.image.tobytes())
                for instance in frame.instances:
                    row = (
                        instance.id,
                        instance.category,
                        instance.amodal.counts,
                        instance.visible and instance.visible.counts,
                    )
                    digest.update(repr(row).encode())
    assert digest.hexdigest() == TEN_FRAMES


def test_the_pools_share_no_body_texture_colour_or_street():
    train, test = (asset_names(pool) for pool in POOLS)
    assert not train & test
    assert not set(TYPES["train"]) & set(TYPES["test"])
    assert not set(TYPES["train"].values()) & set(TYPES["test"].values())
    for kind in TEXTURES["train"]:
        assert not set(TEXTURES["train"][kind]) & set(TEXTURES["test"][kind])


def test_scenes_draw_from_their_own_pool_only():
    for split, pool in [(name, "train") for name in ("train", "val", "test_seen", "tracks")] + [("test", "test")]:
        for name in splits.sequences(split)[:3]:
            assert lay_out(name).assets <= asset_names(pool)


def test_every_class_has_enough_bodies_of_a_dozen_parts():
    for pool, least in (("train", 6), ("test", 3)):
        groups = bodies(pool)
        assert set(groups) == {"person", "car", "truck", "bus", "motorcycle", "bicycle"}
        assert all(len(group) >= least for group in groups.values()) and len(riders(pool)) >= least
        assert all(len(pose(body, 0).corners) >= 12 * 12 for group in groups.values() for body in group)


def test_bodies_stand_on_the_ground_and_walkers_move_their_legs():
    for pool in POOLS:
        for group in bodies(pool).values():
            for body in group:
                corners = pose(body, 0).corners.reshape(-1, 3)
                assert -0.02 < corners[:, 2].min() < 0.12, body.name
                assert np.allclose(np.linalg.norm(pose(body, 0).normals, axis=-1), 1.0)
                if body.phases > 1:
                    assert abs(pose(body, 0).corners - pose(body, 4).corners).max() > 0.1
                if body.seat:
                    rider = pose(rider_on(riders(pool)[0], body), 0).corners.reshape(-1, 3)
                    assert 1.2 < rider[:, 2].max() < 2.2, body.name


def test_the_splits_are_fixed_lists_that_share_no_sequence():
    counts = {name: len(splits.sequences(name)) for name in splits.SPLITS}
    assert counts == {"train": 5000, "val": 40, "test": 64, "test_seen": 24, "tracks": 2000}
    every = [name for split in splits.SPLITS for name in splits.sequences(split)]
    assert len(set(every)) == len(every) and splits.sequences("test")[0] == "test_0000_day"
    assert {splits.split_of(name) for name in ("test_0000_day", "test_seen_0000_day")} == {
        splits.SPLITS["test"], splits.SPLITS["test_seen"]
    }  # fmt: skip
    for wrong in ("test_0000_snow", "test_9999_day", "nonsense"):
        with pytest.raises(InputError, match="no sequence"):
            splits.split_of(wrong)
    with pytest.raises(InputError, match="train, val, test"):
        splits.sequences("tset")


def test_a_layout_depends_on_the_name_alone():
    first, again = (lay_out(splits.sequences("val")[3]) for _ in range(2))
    assert [actor.body.name for actor in first.actors] == [actor.body.name for actor in again.actors]
    assert all((a.track == b.track).all() for a, b in zip(first.actors, again.actors, strict=True))


def test_a_missing_panda3d_is_one_line_with_the_way_out(monkeypatch):
    from samodal.sim.screen import panda

    monkeypatch.setitem(sys.modules, "panda3d", None)
    with pytest.raises(InputError, match=r"samodal\[sim\]"):
        panda()


def _bins(names) -> np.ndarray:
    """Share of instance-frames with occlusion 0, (0, .25], (.25, .5], (.5, .75], (.75, 1) and 1."""
    from samodal.sim.stage import Stage
    from samodal.sim.truth import annotate

    counts = np.zeros(6)
    for name in names:
        stage = Stage(lay_out(name), SMALL)
        for instance in (instance for frame in annotate(stage) for instance in frame):
            counts[5 if instance.visible is None else int(np.ceil(instance.occlusion * 4))] += 1
        stage.close()
    return counts / counts.sum()


def test_every_occlusion_bin_is_populated():
    assert (_bins(splits.sequences("train")[:16]) > 0.03).all()


@pytest.mark.heavy
def test_every_occlusion_bin_has_its_share():
    shares = _bins(splits.sequences("train")[:200])
    assert shares[5] > 0.05 and (shares[:5] > 0.07).all()


def test_the_example_clip_has_instances_that_vanish_and_return():
    from samodal.sim.stage import Stage
    from samodal.sim.truth import annotate

    stage = Stage(lay_out("test_0000_day"), SMALL)
    truth = annotate(stage)
    stage.close()
    seen = {}
    for frame in truth:
        for instance in frame:
            seen.setdefault(instance.id, []).append("v" if instance.visible else "h")
    returns = [states for states in map("".join, seen.values()) if re.search("vh{4,20}v", states)]
    assert len(returns) >= 2
    assert len({instance.category for frame in truth for instance in frame}) >= 5
