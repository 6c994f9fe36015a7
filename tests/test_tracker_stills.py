"""Clips of real pictures for a point tracker: points lie where their pixels are, and are hidden where covered."""

import numpy as np
import pytest
import torch

from samodal.errors import InputError
from samodal.training.streets.pictures import Pictures
from samodal.training.tracker.stills import Layer, draw_clip, still_clips


def shifts(*offsets: tuple[float, float]) -> np.ndarray:
    """(T, 3, 3): translations by (dx, dy), one for each frame."""
    matrices = np.tile(np.eye(3), (len(offsets), 1, 1))
    matrices[:, :2, 2] = offsets
    return matrices


def plain(height: int, width: int, colour: tuple[int, int, int]) -> np.ndarray:
    """A (height, width, 4) opaque layer of a single colour."""
    return np.dstack([np.full((height, width, 3), colour, np.uint8), np.full((height, width), 255, np.uint8)])


def test_points_are_visible_just_where_the_frame_has_their_layers_colour():
    red, green, blue = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    layers = [
        Layer(plain(60, 80, red), shifts((-10, -10), (-10, -10), (-10, -10))),
        Layer(plain(12, 12, green), shifts((4, 8), (14, 8), (24, 8))),
        Layer(plain(20, 10, blue), shifts((16, 4), (16, 4), (16, 4))),
    ]
    clip = draw_clip(np.random.default_rng(0), layers, (40, 60))
    colours = np.array([red, green, blue])
    for point, number in enumerate(clip.ids):
        for t in range(3):
            x, y = np.rint(clip.xy[point, t]).astype(int)
            inside = 0 <= x < 60 and 0 <= y < 40
            expected = inside and (clip.frames[t, :, y, x] == colours[number]).all()
            assert clip.visible[point, t] == expected
    green_points = clip.visible[clip.ids == 1]
    assert green_points[:, 0].any()
    assert not green_points[:, 1].all()


def test_a_points_way_is_that_of_its_layer():
    layers = [Layer(plain(60, 80, (9, 9, 9)), shifts((-5, -5), (-7, -4)))]
    clip = draw_clip(np.random.default_rng(0), layers, (40, 60))
    np.testing.assert_allclose(clip.xy[:, 1] - clip.xy[:, 0], np.tile((-2, 1), (len(clip.xy), 1)), atol=1e-4)


def street(seed: int = 0) -> Pictures:
    """Two pictures of noise; the first has a car with a box alone, the second a person with a mask."""
    pixels = torch.from_numpy(np.random.default_rng(seed).integers(0, 255, (2, 3, 160, 160), np.uint8))
    owners = torch.zeros(2, 160, 160, dtype=torch.uint8)
    owners[1, 30:90, 40:90] = 1
    boxes = torch.tensor([[[20.0, 20, 100, 80]], [[40.0, 30, 90, 90]]])
    return Pictures(
        pixels, owners, torch.tensor([[120, 160], [160, 120]]), boxes, torch.tensor([[0], [1]]),
        torch.tensor([[0], [1]]), torch.ones(2, 2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool),
    )  # fmt: skip


OUTLINE = np.pad(np.ones((1, 8, 14), np.uint8), ((0, 0), (3, 5), (1, 1)))


def made(count: int, workers: int = 1) -> list:
    return still_clips(street(), OUTLINE, size=(64, 112), length=6, count=count, seed=3, workers=workers)


def test_clips_have_the_asked_size_and_ids_in_order():
    clip, _ = made(2)
    assert clip.frames.shape == (6, 3, 64, 112)
    assert clip.xy.shape == (*clip.visible.shape, 2)
    assert (np.diff(clip.ids) >= 0).all()
    assert {0, 1} <= set(clip.ids.tolist())
    assert np.isfinite(clip.xy).all()


def test_the_number_of_workers_changes_nothing():
    for alone, together in zip(made(3), made(3, workers=3), strict=True):
        np.testing.assert_array_equal(alone.frames, together.frames)
        np.testing.assert_array_equal(alone.xy, together.xy)
        np.testing.assert_array_equal(alone.visible, together.visible)


def test_pictures_with_nothing_large_enough_are_refused():
    pictures = street()
    pictures.boxes[:] = torch.tensor([0.0, 0, 10, 10])
    with pytest.raises(InputError, match="nothing of 40 pixels"):
        still_clips(pictures, OUTLINE, size=(64, 112), length=6, count=1, seed=0)
