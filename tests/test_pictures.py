"""Pictures as cameras and tools write them, and folders as people have them."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from samodal.errors import InputError
from samodal.pictures import check_single, common_size, frame_numbers, frames_in, image_size, read_image, read_map

UPRIGHT = np.zeros((6, 9, 3), np.uint8)
UPRIGHT[:2, :3] = (255, 255, 255)
STORED = {  # how each EXIF orientation stores the picture
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.swapaxes(0, 1),
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(UPRIGHT, -1),
}


def oriented(path, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(STORED.get(orientation, UPRIGHT))).save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_a_picture_is_turned_and_mirrored_as_its_orientation_says(tmp_path, suffix, orientation):
    options = {"lossless": True} if suffix == ".webp" else {}
    path = oriented(tmp_path / f"a{suffix}", orientation, **options)
    assert np.array_equal(read_image(path), UPRIGHT)
    assert image_size(path) == (6, 9)


@pytest.mark.parametrize("orientation", STORED)
def test_a_jpeg_is_read_as_pillow_reads_it(tmp_path, orientation):
    noise = np.random.default_rng(orientation).integers(0, 256, (53, 77, 3), np.uint8)
    picture, exif = Image.fromarray(noise).resize((154, 106)), Image.Exif()
    exif[0x0112] = orientation
    for n, options in enumerate(({"subsampling": 0}, {"subsampling": 2}, {"progressive": True}, {"keep_rgb": True})):
        path = tmp_path / f"{n}.jpg"
        picture.save(path, exif=exif, quality=70 + orientation, **options)
        with Image.open(path) as stored:
            assert np.array_equal(read_image(path), np.asarray(ImageOps.exif_transpose(stored)))


def test_a_jpeg_that_is_cut_off_is_refused_and_one_with_a_tail_is_read(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(path)
    whole, data = read_image(path), path.read_bytes()
    path.write_bytes(data + b"tail")
    assert np.array_equal(read_image(path), whole)
    path.write_bytes(data[: -len(data) // 8])
    with pytest.raises(InputError, match="damaged picture"):
        read_image(path)


def test_a_jpeg_that_is_broken_in_the_middle_is_refused_although_it_ends_as_one(tmp_path):
    path = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    half = len(data) - 1000
    path.write_bytes(data[:half] + b"\xff\xc4\xff\xf0" + data[half:])  # tables that would reach beyond the file
    with pytest.raises(InputError, match="damaged picture"):
        read_image(path)


def test_an_orientation_that_is_none_leaves_the_picture_as_it_is(tmp_path):
    assert np.array_equal(read_image(oriented(tmp_path / "a.png", 9)), UPRIGHT)


def test_labels_drawn_on_stored_pixels_get_stored_pixels(tmp_path):
    path = oriented(tmp_path / "a.png", 6)
    assert np.array_equal(read_image(path, (9, 6), unturned=True), STORED[6])
    assert np.array_equal(read_image(path, (6, 9), unturned=True), UPRIGHT)
    with pytest.raises(InputError, match=r"a.png: 6x9 \(height x width\), but 9x6 was expected"):
        read_image(path, (9, 6))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bits_of_grey_are_brought_to_eight(tmp_path, suffix):
    values = np.array([[0, 600, 20000], [52000, 65535, 255]], np.uint16)
    if suffix == ".pgm":
        (tmp_path / "a.pgm").write_bytes(b"P5 3 2 65535\n" + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(tmp_path / f"a{suffix}")
    image = read_image(tmp_path / f"a{suffix}")
    assert image.shape == (2, 3, 3) and image[..., 1].tolist() == [[0, 2, 78], [203, 255, 0]]


def test_thirty_two_bits_have_no_range_and_are_refused(tmp_path):
    Image.fromarray(np.full((2, 3), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="a.tif: its pixels are 32-bit numbers without a known range"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "CMYK"])
def test_grey_palettes_and_transparency_become_rgb(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(UPRIGHT).convert(mode).save(path)
    assert np.array_equal(read_image(path), UPRIGHT)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claimed(width, height, more=b""):
    """A PNG of a few bytes that claims a size."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("read", [read_image, image_size, read_map, check_single])
@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((30000, 30000), "900,000,000 pixels; the limit is 178,956,970"),
        ((23171, 1), "23171x1 pixels .*; the limit is 23170 on a side"),
    ],
)
def test_a_picture_that_claims_too_much_is_refused_by_the_limit_before_it_is_decoded(tmp_path, size, message, read):
    (tmp_path / "a.png").write_bytes(claimed(*size))
    with pytest.raises(InputError, match=f"a.png: {message}"):
        read(tmp_path / "a.png")


def test_a_picture_of_another_size_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "a.png").write_bytes(claimed(9000, 9000))  # there is nothing to decode
    with pytest.raises(InputError, match=r"a.png: 9000x9000 \(height x width\), but 40x60 was expected"):
        read_image(tmp_path / "a.png", (40, 60))


DAMAGED = {
    "text": b"no picture",
    "nothing": b"",
    "no pixels": claimed(5, 5),
    "a chunk that is none": claimed(5, 5, chunk(b"\x01\x02\x03\x04", b"abc")),
    "a text that takes much room": claimed(5, 5, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2 << 20)))),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_picture_is_one_line(tmp_path, damage):
    (tmp_path / "a.png").write_bytes(DAMAGED[damage])
    with pytest.raises(InputError, match="a.png: damaged picture") as caught:
        read_image(tmp_path / "a.png")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [MemoryError("no room"), zlib.error("bad"), IndexError("x"), struct.error("y")])
