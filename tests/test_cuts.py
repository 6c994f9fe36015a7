"""Scene cuts: a hard cut is one, fast turns, light and things that move are none."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from samodal.method.cuts import CutDetector, View, found_again, similarity
from samodal.method.rules import PRESETS
from samodal.runs.state import read_state, write_state
from samodal.video import open_video

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


def cuts(frames, rate: float = 10.0) -> list[int]:
    detector = CutDetector(CUT)
    return [t for t, frame in enumerate(frames) if detector.step(frame, t / rate)]


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


def test_a_grey_image_that_is_there_already_tells_the_same():
    coloured = panorama(0) * np.array([1, 0.5, 0.7])
    frames = [view(picture, 10 * t).astype(np.uint8) for picture in (coloured, panorama(1)) for t in range(2)]
    told, alone = CutDetector(CUT), CutDetector(CUT)
    for t, frame in enumerate(frames):
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        assert told.step(frame, t / 10, grey) == alone.step(frame, t / 10)
        assert np.array_equal(told.state()["last"][0], alone.state()["last"][0])


def test_one_frame_or_none_has_no_cut():
    assert cuts([]) == []
    assert cuts([panorama(0)]) == []


def test_a_saved_detector_goes_on_where_it_was(tmp_path):
    frames = [view(panorama(0), 10 * t) for t in range(4)] + [view(panorama(1), 10 * t) for t in range(4)]
    for stop in range(1, len(frames)):
        first, second = CutDetector(CUT), CutDetector(CUT)
        for t in range(stop):
            first.step(frames[t], t / 10)
        write_state(tmp_path / "state", first.state())
        second.load_state(read_state(tmp_path / "state"))
        assert [t for t in range(stop, len(frames)) if second.step(frames[t], t / 10)] == [4] * (stop <= 4)


def test_a_frame_is_like_itself():
    small = np.random.default_rng(0).integers(0, 255, (90, 160)).astype(np.uint8)
    assert similarity(small, small) == pytest.approx(1, abs=1e-3)
    same = View.of(panorama(0), 0.0)
    assert found_again(same, same) > 0.9


def ahead(picture: np.ndarray, zoom: float) -> np.ndarray:
    """What a camera sees that has driven on: the middle, larger."""
    height, width = picture.shape[:2]
    high, wide = round(height / zoom), round(width / zoom)
    top, left = (height - high) // 2, (width - wide) // 2
    return cv2.resize(picture[top : top + high, left : left + wide], (width, height))


def test_half_a_second_of_driving_is_no_cut():
    street = view(panorama(7), 300)
    assert cuts((ahead(street, 1.35**t) for t in range(4)), rate=2) == []


def test_the_less_time_between_two_frames_the_less_may_change():
    # A tenth of the picture stays, as the end of a street does in a turn.
    one, other = view(panorama(8), 0), view(panorama(9), 0).copy()
    other[:, 430:550] = one[:, 430:550]
    assert cuts([one, one, other], rate=25) == [2]
    assert cuts([one, one, other], rate=2) == []


@pytest.mark.parametrize("level", [10, 25])
def test_noise_of_a_dark_camera_is_no_cut(level):
    rng, picture = np.random.default_rng(0), panorama(10)
    frames = [view(picture, 8 * t) // 2 + rng.normal(0, level, (360, 960, 3)) for t in range(6)]
    assert cuts(frame.clip(0, 255).astype(np.uint8) for frame in frames) == []


@pytest.mark.parametrize("blurred", [9, 25])
def test_a_jolt_that_blurs_a_frame_is_no_cut(blurred):
    frames = [view(panorama(11), 8 * t) for t in range(6)]
    frames[3] = cv2.blur(frames[3], (blurred, 3))
    assert cuts(frames) == []


def test_another_place_of_the_same_road_is_a_cut_where_time_tells_that_it_cannot_be_reached():
    # Lane marks, sky and colours are the same; what stands beside the road is not.
    road = panorama(12, width=4000)
    road[230:] = panorama(12)[230:, :800].repeat(5, axis=1)
    frames = [view(road, x) for x in (0, 4, 8, 12, 2000, 2004, 2008)]
    assert cuts(frames, rate=25) == [4]


def test_frames_left_out_of_a_slow_drive_are_no_cut():
    picture = panorama(13)
    detector = CutDetector(CUT)
    times = [0.0, 0.04, 0.08, 0.12, 1.12, 1.16]
    assert not any(detector.step(view(picture, round(300 * time)), time) for time in times)


def test_equal_times_are_taken():
    detector = CutDetector(CUT)
    assert not any(detector.step(view(panorama(14), 5 * t), 1.0) for t in range(3))
    assert detector.step(view(panorama(15), 0), 1.0)


REAL = Path(__file__).parents[2] / "shared" / "real"
CLIPS = {
    "kitti_tracking_0005/image_02/0005": 10.0,
    "bdd100k_mots/images/00091078-875c1f73": 5.0,
    "driving_videos/carnd_p1_solidWhiteRight.mp4": 25.0,
    "driving_videos/edgetam_08_driving.mp4": 24.0,
}
on_real = pytest.mark.skipif(not REAL.exists(), reason="needs the real frames beside the project (../shared/real)")


def real_frames(name: str, most: int = 60) -> list[np.ndarray]:
    frames = []
    for frame in open_video(REAL / name):
        frames.append(cv2.resize(frame.image, (640, 360), interpolation=cv2.INTER_AREA))
        if len(frames) == most:
            break
    return frames


@on_real
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("clip", CLIPS)
def test_no_cut_is_seen_in_real_drives_with_fewer_and_fewer_frames(clip, stride):
    frames = real_frames(clip)
    assert [cuts(frames[start::stride], CLIPS[clip] / stride) for start in range(stride)] == [[]] * stride


@on_real
@pytest.mark.parametrize("stride", [1, 3])
def test_real_drives_joined_are_cut_at_the_joins_alone(stride):
    frames, joins = [], []
    for clip in CLIPS:
        joins.append(len(frames))
        frames += real_frames(clip, most=18)[::stride]
    assert cuts(frames, 10 / stride) == joins[1:]


@on_real
def test_two_places_of_one_real_drive_are_told_apart():
    frames = real_frames("driving_videos/carnd_p1_solidWhiteRight.mp4", most=130)
    assert cuts(frames[:12] + frames[100:112], rate=25) == [12]


@pytest.mark.parametrize(("bits", "speed"), [(20_000, 1), (20_000, 3), (60_000, 3)])
def test_a_key_frame_that_redraws_all_detail_is_no_cut(tmp_path, bits, speed):
    """In a video of few bits detail fades away, and each twelfth frame brings it back at once."""
    picture = panorama(0)
    picture = (picture + 10 * np.random.default_rng(1).normal(size=picture.shape)).clip(0, 255).astype(np.uint8)
    with av.open(str(tmp_path / "few.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = 360, 640, "yuv420p"
        stream.gop_size, stream.bit_rate = 12, bits
        for t in range(80):
            image = np.ascontiguousarray(view(picture, speed * t, 640))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    detector = CutDetector(CUT)
    frames = open_video(str(tmp_path / "few.mp4"))
    assert [frame.t for frame in frames if detector.step(frame.image, frame.time)] == []
