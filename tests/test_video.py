"""Sources of frames: folders, files with rotation and variable rate, excerpts, and what is wrong with them."""

import io
import os
import re
import struct
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from samodal.decoding import Clock, Opened
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


@pytest.mark.parametrize("frames", ["x:3", "5", "7:9", "3:2", "9999:", "-2:", "0:-1"])
def test_an_excerpt_that_holds_nothing_is_refused(frames):
    with pytest.raises(InputError, match=f"--frames '{frames}'"):
        excerpt(ArrayVideo("a", np.stack([picture(t) for t in range(4)])), frames)


@pytest.mark.parametrize("frames", ["9999::", "::2", "0:3:2"])
def test_an_excerpt_with_steps_is_refused_with_the_way_to_them(frames):
    with pytest.raises(InputError, match=f"--frames '{frames}': expected A:B .*--stride 3"):
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


def spoil(folder, t, size=None):
    """Damage picture t of a folder, or give it another size."""
    path = folder / f"{t:06d}.png"
    path.write_bytes(b"broken") if size is None else Image.fromarray(picture(t, size)).save(path)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (None, "000002.png: damaged picture"),
        ((50, 64), r"000002.png: 50x64 \(height x width\), but the video is 48x64"),
    ],
)
def test_an_odd_picture_is_told_and_left_out_and_the_others_keep_their_times(tmp_path, capsys, size, message):
    folder = write_folder(tmp_path / "drive")
    spoil(folder, 2, size)
    frames = list(open_video(folder))
    assert [(f.t, f.time, f.name) for f in frames] == [(t, t / 10, f"{t:06d}.png") for t in (0, 1, 3)]
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line) and line.endswith("; frame 2 is left out")
    with pytest.raises(InputError, match=message):
        list(open_video(folder, strict=True))


def test_an_odd_first_picture_does_not_make_the_others_odd(tmp_path):
    folder = write_folder(tmp_path / "drive")
    spoil(folder, 0, (96, 128))
    assert [f.t for f in open_video(folder)] == [1, 2, 3]
    spoil(folder, 0)
    assert [f.t for f in open_video(folder)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("odd", "message"),
    [(range(20, 31), "11 of 31 frames cannot be used"), (range(1, 22, 2), "11 of 22"), (range(1, 40, 3), "11 of 32")],
)
def test_too_many_odd_pictures_are_refused(tmp_path, odd, message):
    folder = write_folder(tmp_path / "drive", 40)
    for t in odd:
        spoil(folder, t, (50, 64))
    with pytest.raises(InputError, match=message):
        list(open_video(folder))


def test_half_of_a_few_pictures_is_too_many(tmp_path):
    folder = write_folder(tmp_path / "drive", 2)
    spoil(folder, 1)
    with pytest.raises(InputError, match="drive: 1 of 2 frames cannot be used"):
        list(open_video(folder))


def test_a_picture_without_a_number_among_many_is_told(tmp_path, capsys):
    folder = write_folder(tmp_path / "drive", 10)
    Image.fromarray(picture(0)).save(folder / "cover.png")
    assert open_video(folder).length == 10
    assert "cover.png: no frame, as it has no number" in capsys.readouterr().err


def test_a_folder_is_named_also_by_a_dot(tmp_path, monkeypatch):
    monkeypatch.chdir(write_folder(tmp_path / "drive"))
    assert open_video(".").name == "drive"


def test_a_single_picture_is_a_video_of_one_frame(tmp_path):
    Image.fromarray(picture(0)).save(tmp_path / "one.png")
    video = open_video(tmp_path / "one.png")
    assert [f.name for f in video] == ["one.png"]


CONTAINERS = {
    "mkv": ("libx264", "yuv420p"),
    "ts": ("libx264", "yuv420p"),
    "flv": ("libx264", "yuv420p"),
    "mov": ("libx264", "yuv422p10le"),
    "webm": ("libvpx-vp9", "yuv420p"),
    "avi": ("mpeg4", "yuv420p"),
    "mpg": ("mpeg2video", "yuv420p"),
    "gif": ("gif", "rgb8"),
    "h264": ("libx264", "yuv420p"),
    "nut": ("ffv1", "gray16le"),
}


