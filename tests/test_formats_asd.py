"""AmodalSynthDrive's frame files."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from damage import JUNK
from samodal.data.asd import InstanceTruth, read_frame, read_visible_frame, write_frame
from samodal.errors import InputError
from samodal.rle import Rle

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
    for read in (read_frame, read_visible_frame):
        assert {str(one.id): one.category for one in read(tmp_path, 0)}[key] == right


def published(folder) -> None:
    """A frame as it is published, by hand: keys are no track ids, occluded is 0 or 1, masks are empty where not.

    Key 3 is a car (track 50) in front, key 8 one (track 3) behind it, key 9 a person (track 8) that is hidden wholly,
    key 4 a car (track 51) of which nothing is left in the image.
    """
    pixels = np.zeros(SIZE, np.uint8)
    pixels[BUS], pixels[CAR_SEEN] = 3, 8
    Image.fromarray(pixels).save(folder / "front_full_0000_aminseg.png")

    def occluded(track_id: int, category_id: int, amodal: np.ndarray, hidden: np.ndarray) -> dict:
        masks = {"amodal_mask": Rle.encode(amodal).to_coco(), "occlusion_mask": Rle.encode(hidden).to_coco()}
        return {"track_id": track_id, "category_id": category_id, "occluded": 1, "iscrowd": 0, **masks}

    entries = {
        "3": {"track_id": 50, "category_id": 26, "occluded": 0, "amodal_mask": {}, "occlusion_mask": []},
        "8": occluded(3, 26, CAR, CAR & ~CAR_SEEN),
        "9": occluded(8, 24, WALKER, WALKER),
        "4": occluded(51, 26, np.zeros(SIZE, bool), CAR),
    }
    (folder / "front_full_0000_aminseg.json").write_text(json.dumps(entries))


def test_the_map_holds_keys_and_the_identity_is_the_track_id(tmp_path):
    published(tmp_path)
    front, behind, hidden = read_frame(tmp_path, 0)
    assert [(one.id, one.category) for one in (front, behind, hidden)] == [(50, "car"), (3, "car"), (8, "person")]
    assert front.amodal == front.visible == Rle.encode(BUS)
    assert (behind.amodal, behind.visible) == (Rle.encode(CAR), Rle.encode(CAR_SEEN))
    assert (hidden.amodal, hidden.visible) == (Rle.encode(WALKER), None)
    assert [(one.id, one.visible) for one in read_visible_frame(tmp_path, 0)] == [
        (50, Rle.encode(BUS)),
        (3, Rle.encode(CAR_SEEN)),
    ]


def test_a_mask_is_empty_by_its_area_not_by_how_the_published_size_writes_it():
    empty = Rle.encode(np.zeros((1080, 1920), bool))
    assert empty.counts == "PPYo1" and empty.area == 0  # the text that the released code compares with
    assert Rle.encode(np.zeros(SIZE, bool)).counts != "PPYo1"


def test_no_damage_of_a_frame_ends_in_anything_but_a_refusal(tmp_path):
    published(tmp_path)
    path = tmp_path / "front_full_0000_aminseg.json"
    whole, refused = json.loads(path.read_text()), 0
    places = [(key, name) for key, entry in whole.items() for name in entry]
    for (key, name), junk in itertools.product(places, (*JUNK, {"size": 4, "counts": "04"})):
        path.write_text(json.dumps({**whole, key: {**whole[key], name: junk}}))
        try:
            assert len(read_frame(tmp_path, 0)) >= 2
        except InputError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 80
    for entries in ({"one": whole["3"]}, {"3": None}, {"3": []}):
        path.write_text(json.dumps(entries))
        with pytest.raises(InputError, match="0000_aminseg.json: (key 'one' is no whole|instance 3: no field)"):
            read_frame(tmp_path, 0)


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
