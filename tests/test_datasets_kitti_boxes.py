"""KITTI's labelled boxes of whole objects, on literal lines, and on real labels where they are."""

from pathlib import Path

import pytest

from samodal.data.kitti_boxes import KittiBox, read_kitti_boxes
from samodal.errors import InputError
from samodal.results.kitti_mots import read_kitti_text

REAL = Path(__file__).parents[2] / "shared" / "real" / "kitti_mots_labels"

CAR = "3 7 Car 0 2 -1.79 296.7 161.5 455.2 292.25 2.0 1.8 4.4 -4.5 1.8 13.4 -2.1"
REGION = "0 -1 DontCare -1 -1 -10 219.3 188.4 245.5 218.5 -1000 -1000 -1000 -10 -1 -1 -1"


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "0000.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_line_gives_frame_track_type_levels_and_box_and_regions_to_ignore_are_left_out(tmp_path):
    path = write(tmp_path, REGION, CAR, "")
    assert read_kitti_boxes(path) == [KittiBox(3, 7, "Car", 0, 2, (296.7, 161.5, 455.2, 292.25))]


@pytest.mark.parametrize(
    ("kind", "key"), [("Car", 1007), ("Van", 1007), ("Pedestrian", 2007), ("Tram", None), ("Cyclist", None)]
)
def test_a_box_bears_the_id_of_kitti_mots_where_its_type_has_masks_there(tmp_path, kind, key):
    (box,) = read_kitti_boxes(write(tmp_path, CAR.replace("Car", kind)))
    assert box.mots_id == key


def test_a_box_is_cut_to_the_image_with_its_last_row_and_column():
    box = KittiBox(0, 0, "Car", 1, 0, (-4.0, 10.0, 20.5, 39.5))
    assert box.inside((60, 120)) == (0.0, 10.0, 21.5, 40.5)
    assert box.inside((30, 18)) == (0.0, 10.0, 18.0, 30.0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3 7 Car 0", "line 2: expected 'frame track type truncated occluded alpha x0 y0 x1 y1 …'"),
        (CAR.replace("161.5", "high"), "line 2: expected 'frame track type"),
        (CAR.replace("161.5", "nan"), "line 2: expected a box of x0 < x1 and y0 < y1"),
        (CAR.replace("455.2", "12"), "line 2: expected a box of x0 < x1 and y0 < y1"),
        (CAR.replace("Car 0 2", "Car 0 5"), "line 2: expected frame and track from 0 and occluded of 0 to 3"),
        (CAR.replace("3 7", "3 -1"), "line 2: expected frame and track from 0"),
        (CAR, "line 2: track 7 is in frame 3 twice"),
    ],
)
def test_a_damaged_line_is_named_in_one_sentence(tmp_path, line, message):
    path = write(tmp_path, CAR, line)
    with pytest.raises(InputError) as error:
        read_kitti_boxes(path)
    assert str(error.value).startswith(f"{path}, {message}") and "\n" not in str(error.value)


@pytest.mark.skipif(not REAL.exists(), reason="needs KITTI's labels beside the project (../shared/real)")
def test_ids_of_real_masks_are_those_of_the_boxes_and_types_agree_with_classes():
    masks = read_kitti_text(REAL / "instances_txt" / "0000.txt", "0000", (375, 1242), None)
    types = {}
    for box in read_kitti_boxes(REAL / "label_02" / "0000.txt"):
        types.setdefault(box.mots_id, box.type)
    assert {track.id for track in masks.tracks} <= types.keys()
    wanted = {"car": "Car", "pedestrian": "Pedestrian"}
    assert all(types[track.id] == wanted[track.category] for track in masks.tracks)