def write_container(path, codec, pixels, count=6, options=None):
    """Frames at 10 Hz; `options` of the container."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, pixels
        for t in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(t), "rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_is_a_file_with_an_end(tmp_path, suffix):
    video = open_video(write_container(tmp_path / f"a.{suffix}", *CONTAINERS[suffix]))
    rate = 25 if suffix == "h264" else 10  # without a container there is no rate
    assert (video.size, video.length) == ((48, 64), 6)
    assert [f.time for f in video] == pytest.approx([t / rate for t in range(6)], abs=2e-3)


def test_a_file_in_fragments_has_its_length(tmp_path):
    options = {"movflags": "frag_keyframe+empty_moov"}
    assert open_video(write_container(tmp_path / "a.mp4", "libx264", "yuv420p", 6, options)).length == 6


def test_packets_that_only_help_to_decode_others_are_no_frames(tmp_path):
    content = bytearray(write_container(tmp_path / "a.ivf", "libvpx", "yuv420p", 6).read_bytes())
    at = 32  # of the head; each frame has a head of 12 bytes that begins with its size
    for _ in range(3):
        at += 12 + struct.unpack("<I", content[at : at + 4])[0]
    content[at + 12] &= ~0x10  # VP8's bit for "show this frame"
    (tmp_path / "a.ivf").write_bytes(content)
    assert open_video(tmp_path / "a.ivf").length == len(list(open_video(tmp_path / "a.ivf"))) == 5


def box(kind: bytes, content: bytes) -> bytes:
    """One of the boxes that an MP4 is made of."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def test_a_cover_picture_is_no_video(tmp_path):
    path, cover = write_container(tmp_path / "a.mp4", "libx264", "yuv420p", 6), io.BytesIO()
    Image.new("RGB", (40, 40)).save(cover, "JPEG")
    tag = box(b"ilst", box(b"covr", box(b"data", struct.pack(">II", 13, 0) + cover.getvalue())))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    content = path.read_bytes()
    start = content.index(b"moov") - 4  # behind the pictures, whose places do not change
    inside = box(b"udta", box(b"meta", bytes(4) + handler + tag)) + content[start + 8 :]
    path.write_bytes(content[:start] + box(b"moov", inside))
    with av.open(str(path)) as container:
        assert [stream.codec_context.name for stream in container.streams.video] == ["mjpeg", "h264"]
    video = open_video(path)
    assert (video.size, video.length, len(list(video))) == ((48, 64), 6, 6)


def test_a_file_with_a_cover_picture_alone_holds_no_video(tmp_path):
    cover = io.BytesIO()
    Image.new("RGB", (40, 40)).save(cover, "JPEG")
    with av.open(str(tmp_path / "a.mka"), "w", format="matroska") as container:
        container.add_attachment("cover.jpg", "image/jpeg", cover.getvalue())
        stream = container.add_stream("aac", rate=44100, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="a.mka: holds only a cover picture, no video"):
        open_video(tmp_path / "a.mka")


