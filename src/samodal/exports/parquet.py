"""Parquet: a row for each instance and frame, with masks as COCO's run lengths. Needs pyarrow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from samodal.exports.source import Source
from samodal.exports.table import row
from samodal.masks import Mask
from samodal.outputs import writing
from samodal.version import __version__

ROWS = 4096
"""Of a row group: what is in memory at a time."""
WORDS = pa.dictionary(pa.int32(), pa.string())
BOX = [(f"{kind}_{name}", pa.float32()) for kind in ("visible", "amodal") for name in ("x0", "y0", "x1", "y1")]
SCHEMA = pa.schema([
    ("video", WORDS), ("frame", pa.int32()), ("time_s", pa.float64()), ("file_name", pa.string()), ("id", pa.string()),
    ("track", pa.int32()), ("category", WORDS), ("state", WORDS), ("score", pa.float32()),
    ("visible_share", pa.float32()), *BOX, ("height", pa.int32()), ("width", pa.int32()),
    ("visible_rle", pa.binary()), ("amodal_rle", pa.binary()), ("hidden_by", pa.list_(pa.string())),
    ("hidden_by_share", pa.list_(pa.float32())), ("expected_iou", pa.float32()), ("seconds_since_seen", pa.float32()),
])  # fmt: skip


def write(source: Source, path: Path) -> list[str]:
    """Write the file; gives what it does not hold."""
    about = {"samodal": __version__, "clip": source.name, "fps": source.fps, "settings": source.settings}
    schema = SCHEMA.with_metadata({"samodal": json.dumps(about)})
    with writing(path) as partial, parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for value in _rows(source):
            rows.append(value)
            if len(rows) == ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema))
    return []


def _rows(source: Source) -> Iterator[dict[str, Any]]:
    height, width = source.size
    for shot in source.shots():
        for key, instance in shot.instances:
            values = row(shot.result, instance, key)
            yield values | {
                "video": _text(source.name), "frame": shot.number, "file_name": _text(shot.name), "id": _text(key),
                "category": _text(values["category"]),
                "track": source.contents.tracks[key].number, "height": height, "width": width,
                "visible_rle": _bytes(instance.visible), "amodal_rle": _bytes(instance.amodal),
                "hidden_by": [_text(other) for other in values["hidden_by"]],
            }  # fmt: skip


def _text(value: int | str) -> str:
    """A text in UTF-8, which has no room for half a surrogate pair, as JSON may hold it."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _bytes(mask: Mask | None) -> bytes | None:
    return mask.counts.encode("ascii") if mask else None
