"""AmodalSynthDrive's frame files."""

import json

import numpy as np
import pytest

from samodal.errors import InputError
from samodal.formats.asd import InstanceTruth, read_frame, write_frame
from samodal.masks import Rle

SIZE = (4, 6)


def mask(*rows: str) -> np.ndarray:
    """A mask drawn with # and ."""
    return np.array([[c == "#" for c in row] for row in rows])


CAR = mask("......", ".####.", ".####.", "......")
CAR_SEEN = mask("......", ".##...", ".##...", "......")
BUS = mask("...##.", "...##.", "...##.", "...##.")
WALKER = mask("......", "....#.", "....#.", "......")


def scene() -> list[InstanceTruth]:
    """A bus in front of a car, and a person behind the bus."""
    return [
        InstanceTruth(1001, "car", Rle.encode(CAR), Rle.encode(CAR_SEEN), 1),
        InstanceTruth(7, "bus", Rle.encode(BUS), Rle.encode(BUS), 0),
        InstanceTruth(40000, "person", Rle.encode(WALKER), None, 2),
    ]


def test_a_frame_comes_back_as_it_was_written(tmp_path):
    write_frame(tmp_path, 7, scene(), SIZE)
    assert (tmp_path / "front_full_0007_aminseg.png").exists()
    found = read_frame(tmp_path, 7)
    for one, other in zip(scene(), found, strict=True):
        assert (one.id, one.category, one.depth_order) == (other.id, other.category, other.depth_order)
        assert one.amodal == other.amodal and one.visible == other.visible


def test_masks_are_written_only_for_the_occluded(tmp_path):
    write_frame(tmp_path, 0, scene(), SIZE)
    entries = json.loads((tmp_path / "front_full_0000_aminseg.json").read_text())
    assert entries["7"] == {
        "track_id": 7,
        "category_id": 28,
        "occluded": False,
        "iscrowd": 0,
        "bbox": [3.0, 0.0, 2.0, 4.0],
        "depth_order": 0,
    }
    hidden = Rle.from_coco(entries["1001"]["occlusion_mask"], SIZE).decode()
    np.testing.assert_array_equal(hidden, CAR & ~CAR_SEEN)


def test_an_occlusion_mask_that_leaves_the_amodal_one_does_not_wrap(tmp_path):
    write_frame(tmp_path, 0, scene(), SIZE)
    path = tmp_path / "front_full_0000_aminseg.json"
    entries = json.loads(path.read_text())
    entries["1001"]["occlusion_mask"] = Rle.encode(BUS).to_coco()
    path.write_text(json.dumps(entries))
    np.testing.assert_array_equal(read_frame(tmp_path, 0)[0].visible.decode(), CAR_SEEN)


@pytest.mark.parametrize(("wrong", "right"), [(21, "truck"), (11, "car")])
@pytest.mark.parametrize("key", ["7", "1001"])
def test_the_two_published_wrong_classes_are_mended_occluded_or_not(tmp_path, wrong, right, key):
    write_frame(tmp_path, 0, scene(), SIZE)
    path = tmp_path / "front_full_0000_aminseg.json"
    entries = json.loads(path.read_text())
    entries[key]["category_id"] = wrong
    path.write_text(json.dumps(entries))
    assert {str(one.id): one.category for one in read_frame(tmp_path, 0)}[key] == right


def test_an_annotation_without_any_amodal_pixel_is_left_out(tmp_path):
    write_frame(tmp_path, 0, scene(), SIZE)
    path = tmp_path / "front_full_0000_aminseg.json"
    entries = json.loads(path.read_text())
    entries["1001"]["amodal_mask"] = Rle.encode(np.zeros(SIZE)).to_coco()
    entries["12"] = {"track_id": 12, "category_id": 26, "occluded": False}
    path.write_text(json.dumps(entries))
    assert [one.id for one in read_frame(tmp_path, 0)] == [7, 40000]


def test_a_frame_without_instances_is_read(tmp_path):
    write_frame(tmp_path, 0, [], SIZE)
    assert read_frame(tmp_path, 0) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "cut off"),
        (lambda text: text.replace('"size":[4,6]', '"size":[6,4]'), "instance 1001.*6x4.*4x6"),
        (
            lambda text: text.replace('"track_id":7', '"track_id":1001'),
            "two instances have the track_id 1001",
        ),
        (lambda text: text.replace('"category_id":28', '"category_id":99'), "unknown category_id 99"),
        (lambda text: text.replace('"track_id":7,', ""), "no field 'track_id'"),
        (lambda text: "[]", "keyed by instance id"),
    ],
)
def test_damaged_json_is_refused_with_the_file_name(tmp_path, damage, message):
    write_frame(tmp_path, 3, scene(), SIZE)
    path = tmp_path / "front_full_0003_aminseg.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=f"front_full_0003_aminseg.*{message}"):
        read_frame(tmp_path, 3)


def test_a_missing_or_damaged_map_is_refused(tmp_path):
    write_frame(tmp_path, 3, scene(), SIZE)
    path = tmp_path / "front_full_0003_aminseg.png"
    with pytest.raises(InputError, match="0003_aminseg.png: expected 8x6"):
        read_frame(tmp_path, 3, size=(8, 6))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="0003_aminseg.png: damaged"):
        read_frame(tmp_path, 3)
    path.unlink()
    with pytest.raises(InputError, match="0003_aminseg.png: no such file"):
        read_frame(tmp_path, 3)


@pytest.mark.parametrize(
    "broken",
    [
        [InstanceTruth(0, "car", Rle.encode(CAR), Rle.encode(CAR))],
        [InstanceTruth(5, "car", Rle.encode(CAR), None)] * 2,
        [
            InstanceTruth(5, "car", Rle.encode(CAR), Rle.encode(CAR)),
            InstanceTruth(6, "bus", Rle.encode(BUS), Rle.encode(BUS)),
        ],
        [InstanceTruth(5, "car", Rle.encode(CAR_SEEN), Rle.encode(CAR))],
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path, broken):
    with pytest.raises(ValueError):
        write_frame(tmp_path, 0, broken, SIZE)
