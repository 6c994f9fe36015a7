"""A front end that sees the frames at another size."""

from dataclasses import replace

import numpy as np
import pytest

from samodal.build import make_session
from samodal.errors import InputError
from samodal.settings import RunSettings
from samodal.tracks import VisibleInstance
from samodal.video import ArrayVideo


class Bright:
    """Says where the frame is bright, and remembers the sizes that it was shown."""

    shown: list[tuple[int, ...]] = []

    def open(self, video):
        return self

    def step(self, frame, t):
        self.shown.append(frame.shape)
        mask = frame.min(axis=2) > 200
        return [VisibleInstance(1, "car", 0.9, mask)] if mask.any() else []

    def reset(self):
        self.shown.clear()


@pytest.fixture
def video():
    frames = np.zeros((2, 40, 60, 3), np.uint8)
    frames[0, 10:20, 30:50] = 255
    return ArrayVideo("street", frames)


SETTINGS = RunSettings(video="street", vis=f"{__name__}:Bright", vis_scale=0.5)


def test_it_sees_half_the_size_and_its_masks_are_those_of_the_frame(video):
    session = make_session(SETTINGS, video)
    session.reset()
    (one,) = session.step(video.frames[0], 0)
    assert Bright.shown == [(20, 30, 3)]
    assert np.array_equal(one.mask, video.frames[0, :, :, 0] > 0)
    assert (one.id, one.category, one.score) == (1, "car", 0.9)
    assert session.step(video.frames[1], 1) == []


def test_masks_that_shrink_to_nothing_are_left_out(video):
    session = make_session(replace(SETTINGS, vis_scale=4.0), video)
    dot = np.zeros((40, 60, 3), np.uint8)
    dot[5, 5] = 255
    assert all(one.mask.any() for one in session.step(dot, 0))


@pytest.mark.parametrize("scale", [0.0, -1.0, 100.0])
def test_a_scale_that_cannot_be_meant(video, scale):
    with pytest.raises(InputError, match=r"expected a share of the frame's size, as 0\.5"):
        make_session(replace(SETTINGS, vis_scale=scale), video)


def test_masks_that_are_there_already_have_no_scale(tmp_path):
    from tests.test_shipped import CLIP

    from samodal.data.open import open_dataset

    clip = open_dataset(f"streetsim:{CLIP}")
    with pytest.raises(InputError, match="for front ends that work on pixels; truth reads what is there"):
        make_session(RunSettings(data="x", vis_scale=0.5), clip.video(clip.sequences[0]))
