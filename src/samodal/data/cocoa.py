"""COCOA: `cocoa:ANNOTATIONS.json,IMAGES`, COCO's images with amodal regions; each is a sequence of one frame.

IMAGES is the folder of COCO's images of 2014 that the annotations belong to. Class names are the annotators' own words.
"""

from pathlib import Path

from samodal.data.annotated import Report, refuse
from samodal.data.coco import AnnotatedDataset, two_paths
from samodal.data.cocoa_labels import read_cocoa
from samodal.errors import InputError
from samodal.files import read_image


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
            if name and (images / name).is_file():
                return name, read_image(images / name).shape[:2]
        raise InputError(f"{images}: none of the images {', '.join(filter(None, names))} of {annotations} is in it")

    return AnnotatedDataset(annotations, images, read_cocoa(annotations, find, report), report)
