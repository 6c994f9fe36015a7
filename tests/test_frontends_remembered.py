"""What a front end said of a video is not asked again, and is the same as asking again."""

import json

import numpy as np
import pytest

from samodal.build import make_session
from samodal.frontends.remembered import Remembered
from samodal.runner import run_video
from samodal.settings import RunSettings
from samodal.tracks import VisibleInstance
from samodal.video import ArrayVideo


class Moving:
    """A square that moves right; counts how often it was asked."""

    asked = 0

    def __init__(self, seed: int = 0):
        self.seed = seed

    def open(self, video):
        return self

    def step(self, frame, t):
        type(self).asked += 1
        mask = np.zeros(frame.shape[:2], bool)
        mask[5:15, 3 + 2 * t + self.seed : 20 + 2 * t] = True
        return [VisibleInstance("a", "car", 0.5, mask)]

    def reset(self):
        pass


class Learning(Moving):
    def learn(self, result):
        pass


@pytest.fixture
def video():
    Moving.asked = Learning.asked = 0
    return ArrayVideo("street", np.zeros((4, 30, 50, 3), np.uint8))


def settings(kind: str = "Moving", **changes) -> RunSettings:
    return RunSettings(video="street", vis=f"{__name__}:{kind}", method="copy-visible", overlay=False, **changes)


def masks(session, video) -> list[np.ndarray]:
    return [one.mask.decode() for frame in video for one in session.step(frame.image, frame.t)]


def test_the_second_method_over_a_video_hears_the_same_without_asking(tmp_path, video):
    said = Remembered()
    run_video(settings(), video, tmp_path / "first", remembered=said)
    run_video(settings(), video, tmp_path / "second", remembered=said)
    assert Moving.asked == 4
    run_video(settings(), video, tmp_path / "alone")
    assert Moving.asked == 8
    tracks = [json.loads((tmp_path / name / "tracks.json").read_text()) for name in ("first", "second", "alone")]
    assert tracks[0]["annotations"] == tracks[1]["annotations"] == tracks[2]["annotations"]
    assert tracks[0]["annotations"]


def test_another_seed_or_scale_is_asked_again(video):
    said = Remembered()
    first = masks(make_session(settings(), video, said), video)
    other = masks(make_session(settings(seed=1), video, said), video)
    assert Moving.asked == 8 and first[0].sum() != other[0].sum()
    masks(make_session(settings(vis_scale=0.5), video, said), video)
    assert Moving.asked == 12
    again = masks(make_session(settings(seed=1), video, said), video)
    assert Moving.asked == 12 and all(map(np.array_equal, other, again))


def test_what_was_said_of_a_part_of_the_video_is_forgotten(video):
    said = Remembered()
    make_session(settings(), video, said).step(np.zeros((30, 50, 3), np.uint8), 0)
    assert len(masks(make_session(settings(), video, said), video)) == 4 and Moving.asked == 5


def test_a_session_that_learns_from_the_method_is_asked_every_time(video):
    said = Remembered()
    for _ in range(2):
        masks(make_session(settings("Learning"), video, said), video)
    assert Learning.asked == 8


def test_repaired_ids_are_made_anew_from_what_was_said(video):
    said = Remembered()
    for _ in range(2):
        session = make_session(settings(reassociate=True), video, said)
        assert len(masks(session, video)) == 4 and hasattr(session, "learn")
    assert Moving.asked == 4
