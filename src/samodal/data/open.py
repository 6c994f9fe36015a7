"""Opening a data set by what the user writes: KIND:PATH."""

import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from samodal.data.asd import open_asd
from samodal.data.chewing_gum import open_chewing_gum
from samodal.data.coco import open_coco, open_coco_vid
from samodal.data.cocoa import open_cocoa
from samodal.data.dataset import ALL_CROWDS, Dataset, Report, refuse
from samodal.data.kins import open_kins
from samodal.data.kinscar import open_kinscar
from samodal.data.kitti_mots import open_kitti_mots
from samodal.data.sailvos import open_sailvos, open_sailvos_cut
from samodal.data.streetsim import open_streetsim
from samodal.data.ytvis import open_ytvis
from samodal.errors import InputError
from samodal.loading import once


class Kind(NamedTuple):
    """A kind of data set.

    Attributes:
        open: gives the data set of a path; where it reports, of a path and a `Report`.
        reports: whether it can go on past what is broken, as those of one annotation file.
    """

    open: Callable[..., Dataset]
    reports: bool = False


KINDS = {
    "asd": Kind(open_asd),
    "streetsim": Kind(open_streetsim),
    "kins": Kind(open_kins),
    "kinscar": Kind(open_kinscar),
    "kitti_mots": Kind(open_kitti_mots),
    "coco": Kind(open_coco, reports=True),
    "cocoa": Kind(open_cocoa, reports=True),
    "coco-vid": Kind(open_coco_vid, reports=True),
    "ytvis": Kind(open_ytvis, reports=True),
    "sailvos": Kind(open_sailvos, reports=True),
    "sailvos-cut": Kind(open_sailvos_cut, reports=True),
    "chewing-gum": Kind(open_chewing_gum),
}
"""StreetSim is written in AmodalSynthDrive's layout, and chewing-gum has no files at all."""


def open_dataset(text: str, report: Report = refuse) -> Dataset:
    """Open what KIND:PATH means, such as "asd:ROOT/val" or "coco:ANNOTATIONS.json,IMAGES"; docs/data.md has all kinds.

    Args:
        report: gets each thing that is wrong and can be left out, where the kind reports; by default it is raised.

    Raises:
        InputError: if the kind is unknown (names the nearest known one) or the folder is not of that layout.
    """
    name, colon, path = text.partition(":")
    if name in KINDS and path:
        kind = KINDS[name]
        dataset = kind.open(Path(path), report) if kind.reports else kind.open(Path(path))
        if report is refuse and (crowds := dataset.crowds_alone()):
            print(f"{path}: {ALL_CROWDS.format(f'all {crowds} annotations are crowds')}", file=sys.stderr)
        return dataset
    known = ", ".join(f"{name}:PATH" for name in KINDS)
    if not colon or not path:
        raise InputError(f"data {text!r}: expected one of {known}")
    near = get_close_matches(name, KINDS, n=1, cutoff=0.0)
    raise InputError(f"data {text!r}: unknown kind {name!r}; did you mean {near[0]}:{path}? Known: {known}")


@once(4)
def opened(text: str) -> Dataset:
    """What `open_dataset` gives, once per process: opening lists every sequence. `opened.forget()` looks again."""
    return open_dataset(text)


def several(text: str) -> list[str]:
    """The data sets of a list that commas separate; a comma within one, as in coco:A.json,IMAGES, separates none."""
    return re.split(rf",(?=(?:{'|'.join(KINDS)}):)", text)