def test_whatever_ends_decoding_is_one_line(tmp_path, monkeypatch, error):
    def fail(*arguments):
        raise error

    Image.fromarray(UPRIGHT).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(InputError, match="a.png: damaged picture"):
        read_image(tmp_path / "a.png")


def test_an_animation_is_no_single_picture(tmp_path):
    first = Image.fromarray(UPRIGHT)
    first.save(tmp_path / "a.webp", save_all=True, append_images=[Image.fromarray(255 - UPRIGHT)])
    with pytest.raises(InputError, match="a.webp: holds 2 pictures; save them as a folder of pictures, or as a video"):
        check_single(tmp_path / "a.webp")
    first.save(tmp_path / "b.webp")
    assert check_single(tmp_path / "b.webp") == (6, 9)


def folder(path, names):
    path.mkdir()
    for name in names:
        Image.fromarray(UPRIGHT).save(path / name)
    return path


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["8.png", "9.png", "10.png", "100.png"], (8, 9, 10, 100)),
        (["frame-2.jpg", "frame-11.JPG"], (2, 11)),
        (["2011_09_26_0000000009.png", "2011_09_26_0000000010.png"], (9, 10)),
        (["shot (1).png", "shot (2).png", "shot (10).png"], (1, 2, 10)),
        (["لقطة٢.png", "لقطة١٠.png"], (2, 10)),
        (["1305.25.png", "1305.5.png", "1306.png"], None),
        (["12-9-30.png", "12-10-1.png"], None),
        (["left_1.png", "left_2.png", "right_1.png"], None),
        (["a.png", "b.png"], None),
        (["0007.png"], (7,)),
    ],
)
def test_numbers_in_names_are_compared_as_numbers(tmp_path, names, numbers):
    frames = frames_in(folder(tmp_path / "drive", sorted(names)))
    assert [file.name for file in frames.files] == names
    assert frames.numbers == numbers == frame_numbers([name.rpartition(".")[0] for name in names])


def test_what_other_systems_leave_behind_is_no_frame(tmp_path):
    drive = folder(tmp_path / "drive", ["1.png", "2.png"])
    for name in ("._1.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.jpg", "notes.txt"):
        (drive / name).write_bytes(b"\0")
    (drive / "3.png").mkdir()
    assert [file.name for file in frames_in(drive).files] == ["1.png", "2.png"]
    above = tmp_path / "above"
    for name in ("__MACOSX", "@eaDir", ".cache", "frames"):
        folder_of = above / name
        folder_of.mkdir(parents=True)
        (folder_of / "1.png").write_bytes(b"")
    with pytest.raises(InputError, match="above: no pictures .*; its subfolder frames has 1 pictures: give that"):
        frames_in(above)


def test_a_picture_without_a_number_among_many_with_one_is_no_frame(tmp_path):
    drive = folder(tmp_path / "drive", [*(f"{n}.png" for n in range(12)), "cover.jpg"])
    assert [file.name for file in frames_in(drive).foreign] == ["cover.jpg"]
    assert len(frames_in(folder(tmp_path / "few", ["1.png", "2.png", "last.png"])).files) == 3


def test_two_pictures_for_one_frame_are_refused(tmp_path):
    with pytest.raises(InputError, match="drive: 1.jpg and 1.png are both frame 1"):
        frames_in(folder(tmp_path / "drive", ["1.png", "1.jpg", "2.png"]))


def test_pictures_of_rarer_kinds_are_frames_where_there_are_no_others(tmp_path):
    assert len(frames_in(folder(tmp_path / "thermal", ["1.tif", "2.tiff"])).files) == 2
    assert [file.name for file in frames_in(folder(tmp_path / "both", ["1.png", "1.tif"])).files] == ["1.png"]


def test_the_size_of_a_folder_is_that_of_most_pictures_past_damaged_ones(tmp_path):
    drive = folder(tmp_path / "drive", [f"{n}.png" for n in range(5)])
    Image.fromarray(UPRIGHT[:4]).save(drive / "0.png")
    (drive / "1.png").write_bytes(b"")
    assert common_size(frames_in(drive).files) == (6, 9)
    with pytest.raises(InputError, match="1.png: damaged picture"):
        common_size([drive / "1.png"])


def test_a_picture_of_a_rarer_kind_is_a_frame_where_its_number_is_missing_among_the_others(tmp_path):
    mixed = folder(tmp_path / "mixed", ["0.png", "1.jpg", "2.tif", "3.png", "0.tif", "notes.tif"])
    assert [path.name for path in frames_in(mixed).files] == ["0.png", "1.jpg", "2.tif", "3.png"]


def test_depth_maps_with_numbers_of_their_own_are_no_frames(tmp_path):
    both = folder(tmp_path / "both", ["0.png", "1.png", "0000.tif", "0001.tif"])
    assert [path.name for path in frames_in(both).files] == ["0.png", "1.png"]


def test_opencv_is_given_whole_jpegs_alone(tmp_path, monkeypatch):
    """It reads many formats, some of them carelessly; all others are Pillow's."""
    import cv2

    given = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: given.append(len(data)) or decode(data, flags))
    picture = Image.fromarray(np.full((16, 24, 3), 90, np.uint8))
    picture.save(tmp_path / "whole.jpg")
    picture.save(tmp_path / "other.jpg", format="PNG")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "tail.jpg").write_bytes(whole + b"more")
    for name in ("whole.jpg", "other.jpg", "tail.jpg"):
        assert abs(read_image(tmp_path / name).astype(int) - 90).max() <= 2
    assert given == [len(whole)]
