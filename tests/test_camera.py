"""The motion of the camera: of pictures of a ground and a wall drawn as a camera sees them that drives and turns."""

import cv2
import numpy as np
import pytest

from samodal.errors import InputError
from samodal.masks import Mask
from samodal.method.camera import FOCAL, CameraMotion
from samodal.tracks import Instance, State, VisibleInstance

HEIGHT, WIDTH = 270, 480
HORIZON = 120.0


def picture(x: float, z: float, heading: float) -> np.ndarray:
    """What a camera at height 1 sees: a ground of blotches, and far hills; z ahead, turned right by `heading`."""
    rng = np.random.default_rng(0)
    ground = cv2.resize(rng.integers(0, 256, (400, 400)).astype(np.uint8), (1600, 1600), interpolation=cv2.INTER_CUBIC)
    focal = FOCAL * WIDTH
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    depth = focal / np.maximum(rows - HORIZON, 1.0)
    across = (columns - (WIDTH - 1) / 2) / focal * depth
    cos, sin = np.cos(heading), np.sin(heading)
    east, north = x + cos * across + sin * depth, z - sin * across + cos * depth
    drawn = cv2.remap(ground, (east * 20 + 800).astype(np.float32), (north * 20).astype(np.float32), cv2.INTER_LINEAR)
    plain = np.clip((rows - HORIZON - 8) / 30, 0, 1)  # no edge that stands still
    hills = cv2.remap(ground, (800 + 300 * (across / depth + heading)).astype(np.float32), rows, cv2.INTER_LINEAR)
    drawn = np.where(rows < HORIZON - 5, hills, 128 + (drawn - 128.0) * plain).astype(np.uint8)
    return np.repeat(drawn[..., None], 3, axis=2)


def driven(steps: int, way: float, turn: float):
    camera, x, z, heading, view = CameraMotion(), 0.0, 5.0, 0.0, None
    for n in range(steps):
        view = camera.step(picture(x, z, heading), [], n / 10)
        x, z, heading = x + way * np.sin(heading), z + way * np.cos(heading), heading + turn
    return camera, view


def test_a_drive_straight_on_tells_way_and_horizon():
    _, view = driven(30, 0.3, 0.0)
    assert view.heading == pytest.approx(0, abs=0.01)
    assert np.linalg.norm(view.origin) == pytest.approx(29 * 0.3, rel=0.2)
    assert view.horizon == pytest.approx(HORIZON, abs=6)


def test_a_turn_is_told_from_a_way_aside():
    _, view = driven(12, 0.3, 0.01)
    assert view.heading == pytest.approx(0.11, rel=0.2)


def test_a_camera_that_stands_goes_nowhere_whatever_passes():
    camera, still = CameraMotion(), picture(0, 5, 0)
    for n in range(8):
        frame = still.copy()
        frame[150:230, 40 * n : 40 * n + 80] = np.random.default_rng(n).integers(0, 256, (80, 80, 1))
        view = camera.step(frame, [], n / 10)
    assert abs(view.heading) < 0.002 and np.linalg.norm(view.origin) < 0.05


def test_without_texture_the_motion_is_unknown():
    camera, dark = CameraMotion(), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    camera.step(dark, [], 0.0)
    view = camera.step(dark, [], 0.1)
    assert not view.known and view.heading == 0 and not view.origin.any()


def test_corners_on_instances_are_left_out():
    camera, still = CameraMotion(), picture(0, 5, 0)
    for n in range(4):
        frame, mask = still.copy(), np.zeros((HEIGHT, WIDTH), bool)
        mask[128:, :400] = True
        moving = np.roll(still, 6 * n, axis=1)
        frame[mask] = moving[mask]
        view = camera.step(frame, [VisibleInstance(1, "car", 1.0, mask)], n / 10)
    assert abs(view.heading) < 0.002


def test_cars_tell_the_horizon_where_the_camera_stands():
    """Cars are about as tall as a camera on a car is high: they end at the horizon."""
    camera, still = CameraMotion(), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cars = []
    for n, (side, x) in enumerate([(20, 30), (30, 100), (50, 200)]):
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[140 : 140 + side, x : x + side] = True
        cars.append(Instance(n, "car", 0.9, State.VISIBLE, Mask.of(mask), Mask.of(mask)))
    before = camera.step(still, [], 0.0).horizon
    for _ in range(29):
        camera.learn_sizes(cars)
    assert abs(camera.step(still, [], 3.0).horizon - 140) < 5 < abs(before - 140)


def test_a_class_is_known_however_it_is_written():
    """KITTI writes Van, which is taller than a car."""
    views, mask = [], np.zeros((HEIGHT, WIDTH), bool)
    mask[140:190, 100:150] = True
    for kind in ("van", "Van", "car", "Sedan"):
        camera = CameraMotion()
        camera.learn_sizes([Instance(1, kind, 0.9, State.VISIBLE, Mask.of(mask), Mask.of(mask))])
        views.append(camera.step(np.zeros((HEIGHT, WIDTH, 3), np.uint8), [], 0.0).horizon)
    assert views[0] == views[1] != views[2] == views[3]


def test_a_saved_state_goes_on_alike_and_a_damaged_one_is_refused():
    camera, _ = driven(4, 0.3, 0.01)
    other = CameraMotion()
    other.load_state(camera.state())
    frame = picture(0.0, 6.3, 0.04)
    first, second = camera.step(frame, [], 0.4), other.step(frame, [], 0.4)
    assert (first.heading, first.horizon, *first.origin) == (second.heading, second.horizon, *second.origin)
    for name, value in {
        "focus": np.array([np.nan, 0]),
        "origin": np.array([0, np.inf]),
        "nod": "much",
        "information": -np.eye(2),
        "heading": np.nan,
    }.items():
        with pytest.raises(InputError, match="state of the camera"):
            other.load_state(camera.state() | {name: value})
    assert camera.fits((HEIGHT, WIDTH)) and not camera.fits((2 * HEIGHT, WIDTH)) and not camera.fits(None)
    third = other.step(frame, [], 0.5)
    assert third.known


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 3000), (3000, 2), (3, 500), (900, 400)])
def test_a_frame_of_any_shape_has_a_view(size):
    camera = CameraMotion()
    for n in range(2):
        frame = np.random.default_rng(n).integers(0, 256, (*size, 3)).astype(np.uint8)
        view = camera.step(frame, [], n / 10)
    assert np.isfinite([view.horizon, view.heading, *view.origin]).all()


def test_a_frame_that_was_looked_at_before_gives_the_same_view():
    begun, alone = CameraMotion(), CameraMotion()
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[200:, 100:180] = True
    visible = [VisibleInstance(1, "car", 1.0, mask)]
    for n in range(4):
        frame = picture(0.0, 5 + 0.3 * n, 0.01 * n)
        assert np.array_equal(begun.look(frame, visible), frame[..., 0])
        first, second = begun.step(frame, visible, n / 10), alone.step(frame, visible, n / 10)
        assert (first.heading, first.horizon, *first.origin) == (second.heading, second.horizon, *second.origin)
    assert first.known
    begun.look(frame, visible)
    begun.reset()  # as at a cut: no corner is followed from the scene before
    assert not begun.step(frame, visible, 0.5).known


def test_nothing_is_measured_where_it_is_not_wanted():
    camera = CameraMotion(wanted=False)
    assert camera.look(picture(0, 5, 0), []) is None
    assert camera.step(picture(0, 5, 0), [], 0.0) is None
