"""Sources of frames: folders, files with rotation and variable rate, excerpts, and what is wrong with them."""

import struct
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from samodal import video
from samodal.errors import InputError
from samodal.video import ArrayVideo, excerpt, open_video

av = pytest.importorskip("av")


def picture(t: int, size=(48, 64)) -> np.ndarray:
    """Dark, with a bright band at the left whose height grows with t: rotation and order can be seen."""
    image = np.full((*size, 3), 20, np.uint8)
    image[: 8 + 4 * t, :16] = (250, 40, 40)
    return image


def write_video(path, times, size=(48, 64), rotation=0):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for t, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(t, size), "rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_folder(folder, count=4, size=(48, 64)):
    folder.mkdir()
    for t in range(count):
        Image.fromarray(picture(t, size)).save(folder / f"{t:06d}.png")
    return folder


def test_a_folder_gives_its_pictures_in_order_at_ten_hertz(tmp_path):
    video = open_video(write_folder(tmp_path / "drive"))
    frames = list(video)
    assert (video.name, video.size, video.length) == ("drive", (48, 64), 4)
    assert [(f.t, f.time, f.name) for f in frames] == [(t, t / 10, f"{t:06d}.png") for t in range(4)]
    assert np.array_equal(frames[2].image, picture(2))


def test_a_file_keeps_its_own_timestamps(tmp_path):
    times = [0, 0.1, 0.35, 0.4, 1.0]
    video = open_video(write_video(tmp_path / "a.mp4", times))
    assert [f.time for f in video] == pytest.approx(times, abs=1e-3)
    assert [f.time for f in video] == pytest.approx(times, abs=1e-3)  # a second time from the start
    assert video.length == 5


def turn(path, clockwise: int):
    """Set the display matrix of an mp4's track header, as phones do: turn the picture clockwise to show it."""
    one, minus = 1 << 16, (1 << 32) - (1 << 16)
    a, b, c, d = {90: (0, one, minus, 0), 180: (minus, 0, 0, minus), 270: (0, minus, one, 0)}[clockwise]
    content = bytearray(path.read_bytes())
    identity = struct.pack(">9I", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    start = content.index(identity, content.index(b"tkhd"))
    content[start : start + 36] = struct.pack(">9I", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_a_rotation_flag_turns_the_frames_upright(tmp_path, clockwise):
    path = write_video(tmp_path / "a.mp4", [0, 0.1])
    plain = next(iter(open_video(path))).image
    turn(path, clockwise)
    video = open_video(path)
    expected = np.rot90(plain, -clockwise // 90)
    assert video.size == expected.shape[:2]
    assert np.array_equal(next(iter(video)).image, expected)


@pytest.mark.parametrize(("frames", "expected"), [("1:3", [1, 2]), ("2:", [2, 3]), (":1", [0]), (None, [0, 1, 2, 3])])
def test_an_excerpt_keeps_the_numbers_of_the_whole(frames, expected):
    cut = excerpt(ArrayVideo("a", np.stack([picture(t) for t in range(4)])), frames)
    assert [f.t for f in cut] == expected
    assert cut.length == len(expected)


@pytest.mark.parametrize("frames", ["x:3", "5", "7:9", "3:2"])
def test_an_excerpt_that_holds_nothing_is_refused(frames):
    with pytest.raises(InputError, match=f"--frames {frames}"):
        excerpt(ArrayVideo("a", np.stack([picture(t) for t in range(4)])), frames)


def test_what_is_not_there_or_not_a_video_is_one_line(tmp_path):
    with pytest.raises(InputError, match="nowhere.mp4: no such file or folder"):
        open_video(tmp_path / "nowhere.mp4")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        open_video(tmp_path / "empty")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(InputError, match="text.mp4: no video or folder of pictures"):
        open_video(tmp_path / "text.mp4")
    with pytest.raises(InputError, match="rtsp://127.0.0.1:1/none: cannot be opened"):
        open_video("rtsp://127.0.0.1:1/none")


def test_a_cut_off_file_gives_its_frames_and_then_an_error_that_says_where(tmp_path):
    whole = write_video(tmp_path / "a.mp4", [t / 10 for t in range(40)], size=(480, 640))
    content = whole.read_bytes()
    # The index of an mp4 is at its end: damage the pictures in the middle instead of cutting it.
    middle = len(content) // 2
    (tmp_path / "b.mp4").write_bytes(content[:middle] + b"\xff" * 600 + content[middle + 600 :])
    frames = []
    try:
        frames.extend(open_video(tmp_path / "b.mp4"))
    except InputError as error:
        assert "damaged after frame" in str(error)
    assert frames


def test_a_damaged_picture_and_a_change_of_size_name_the_frame(tmp_path):
    folder = write_folder(tmp_path / "drive")
    (folder / "000002.png").write_bytes(b"broken")
    with pytest.raises(InputError, match="000002.png: damaged picture"):
        list(open_video(folder))
    Image.fromarray(picture(2, (50, 64))).save(folder / "000002.png")
    with pytest.raises(InputError, match="frame 2 is 64x50 but the video began with 64x48"):
        list(open_video(folder))


def test_a_single_picture_is_a_video_of_one_frame(tmp_path):
    Image.fromarray(picture(0)).save(tmp_path / "one.png")
    video = open_video(tmp_path / "one.png")
    assert [f.name for f in video] == ["one.png"]


def test_times_of_a_damaged_file_never_go_back(tmp_path, monkeypatch):
    write_video(tmp_path / "v.mp4", [0.0, 0.1, 0.2, 0.3])
    whole = video._decoded

    def shuffled(*arguments):
        for frame in whole(*arguments):
            frame.pts = {0: 0, 1: 2, 2: 1, 3: 3}[round(frame.time * 10)] * round(0.1 / frame.time_base)
            yield frame

    monkeypatch.setattr(video, "_decoded", shuffled)
    assert [round(frame.time, 3) for frame in open_video(tmp_path / "v.mp4")] == [0.0, 0.2, 0.2, 0.3]
