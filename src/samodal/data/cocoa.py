"""COCOA: `cocoa:ANNOTATIONS.json,IMAGES`, COCO's images with amodal regions; each is a sequence of one frame.

    COCO_amodal_{train,val,test}2014.json    images, annotations; an annotation holds all `regions` of an image
    one annotation alone                     as demonstrations give it away, without `images`

IMAGES is the folder of COCO's images of 2014 that the annotations belong to. The regions were drawn and ordered by
depth by hand; class names are the annotators' own words.

A region: `segmentation` (amodal; one flat polygon or run lengths), `name` in free words, `isStuff`, `order` (1 in
front), `occlude_rate`, and only where it is occluded `visible_mask` and `invisible_mask` (run lengths). All regions are
read, stuff included. Source: https://github.com/Wakeupbuddy/amodalAPI, and two published annotations.
"""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from samodal.data.annotated import AnnotatedDataset, AnnotatedImage, AnnotatedSequence, Annotation, by_name, two_paths
from samodal.data.dataset import Report, collected, refuse
from samodal.data.fields import check_size, listed, usable_path, whole_number
from samodal.errors import InputError, shown
from samodal.files import check_mask, field, read_json
from samodal.pictures import image_size


def open_cocoa(path: Path, report: Report = refuse) -> AnnotatedDataset:
    """The data set of ANNOTATIONS.json,IMAGES.

    Args:
        report: gets each thing that is wrong and can be left out; by default it is raised.

    Raises:
        InputError: if files are missing, damaged, or do not fit one another.
    """
    annotations, images = two_paths(path, "cocoa")

    def find(names: list[str]) -> tuple[str, tuple[int, int]]:
        for name in names:
            if usable_path(name) and (images / name).is_file():
                return name, image_size(images / name)
        raise InputError(f"{images}: none of the images {', '.join(filter(None, names))} of {annotations} is in it")

    return AnnotatedDataset(annotations, images, read_cocoa(annotations, find, report), report)


def read_cocoa(
    path: Path, find: Callable[[list[str]], tuple[str, tuple[int, int]]], report: Report = refuse
) -> list[AnnotatedSequence]:
    """The images of a file, sorted by name, each a sequence of one frame.

    Args:
        find: for one annotation alone, which states no size: gives the first of some file names that exists, and its
            (H, W).
        report: gets each thing that is wrong; what it concerns is then left out.

    Raises:
        InputError: if the file is missing, cut off, or no such JSON; the rest goes to `report`.
    """
    content = read_json(path)
    if isinstance(content, dict) and isinstance(content.get("regions"), list):
        url = PurePosixPath(str(content.get("url", ""))).name
        name, size = find([url, f"{path.stem}.jpg", f"{path.stem}.png"])
        return [_sequence(content, name, size, path, report)]
    for name in ("images", "annotations"):
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise InputError(
                f"{path}: no list {name!r} in it; expected COCO_amodal_*2014.json, or one annotation of it"
            )
    images: dict[int, dict] = {}
    collected(content["images"], lambda entry: _add_image(images, entry, path), report)
    annotated: set[int] = set()

    def read(entry: dict) -> AnnotatedSequence:
        image = _image_of(entry, images, annotated, path)
        return _sequence(entry, image["file_name"], (image["height"], image["width"]), path, report)

    sequences = collected(content["annotations"], read, report)
    if not sequences:
        raise InputError(f"{path}: no usable annotation in it")
    return by_name(sequences, path, report)


def _add_image(images: dict[int, dict], entry: dict, path: Path) -> None:
    key = whole_number(entry, "id", f"{path}: an image")
    check_size(entry, f"{path}: image {key}")
    if not usable_path(field(entry, "file_name", f"{path}: image {key}")):
        raise InputError(f"{path}: image {key}: file_name {shown(entry['file_name'])} is no path inside IMAGES")
    if key in images:
        raise InputError(f"{path}: image {key}: a second image has this id")
    images[key] = entry


def _image_of(entry: dict, images: dict[int, dict], annotated: set[int], path: Path) -> dict:
    """The image of an annotation; each has one."""
    key = whole_number(entry, "image_id", f"{path}: an annotation")
    if key not in images:
        raise InputError(
            f"{path}: annotation {shown(entry.get('id'))}: unknown image_id {shown(key)}, 'images' does not list it"
        )
    if key in annotated:
        raise InputError(f"{path}: annotation {shown(entry.get('id'))}: a second annotation of image {key}; keep one")
    annotated.add(key)
    return images[key]


def _sequence(entry: dict, name: str, size: tuple[int, int], path: Path, report: Report) -> AnnotatedSequence:
    where = f"{path}: image {entry.get('image_id')}"
    field(entry, "regions", where)
    numbered = enumerate(listed(entry, "regions", where), start=1)
    regions = collected(numbered, lambda pair: _region(pair[1], pair[0], size, f"{where}, region {pair[0]}"), report)
    image = AnnotatedImage(name, size, 0, tuple(regions))
    return AnnotatedSequence(PurePosixPath(name).stem, (image,))


def _region(entry: dict, number: int, size: tuple[int, int], where: str) -> Annotation:
    """One region; its id is its place in the file, from 1."""
    amodal = _shape(field(entry, "segmentation", where))
    check_mask(amodal, size, f"{where}, segmentation")
    visible = entry.get("visible_mask")
    if visible is not None:
        visible = _shape(visible)
        check_mask(visible, size, f"{where}, visible_mask")
    elif entry.get("occlude_rate"):
        raise InputError(f"{where}: its occlude_rate is {entry['occlude_rate']}, but it has no visible_mask")
    order = None if entry.get("order") is None else whole_number(entry, "order", where) - 1
    name = field(entry, "name", where)
    if not isinstance(name, str):
        raise InputError(f"{where}: name {shown(name)} is no text")
    return Annotation(number, number, " ".join(name.lower().split()), amodal, visible, (), order, where)


def _shape(value: Any) -> Any:
    """One flat polygon becomes a list of polygons, as everything else expects it."""
    flat = isinstance(value, list) and value and not isinstance(value[0], list)
    return [value] if flat else value
