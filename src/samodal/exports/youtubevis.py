"""YouTube-VIS results: a list of `{video_id, category_id, score, segmentations}`, a mask or null for every frame.

Source: https://youtube-vos.org/dataset/vis. Truth of this form is what tracks.json of each run is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samodal.errors import InputError
from samodal.exports.folder import export_folder
from samodal.exports.json_lines import write_list
from samodal.exports.source import Losses, Source
from samodal.results.by_track import track_score
from samodal.results.spool import Spool
from samodal.results.tracks_json import LARGEST_DENSE

KINDS = ("amodal", "visible")


def write(source: Source, path: Path) -> list[str]:
    """Write amodal.json and visible.json; gives what they do not hold.

    Raises:
        InputError: where the nulls of absent instances would fill gigabytes.
    """
    contents, losses = source.contents, Losses(source)
    values = len(contents.tracks) * len(contents.numbers)
    if values > LARGEST_DENSE:
        raise InputError(
            f"{source.where}: {len(contents.tracks)} tracks in {len(contents.numbers)} frames are too many for "
            "youtubevis, which has a value for each; give coco or parquet, or run fewer frames"
        )
    with export_folder(path, source, "youtubevis") as folder, Spool(folder) as rows:
        for t, shot in enumerate(source.shots()):
            for key, instance in shot.instances:
                masks = [mask.to_coco() if mask else None for mask in (instance.amodal, instance.visible)]
                rows.add(key, [t, *masks, instance.score, str(instance.state)])
        for kind in KINDS:
            with (folder / f"{kind}.json").open("w", encoding="utf-8") as file:
                write_list(file, _results(source, rows, kind, losses))
    return losses.lines()


def _results(source: Source, rows: Spool, kind: str, losses: Losses) -> Iterator[dict[str, Any]]:
    contents, place = source.contents, 1 + KINDS.index(kind)
    for key in rows:
        values = list(rows.values(key))
        masks = {value[0]: value[place] for value in values if value[place] is not None}
        if not masks:
            continue
        score = track_score([value[3] for value in values], [value[4] for value in values])
        if score is None:
            losses.add(f"tracks of {kind} masks that get the score 1, as they have none")
        yield {
            "video_id": 1,
            "category_id": contents.categories[contents.tracks[key].category],
            "score": 1.0 if score is None else score,
            "segmentations": [masks.get(t) for t in range(len(contents.numbers))],
            "track_id": contents.tracks[key].number,
        }
