"""COCO JSON of single images: truth with occlusion rates, and results, for evaluation.

Truth is an object with `images` and `annotations` (`segmentation`, `area`, `occlude_rate`, `iscrowd`), results
are a list of `{image_id, category_id, segmentation, score}`.
"""

from pathlib import Path

from samodal.errors import InputError
from samodal.files import field, read_json, read_mask
from samodal.results.entries import Annotated, Entry
from samodal.results.youtube_vis import category_names, named_category


def is_image_truth(content: object) -> bool:
    """Whether the content of a JSON file is truth of single images."""
    return isinstance(content, dict) and "images" in content and "annotations" in content


def read_image_truth(path: Path, masks: str = "amodal") -> Annotated:
    """Truth of single images; those in one folder count as one clip when clips are resampled.

    Args:
        masks: "amodal" takes `segmentation`; "visible" takes `visible_segmentation` where a file has it.

    Raises:
        InputError: if the file is damaged, or an annotation has no image or a mask of another size.
    """
    content = read_json(path)
    if not is_image_truth(content):
        raise InputError(f"{path}: expected COCO 'images' and 'annotations'")
    sizes, clips = {}, {}
    for image in content["images"]:
        where = f"{path}: image {image.get('id')}"
        sizes[field(image, "id", where)] = (
            int(field(image, "height", where)),
            int(field(image, "width", where)),
        )
        clips[image["id"]] = str(image.get("file_name", "")).rpartition("/")[0] or str(image["id"])
    names = category_names(content)
    entries = [
        _entry(annotation, sizes, masks, names, f"{path}: annotation {annotation.get('id')}")
        for annotation in content["annotations"]
    ]
    return Annotated(sizes, dict.fromkeys(sizes, 1), entries, clips, names)


def read_image_results(path: Path, truth: Annotated, masks: str = "amodal") -> list[Entry]:
    """Results on the images of `truth`.

    Raises:
        InputError: as for truth; also for an image that the truth does not have.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise InputError(f"{path}: expected a list of results with image_id, segmentation and score")
    return [
        _entry(result, truth.sizes, masks, truth.categories, f"{path}: result {i}") for i, result in enumerate(content)
    ]


def _entry(value: dict, sizes: dict, masks: str, names: dict[int, str], where: str) -> Entry:
    group = field(value, "image_id", where)
    if group not in sizes:
        raise InputError(f"{where}: image_id {group} is not in the truth; were the results made on other images?")
    coded = value.get("visible_segmentation")
    visible = read_mask(coded, sizes[group], where)
    mask = visible if masks == "visible" and coded else read_mask(value.get("segmentation"), sizes[group], where)
    # Detections are measured anew, as the released evaluator does on loading them.
    area = value.get("area") if masks == "amodal" and value.get("score") is None else None
    return Entry(
        group=group,
        id=value.get("track_id"),
        masks=(mask,),
        visible=(visible,) if "visible_segmentation" in value else None,
        areas=(area,) if area is not None else (),
        occlusion=(value["occlude_rate"],) if value.get("occlude_rate") is not None else None,
        score=value.get("score"),
        crowd=bool(value.get("iscrowd")),
        category=named_category(value, names),
    )
