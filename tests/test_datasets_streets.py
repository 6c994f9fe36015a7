"""Pictures of streets with boxes: what is read, what is refused, and which pictures are never trained on."""

import json
from pathlib import Path

import pytest

from samodal.data.streets import CROWD, held_out, read_streets
from samodal.errors import InputError

CATEGORIES = [{"id": 1, "name": "person"}, {"id": 7, "name": "other_vehicle"}]


def box(number: int, image: int, kind: int = 1, bbox: tuple = (2, 3, 10, 20), **more) -> dict:
    return {"id": number, "image_id": image, "category_id": kind, "bbox": list(bbox), **more}


def write(folder: Path, names: list[str], annotations: list[dict]) -> Path:
    folder.mkdir(parents=True)
    images = [{"id": n, "file_name": name} for n, name in enumerate(names, start=1)]
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def kept(folder: Path) -> list[str]:
    return [picture.path.name for picture in held_out(folder)]


def test_boxes_have_corners_and_class_names_and_pictures_come_by_file_name(tmp_path):
    boxes = [box(1, 1), box(2, 1, 7, (0.5, 0, 1, 2)), box(3, 1, iscrowd=1)]
    first, second = read_streets(write(tmp_path / "town", ["b.jpg", "a.jpg"], boxes))
    assert (first.path, first.boxes) == (tmp_path / "town" / "images" / "a.jpg", ())
    person, other, crowd = second.boxes
    assert person == ("person", (2, 3, 12, 23))
    assert other == ("other_vehicle", (0.5, 0, 1.5, 2))
    assert crowd[0] == CROWD


def test_pictures_whose_number_ends_in_0_or_5_are_kept_out_of_training(tmp_path):
    names = [f"{n:02d}.jpg" for n in (3, 1, 9, 2, 5, 4, 7, 6, 8, 0, 10)]
    assert kept(write(tmp_path / "town", names, [])) == ["00.jpg", "05.jpg", "10.jpg"]


def test_of_dhaka_the_pictures_of_two_photographers_are_kept_out(tmp_path):
    names = ["Pias--1-.jpg", "Asraf_01.jpg", "Piash_3.jpg", "01.jpg", "MyPias_2.jpg", "Pias (2).jpg"]
    assert kept(write(tmp_path / "dhaka", names, [])) == ["Asraf_01.jpg", "Pias (2).jpg", "Pias--1-.jpg"]


@pytest.mark.parametrize(
    "annotations, reason",
    [
        ([box(1, 1, 9)], "annotation 1: its category 9 is not among the categories"),
        ([box(1, 1, bbox=(0, 0, 0, 4))], "annotation 1: expected a bbox of width and height above 0, got 0 and 4"),
        ([box(1, 1, bbox=(0, 0, 4))], "annotation 1: bbox must be"),
        ([box(1, 5)], "annotations of an image 5 that is not among its images"),
        ([box(1, 1), box(1, 1)], "annotation 1: a second annotation has this id"),
    ],
)
def test_what_is_damaged_is_named(tmp_path, annotations, reason):
    with pytest.raises(InputError, match=reason):
        read_streets(write(tmp_path / "town", ["a.jpg"], annotations))


def test_a_file_name_that_leads_out_of_the_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="image 1: the name '../a.jpg' cannot name"):
        read_streets(write(tmp_path / "town", ["../a.jpg"], []))


def test_a_list_is_no_annotations(tmp_path):
    (tmp_path / "annotations.json").write_text("[]")
    with pytest.raises(InputError, match="expected COCO's form"):
        read_streets(tmp_path)
