"""COCO JSON of single images: truth with occlusion rates, and results, for evaluation.

Truth is an object with `images` and `annotations` (`segmentation`, `area`, `occlude_rate`, `iscrowd`), results
are a list of `{image_id, category_id, segmentation, score}`.
"""

from pathlib import Path

from samodal.errors import InputError
from samodal.files import read_json, read_mask
from samodal.results.entries import Annotated, Entry, without_doubles
from samodal.results.fields import (
    Area,
    Id,
    Share,
    Side,
    annotations_of,
    category_names,
    is_crowd,
    objects,
    refuse_box_alone,
    value_of,
)
from samodal.results.youtube_vis import named_category


def is_image_truth(content: object) -> bool:
    """Whether the content of a JSON file is truth of single images."""
    return isinstance(content, dict) and "images" in content and "annotations" in content


def read_image_truth(path: Path, masks: str = "amodal") -> Annotated:
    """Truth of single images; those in one folder count as one clip when clips are resampled.

    Args:
        masks: "amodal" takes `segmentation`; "visible" takes `visible_segmentation` where a file has it.

    Raises:
        InputError: if the file is damaged, an id is there twice, or an annotation has no image, no mask or one of
            another size.
    """
    content = read_json(path)
    if not is_image_truth(content):
        raise InputError(f"{path}: expected COCO 'images' and 'annotations'")
    sizes, clips = {}, {}
    for where, image in objects(content, "images", path, "image"):
        key = value_of(image, "id", Id, where)
        if key in sizes:
            raise InputError(f"{where}: a second image has this id")
        sizes[key] = (value_of(image, "height", Side, where), value_of(image, "width", Side, where))
        clips[key] = value_of(image, "file_name", str, where, "").rpartition("/")[0] or str(key)
    names = category_names(content, path)
    entries = [_entry(annotation, sizes, masks, names, where) for where, annotation in annotations_of(content, path)]
    return Annotated(sizes, dict.fromkeys(sizes, 1), without_doubles(entries, path), clips, names)


def read_image_results(path: Path, truth: Annotated, masks: str = "amodal") -> list[Entry]:
    """Results on the images of `truth`.

    Raises:
        InputError: as for truth; also for an image that the truth does not have, or a score outside [0, 1].
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise InputError(f"{path}: expected a list of results with image_id, segmentation and score")
    entries = [
        _entry(result, truth.sizes, masks, truth.categories, f"{path}: result {i}") for i, result in enumerate(content)
    ]
    return without_doubles(entries, path)


def _entry(value: dict, sizes: dict, masks: str, names: dict[Id, str], where: str) -> Entry:
    group = value_of(value, "image_id", Id, where)
    if group not in sizes:
        raise InputError(f"{where}: image_id {group} is not in the truth; were the results made on other images?")
    coded = value.get("visible_segmentation")
    if not value.get("segmentation"):
        refuse_box_alone(value, "'segmentation'", where)
    if "segmentation" not in value and "visible_segmentation" not in value:
        raise InputError(f"{where}: no mask; masks are needed ('segmentation')")
    visible = read_mask(coded, sizes[group], where)
    mask = visible if masks == "visible" and coded else read_mask(value.get("segmentation"), sizes[group], where)
    score = value_of(value, "score", Share, where, None)
    # Detections are measured anew, as the released evaluator does on loading them.
    area = value_of(value, "area", Area | None, where, None) if masks == "amodal" and score is None else None
    rate = value_of(value, "occlude_rate", Share, where, None)
    return Entry(
        group=group,
        id=value_of(value, "track_id", Id | None, where, None),
        masks=(mask,),
        visible=(visible,) if "visible_segmentation" in value else None,
        areas=(area,) if area is not None else (),
        occlusion=None if rate is None else (rate,),
        score=score,
        crowd=is_crowd(value, where),
        category=named_category(value, names, where),
    )
