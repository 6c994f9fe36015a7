"""Scene cuts: a hard cut is one, fast turns, light and things that move are none."""

import cv2
import numpy as np
import pytest

from samodal.method.cuts import CutDetector, similarity
from samodal.method.rules import PRESETS

CUT = PRESETS["default"].cut


def panorama(seed: int, width: int = 1600, height: int = 360) -> np.ndarray:
    """(H, W, 3) uint8: a sky, a horizon of houses and a textured road; seeds differ in all of it."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width), 190.0)
    for left in range(0, width, 40):
        top = int(rng.integers(60, 190))
        picture[top:230, left : left + 40] = rng.integers(30, 170)
        picture[top + 12 : top + 24, left + 8 : left + 20] = rng.integers(30, 220)
    picture[230:] = 100 + 20 * cv2.GaussianBlur(rng.normal(size=(height - 230, width)), (0, 0), 3) * 6
    picture += 6 * cv2.GaussianBlur(rng.normal(size=picture.shape), (0, 0), 2) * 4
    return np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def cuts(frames) -> list[int]:
    detector = CutDetector(CUT)
    return [t for t, frame in enumerate(frames) if detector.step(frame)]


def view(picture, x, width=960):
    return picture[:, x : x + width]


def test_two_scenes_joined_end_to_end_are_cut_at_the_seam_alone():
    one, other = panorama(0), panorama(1)
    frames = [view(one, 10 * t) for t in range(4)] + [view(other, 10 * t) for t in range(4)]
    assert cuts(frames) == [4]


@pytest.mark.parametrize("step", [5, 60, 100])
def test_a_fast_turn_is_no_cut(step):
    picture = panorama(2)
    assert cuts(view(picture, step * t) for t in range(6)) == []
    assert cuts(view(picture, 600 - step * t) for t in range(6)) == []


def test_the_light_of_a_tunnel_is_no_cut():
    picture = panorama(3)
    gains = (1.0, 0.5, 0.35, 0.35, 0.8, 1.3)
    assert cuts((view(picture, 8 * t) * g).clip(0, 255).astype(np.uint8) for t, g in enumerate(gains)) == []


def test_a_lorry_that_crosses_is_no_cut():
    frames = []
    for t in range(8):
        frame = view(panorama(4), 0).copy()
        frame[120:330, 120 * t : 120 * t + 260] = 60
        frames.append(frame)
    assert cuts(frames) == []


def test_a_fade_through_black_is_one_cut_where_the_new_scene_begins():
    one, other, black = view(panorama(5), 0), view(panorama(6), 0), np.zeros((360, 960, 3), np.uint8)
    assert cuts([one, one, black, black, other, other]) == [4]
    assert cuts([one, one, black, black, one, one]) == []


@pytest.mark.parametrize("size", [(375, 1242), (480, 854), (60, 120), (1, 1), (30, 2000), (2000, 30)])
def test_frames_of_any_size_are_taken(size):
    frame = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    assert cuts([frame, frame]) == []


def test_one_frame_or_none_has_no_cut():
    assert cuts([]) == []
    assert cuts([panorama(0)]) == []


def test_a_saved_detector_goes_on_where_it_was():
    first, second = CutDetector(CUT), CutDetector(CUT)
    first.step(view(panorama(0), 0))
    second.load_state(first.state())
    assert second.step(view(panorama(1), 0))


def test_a_frame_is_like_itself():
    small = np.random.default_rng(0).integers(0, 255, (90, 160)).astype(np.uint8)
    assert similarity(small, small) == pytest.approx(1, abs=1e-3)
