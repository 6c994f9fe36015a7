"""Opening a data set by what the user writes: KIND:PATH."""

import re
from difflib import get_close_matches
from pathlib import Path

from samodal.data.annotated import Report, refuse
from samodal.data.asd import AsdDataset, open_asd
from samodal.data.chewing_gum import open_chewing_gum
from samodal.data.coco import AnnotatedDataset, open_coco, open_coco_vid, open_ytvis
from samodal.data.cocoa import open_cocoa
from samodal.data.kins import KinsDataset, open_kins
from samodal.data.kinscar import open_kinscar
from samodal.data.kitti_mots import open_kitti_mots
from samodal.data.sailvos import open_sailvos, open_sailvos_cut
from samodal.errors import InputError

KINDS = {
    "asd": open_asd,
    "streetsim": open_asd,
    "kins": open_kins,
    "kinscar": open_kinscar,
    "kitti_mots": open_kitti_mots,
    "coco": open_coco,
    "cocoa": open_cocoa,
    "coco-vid": open_coco_vid,
    "ytvis": open_ytvis,
    "sailvos": open_sailvos,
    "sailvos-cut": open_sailvos_cut,
    "chewing-gum": open_chewing_gum,
}
"""How each kind is opened; StreetSim is written in AmodalSynthDrive's layout, and chewing-gum has no files at all."""

_REPORTING = ("coco", "cocoa", "coco-vid", "ytvis", "sailvos", "sailvos-cut")


def open_dataset(text: str, report: Report = refuse) -> AsdDataset | KinsDataset | AnnotatedDataset:
    """Open what KIND:PATH means, such as "asd:ROOT/val" or "coco:ANNOTATIONS.json,IMAGES"; docs/data.md has all kinds.

    Args:
        report: gets each thing that is wrong and can be left out, where the kind can go on without it (those of one
            annotation file); by default it is raised.

    Raises:
        InputError: if the kind is unknown (names the nearest known one) or the folder is not of that layout.
    """
    kind, colon, path = text.partition(":")
    if kind in KINDS and path:
        return KINDS[kind](Path(path), report) if kind in _REPORTING else KINDS[kind](Path(path))
    known = ", ".join(f"{name}:PATH" for name in KINDS)
    if not colon or not path:
        raise InputError(f"data {text!r}: expected one of {known}")
    near = get_close_matches(kind, KINDS, n=1, cutoff=0.0)
    raise InputError(f"data {text!r}: unknown kind {kind!r}; did you mean {near[0]}:{path}? Known: {known}")


def several(text: str) -> list[str]:
    """The data sets of a list that commas separate; a comma within one, as in coco:A.json,IMAGES, separates none."""
    return re.split(rf",(?=(?:{'|'.join(KINDS)}):)", text)
