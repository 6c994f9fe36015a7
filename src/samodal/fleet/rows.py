"""The results in a folder of many, a row for each video: what its run.json says, or why there is none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samodal.errors import InputError, printable
from samodal.files import read_json
from samodal.fleet.store import AT_ONCE, FAILED, PARTS, Store
from samodal.results.digest import doubts
from samodal.runs.folder import REPORT, UNFINISHED

DONE, FAILURE, BEGUN, MISSING = "done", "failed", "unfinished", "not begun"
COUNTS = ("frames", "tracks", "visible", "amodal", "hidden")


@dataclass
class Row:
    """A video in the table."""

    name: str
    status: str
    source: str = ""
    reason: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float | None = None
    video_seconds: float | None = None
    bytes: int | None = None
    merges: int = 0
    doubt: float = 0.0
    look: str = ""
    report: str = ""
    made_from: dict[str, Any] = field(default_factory=dict)
    instances: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def cells(self) -> dict[str, Any]:
        """Its columns, with texts that any file can hold."""
        texts = {"name": self.name, "status": self.status, "source": self.source, "reason": self.reason}
        rate = self.counts.get("frames", 0) / self.seconds if self.seconds else None
        numbers = {name: self.counts.get(name) for name in COUNTS} | {
            "seconds": self.seconds,
            "frames_per_second": rate,
            "video_seconds": self.video_seconds,
            "bytes": self.bytes,
            "merges": self.merges,
            "doubt": self.doubt,
        }
        more = {"look": self.look, "report": self.report}
        made = {name: str(self.made_from.get(name) or "") for name in ("settings", "weights", "samodal")}
        return {
            key: printable(value) if isinstance(value, str) else value
            for key, value in (texts | numbers | more | made).items()
        }


def rows_of(store: Store) -> Iterator[Row]:
    """Every video that has a result, failed, is not finished, or was asked for, by name."""
    listed = store.videos()
    names = sorted({*store.names(), *listed} - {PARTS, UNFINISHED})
    if not store.remote:
        yield from (row for name in names if (row := _row(store, name, listed.get(name))) is not None)
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rows = pool.map(lambda name: _row(store, name, listed.get(name)), names)
        yield from (row for row in rows if row is not None)


def _row(store: Store, name: str, source: str | None) -> Row | None:
    record = store.record(name)
    if record is not None and record.get("complete") is not False:
        return _done(store, name, record)
    failed = store.read(f"{name}/{FAILED}")
    if failed is not None:
        reason = failed.decode(errors="replace").partition("\n")[0]
        return Row(name, FAILURE, source or "", reason)
    begun = record or store.record(f"{name}/{UNFINISHED}")
    if begun is not None or (not store.remote and Path(store.folder(name), PARTS).is_dir()):
        return Row(name, BEGUN, source or str((begun or {}).get("settings", {}).get("source", "")))
    return Row(name, MISSING, source) if source is not None else None


def _done(store: Store, name: str, record: dict[str, Any]) -> Row:
    summary, settings = record.get("summary") or {}, record["settings"]
    digest = record.get("digest") or _digest_of(store, name)
    outputs = {key: value for key, value in (record.get("outputs") or {}).items() if isinstance(value, dict)}
    row = Row(name, DONE, str(settings.get("source", "")))
    row.counts = {key: int(summary[key]) for key in COUNTS if isinstance(summary.get(key), int | float)}
    row.seconds, row.video_seconds = summary.get("seconds"), digest.get("seconds")
    row.bytes = sum(int(known.get("bytes") or 0) for known in outputs.values()) or None
    row.merges = len(summary.get("merges") or [])
    row.instances = digest["instances"]
    row.doubt, row.look = doubts(digest, row.merges)
    row.report = f"{name}/{REPORT}" if REPORT in outputs else ""
    weights = (record.get("inputs") or {}).get("weights") or {}
    row.made_from = {"settings": _hash(settings), "weights": weights.get("digest"), "samodal": settings.get("samodal")}
    return row


def _hash(settings: dict[str, Any]) -> str:
    """What tells the settings of a run from others: one and the same for all videos that were run alike."""
    own = {key: value for key, value in settings.items() if key not in ("video", "source", "fps", "device")}
    return hashlib.blake2b(json.dumps(own, sort_keys=True).encode(), digest_size=8).hexdigest()


def _digest_of(store: Store, name: str) -> dict[str, Any]:
    """The same of a result from before run.json held it, as far as tracks.json tells."""
    if store.remote:
        return {"seconds": None, "cuts": 0, "instances": []}
    try:
        tracks = read_json(Path(store.folder(name), "tracks.json"))
        names = {entry["id"]: entry["name"] for entry in tracks["categories"]}
        found = [(entry, [s for s in entry["states"] if s is not None]) for entry in tracks["annotations"]]
    except (InputError, KeyError, TypeError):
        return {"seconds": None, "cuts": 0, "instances": []}
    instances = [
        {
            "id": entry["track_id"], "category": names.get(entry["category_id"], ""), "frames": len(states),
            "hidden": sum(state in ("hidden", "leaving") for state in states), "longest_hidden": 0.0,
            "kept": states.count("kept"), "score": entry.get("score"),
            "visible": sum(mask is not None for mask in entry["visible_segmentations"]),
        }
        for entry, states in found
    ]  # fmt: skip
    return {"seconds": None, "cuts": 0, "instances": instances}