def test_frames_that_an_edit_list_cuts_away_do_not_count(tmp_path, capsys):
    content = bytearray(write_container(tmp_path / "a.mp4", "mjpeg", "yuvj420p", 20).read_bytes())
    edits = content.index(b"elst")
    ticks = struct.unpack(">I", content[(at := content.index(b"mdhd") + 16) : at + 4])[0]
    (start,) = struct.unpack(">i", content[edits + 16 : edits + 20])
    content[edits + 12 : edits + 20] = struct.pack(">Ii", 500, start + ticks)  # 0.5 s from 1 s on
    (tmp_path / "a.mp4").write_bytes(content)
    video = open_video(tmp_path / "a.mp4", strict=True)
    frames = list(video)
    assert video.length == len(frames) == video.counted() == 5
    assert [f.time for f in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert capsys.readouterr().err == ""


NAMES = [
    "12:30:45.mp4",
    "http:a.mp4",
    "camera:0",
    "100%d.mp4",
    "a b?c=1#d.mp4",
    "видео 動画.mp4",
    "-a.mp4",
    "plain",
    "concat:a|b",
]


@pytest.mark.parametrize("name", [*NAMES, b"stra\xdfe.mp4"])
def test_what_is_there_as_a_file_is_one_whatever_its_name(tmp_path, monkeypatch, name):
    path = write_video(tmp_path / "a.mp4", [0, 0.1])
    name = os.fsdecode(name)
    path.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(list(open_video(name))) == 2
    assert len(list(open_video((tmp_path / name).as_uri()))) == 2


def test_what_cannot_be_read_twice_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: a pipe or device, which cannot be read twice"):
        open_video(tmp_path / "pipe")
    for name in ("a" * 300, "a\0b"):
        with pytest.raises(InputError, match="no such file or folder"):
            open_video(name)


def test_a_mirrored_video_is_shown_as_players_show_it(tmp_path):
    path = write_video(tmp_path / "a.mp4", [0, 0.1])
    plain = next(iter(open_video(path))).image
    unit, minus = 1 << 16, (1 << 32) - (1 << 16)
    content = bytearray(path.read_bytes())
    start = content.index(struct.pack(">9I", unit, 0, 0, 0, unit, 0, 0, 0, 1 << 30), content.index(b"tkhd"))
    for matrix, expected in [
        ((minus, 0, 0, unit), plain[:, ::-1]),
        ((unit, 0, 0, minus), plain[::-1]),
        ((0, unit, unit, 0), plain.swapaxes(0, 1)),
        ((0, minus, minus, 0), plain[::-1, ::-1].swapaxes(0, 1)),
    ]:
        a, b, c, d = matrix
        content[start : start + 36] = struct.pack(">9I", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path.write_bytes(content)
        assert np.array_equal(next(iter(open_video(path))).image, expected)


def test_a_frame_that_cannot_be_decoded_is_told_and_left_out_and_the_others_keep_their_numbers(tmp_path, capsys):
    path = write_container(tmp_path / "a.mkv", "mjpeg", "yuvj420p", 6)
    content = path.read_bytes()
    third, fourth = [at for at in range(len(content)) if content.startswith(b"\xff\xd8", at)][2:4]
    size = content[third:fourth].rindex(b"\xff\xd9") + 2
    path.write_bytes(content[:third] + bytes(size) + content[third + size :])
    frames = list(open_video(path))
    assert [f.t for f in frames] == [0, 1, 3, 4, 5]
    assert [f.time for f in frames] == pytest.approx([0, 0.1, 0.3, 0.4, 0.5])
    assert re.fullmatch(r".*a.mkv: frame 2 cannot be decoded \(.*\); frame 2 is left out\n", capsys.readouterr().err)
    with pytest.raises(InputError, match="a.mkv: frame 2 cannot be decoded"):
        list(open_video(path, strict=True))


def test_a_title_that_is_no_utf_8_is_no_reason_to_refuse_a_video(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        container.metadata["title"] = "Stra#e"
        stream = container.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0), "rgb24")))
        container.mux(stream.encode(None))
    content = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(content.replace(b"Stra#e", b"Stra\xdfe"))
    assert len(list(open_video(tmp_path / "a.mkv"))) == 1


def test_a_place_behind_which_nothing_can_be_read_ends_the_video(tmp_path):
    class Stuck:
        def demux(self, stream):
            yield from ()
            raise av.error.InvalidDataError(1, "no more")

    opened = Opened(str(write_video(tmp_path / "a.mp4", [0, 0.1])))
    opened._container = Stuck()
    assert [type(frame) for frame in opened.frames()] == [av.error.InvalidDataError] * 2
    opened._container = Stuck()
    assert opened.count() == 0


def test_a_video_that_changes_its_size_for_good_is_refused(tmp_path):
    paths = [write_container(tmp_path / "a.mjpeg", "mjpeg", "yuvj420p", 15)]
    with av.open(str(tmp_path / "b.mjpeg"), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuvj420p"
        for t in range(15):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(t, (96, 128)), "rgb24")))
        container.mux(stream.encode(None))
    paths.append(tmp_path / "b.mjpeg")
    (tmp_path / "c.mjpeg").write_bytes(b"".join(path.read_bytes() for path in paths))
    with pytest.raises(InputError, match="frame 25 is 128x96 but the video began with 64x48 .* split the video"):
        list(open_video(tmp_path / "c.mjpeg"))


