"""What many runs came to: a table of videos, one of instances, what failed and why, and a page."""

from __future__ import annotations

import csv
import io
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from samodal.errors import InputError, missing_extra, printable
from samodal.fleet.page import page
from samodal.fleet.rows import BEGUN, COUNTS, DONE, FAILURE, MISSING, Row, rows_of
from samodal.fleet.store import Store
from samodal.remote import is_remote, local_path

SUMMARY, INSTANCES, FAILURES, PAGE = "summary.parquet", "instances.parquet", "failures.csv", "summary.html"
BATCH = 50_000
"""Rows of the table of instances that are held at a time."""


def collect(out: str) -> str:
    """Write the tables and the page into a folder of results; gives what they hold, in words.

    Args:
        out: folder, also of object storage.

    Raises:
        InputError: if there are no results, or pyarrow is missing.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise missing_extra("samodal collect", "tables") from None
    store = Store(out if is_remote(out) else local_path(out))
    rows, table = [], _Instances(pa)
    for row in rows_of(store):
        table.add(row)
        row.instances = []
        rows.append(row)
    if not rows:
        raise InputError(f"{out}: no results in it; give the folder that samodal run wrote many videos into")
    summary = pa.Table.from_pylist([row.cells() for row in rows], schema=_schema(pa))
    store.write(SUMMARY, _parquet(summary))
    store.write(INSTANCES, _parquet(table.table()))
    store.write(FAILURES, _failures(rows).encode())
    store.write(PAGE, page(str(out), rows, by_reason(rows)).encode("utf-8", "replace"))
    statuses = Counter(row.status for row in rows)
    told = ", ".join(f"{statuses[status]} {status}" for status in (DONE, FAILURE, BEGUN, MISSING) if statuses[status])
    return f"{len(rows):,} video{'s' * (len(rows) > 1)}: {told}; open {posixpath.join(str(store.out), PAGE)}"


def by_reason(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Failed videos by reason, the most frequent first; names and numbers in a reason tell no two reasons apart."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.status == FAILURE:
            plain = row.reason.replace(row.source, "…") if row.source else row.reason
            plain = re.sub(r"\S*/\S*|\d+(\.\d+)?", "…", plain)
            found[re.sub("^…:? ", "", plain)].append(row)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


class _Instances:
    """The table of instances, gathered in batches: a row is a few bytes in it."""

    def __init__(self, pa):
        self._pa, self._rows, self._batches = pa, [], []
        kinds = {"video": "string", "id": "string", "category": "string", "score": "float64"}
        kinds |= dict.fromkeys(("first", "last", "frames", "visible", "hidden", "kept"), "int64")
        kinds |= dict.fromkeys(("start", "end", "longest_hidden"), "float64")
        self._schema = pa.schema([(name, getattr(pa, kind)()) for name, kind in kinds.items()])

    def add(self, row: Row) -> None:
        """Take the instances of a video."""
        for instance in row.instances:
            texts = {"video": printable(row.name), "id": printable(instance["id"])}
            known = {name: instance.get(name) for name in self._schema.names}
            self._rows.append(known | texts | {"category": printable(instance["category"])})
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        self._batches.append(self._pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def table(self):
        """All of them."""
        self._flush()
        return self._pa.concat_tables(self._batches)


def _schema(pa):
    texts = ("name", "status", "source", "reason", "look", "report", "settings", "weights", "samodal")
    whole = (*COUNTS, "bytes", "merges")
    kinds = {name: pa.string() for name in texts} | {name: pa.int64() for name in whole}
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in Row("", "").cells()])


def _parquet(table) -> bytes:
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def _failures(rows: Iterable[Row]) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(("name", "source", "status", "reason"))
    # A spreadsheet takes a cell that begins with one of these for a formula.
    safe = lambda text: f"'{text}" if text[:1] in "=+-@" else text  # noqa: E731
    for row in rows:
        if row.status != DONE:
            writer.writerow([safe(printable(text)) for text in (row.name, row.source, row.status, row.reason)])
    return file.getvalue()