def test_a_file_that_holds_less_than_its_header_states_is_told(tmp_path, capsys):
    path = write_container(tmp_path / "a.mp4", "mjpeg", "yuvj420p", 10, {"movflags": "faststart"})
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2])
    assert 3 <= len(list(open_video(path))) <= 6
    assert re.search(r"a.mp4: its header states \d frames more than are there", capsys.readouterr().err)
    with pytest.raises(InputError, match=r"a.mp4: (its header states|frame \d cannot)"):
        list(open_video(path, strict=True))
    path = write_container(tmp_path / "a.mkv", "mjpeg", "yuvj420p", 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    list(open_video(path))
    assert re.search(r"a.mkv: its header states 4.0 s, its frames end after [12].\d s", capsys.readouterr().err)


def test_pieces_of_a_recording_put_together_go_on_in_time(tmp_path, capsys):
    piece = write_container(tmp_path / "a.ts", "libx264", "yuv420p", 6).read_bytes()
    (tmp_path / "b.ts").write_bytes(piece * 3)
    assert [f.time for f in open_video(tmp_path / "b.ts")] == pytest.approx([t / 10 for t in range(18)])
    first, total = capsys.readouterr().err.splitlines()
    assert first.endswith(
        "b.ts: frame 6: its clock goes back from 0.500 to 0.000 s; the time goes on at 10 frames a second"
    )
    assert total.endswith("b.ts: 2 timestamps were mended")
    with pytest.raises(InputError, match="frame 6: its clock goes back"):
        list(open_video(tmp_path / "b.ts", strict=True))


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([7.0, 7.1, 7.2], [0, 0.1, 0.2]),
        ([-3.0, -2.9, -2.8], [0, 0.1, 0.2]),
        ([0, 0.1, 0.1, 0.1, 0.4], [0, 0.1, 0.2, 0.3, 0.4]),
        ([0, 0, 0], [0, 0.1, 0.2]),
        ([0, 0.1, 0.2, 0, 0.1, 0.3], [0, 0.1, 0.2, 0.3, 0.4, 0.6]),
        ([0, 0.1, 5000, 5000.1, 5000.3], [0, 0.1, 0.2, 0.3, 0.5]),
        ([0, 0.1, 5000, 0.3, 0.4], [0, 0.1, 0.2, 0.3, 0.4]),
        ([0, 0.1, 0.2, 0.15, 0.4], [0, 0.1, 0.2, 0.3, 0.4]),
        ([0, 0.1, 30.1, 30.2], [0, 0.1, 30.1, 30.2]),
        ([None, None, None], [0, 0.1, 0.2]),
        ([0, None, 0.2, None], [0, 0.1, 0.2, 0.3]),
    ],
)
def test_times_always_ascend(stamps, times):
    clock = Clock(10)
    assert [clock.time(stamp)[0] for stamp in stamps] == pytest.approx(times)


def test_frames_minutes_apart_are_no_jump_where_the_rate_says_so():
    clock = Clock(1 / 120)
    assert [clock.time(stamp) for stamp in (0.0, 120.0, 360.0)] == [(0.0, None), (120.0, None), (360.0, None)]


@pytest.mark.parametrize(
    ("stamps", "word"), [((0, 1, 1), "stands still"), ((0, 1, 0.5), "goes back"), ((0, 1, 900), "jumps")]
)
def test_what_is_wrong_with_a_clock_is_said(stamps, word):
    clock = Clock(1)
    assert f"its clock {word} from 1.000" in [clock.time(stamp)[1] for stamp in stamps][-1]
    assert clock.mended == 1


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"bf": "3", "x264-params": "open-gop=1"}),
        ("b.ts", "libx264", {"bf": "2"}),
        ("c.mkv", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "10"}),
        ("d.avi", "mpeg4", {}),
    ],
)
def test_an_excerpt_from_the_middle_has_the_frames_of_the_whole_and_is_not_decoded_from_the_start(
    name, codec, options, tmp_path
):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.gop_size = 96, 64, "yuv420p", 12
        base = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
        for t in range(120):
            frame = av.VideoFrame.from_ndarray(np.roll(base, t, 1), "rgb24")
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    video = open_video(tmp_path / name)
    whole = list(video)
    for first in (5, 33, 80, 118):
        part = list(excerpt(video, f"{first}:{first + 20}"))
        assert [(frame.t, frame.time, frame.name) for frame in part] == [
            (frame.t, frame.time, frame.name) for frame in whole[first : first + 20]
        ]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(part, whole[first:], strict=False))
    assert next(iter(video.starting_at(80))).t == 80
