"""The page of many runs: what is done, what failed and why, and which results deserve a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import quote

from samodal.errors import printable
from samodal.fleet.rows import DONE, Row
from samodal.version import __version__

LOOKS, EXAMPLES, ROWS = 50, 5, 5000
"""Videos worth a look, failed ones of a reason, and videos in all that the page shows; the tables hold all."""


def page(title: str, rows: Sequence[Row], reasons: Mapping[str, Sequence[Row]]) -> str:
    """The page as HTML: one file, without scripts and without a network."""
    template = Template(files("samodal.fleet").joinpath("page.html").read_text(encoding="utf-8"))
    looks = sorted((row for row in rows if row.doubt > 0), key=lambda row: (-row.doubt, row.name))[:LOOKS]
    return template.substitute(
        title=_text(title),
        version=_text(__version__),
        facts="".join(f"<div><b>{_text(number)}</b> {_text(what)}</div>" for number, what in _facts(rows)),
        reasons="".join(_reason(reason, failed) for reason, failed in reasons.items()) or "<p>Nothing failed.</p>",
        looks=_table(looks) if looks else "None stands out.",
        rows="".join(_video(row) for row in rows[:ROWS]),
        rest=f"<p>The first {ROWS} of {len(rows)}; summary.parquet holds all.</p>" if len(rows) > ROWS else "",
    )


def _facts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    done = [row for row in rows if row.status == DONE]
    frames, spent = sum(row.counts.get("frames", 0) for row in done), sum(row.seconds or 0 for row in done)
    shown, size = sum(row.video_seconds or 0 for row in done), sum(row.bytes or 0 for row in done)
    statuses = Counter(row.status for row in rows)
    facts = [(f"{count:,}", status) for status, count in statuses.most_common()]
    facts += [(_duration(shown), "of video"), (_duration(spent), "of work, all workers together")]
    facts += [(f"{frames / spent:,.1f}", "frames a second of a worker")] if spent else []
    facts += [(_size(size), "of results")]
    facts += [(f"{sum(row.counts.get('tracks', 0) for row in done):,}", "instances")]
    kinds = {(row.made_from.get("settings"), row.made_from.get("weights")) for row in done}
    return facts + (
        [(str(len(kinds)), "different settings or weights: these results do not compare")] * (len(kinds) > 1)
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _size(count: int) -> str:
    unit, name = next(pair for pair in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if count >= pair[0] or pair[1] == "kB")
    return f"{count / unit:,.1f} {name}"


def _table(looks: Sequence[Row]) -> str:
    rows = "".join(_cells(_link(row), row.look) for row in looks)
    return f'<div class="wide"><table><tr><th>video</th><th>why</th></tr>\n{rows}</table></div>'


def _reason(reason: str, failed: Sequence[Row]) -> str:
    shown = "".join(f"<li>{_text(row.name)}: {_text(row.reason)}</li>" for row in failed[:EXAMPLES])
    more = f"<li>and {len(failed) - EXAMPLES} more, in failures.csv</li>" if len(failed) > EXAMPLES else ""
    return f"<details open><summary><b>{len(failed)}</b> {_text(reason)}</summary><ul>{shown}{more}</ul></details>"


def _video(row: Row) -> str:
    rate = row.counts.get("frames", 0) / row.seconds if row.seconds else None
    return _cells(
        _link(row),
        row.status,
        *(f"{row.counts[name]:,}" if name in row.counts else "" for name in ("frames", "tracks", "hidden")),
        "" if rate is None else f"{rate:.1f}",
        row.reason or row.look,
    )


def _link(row: Row) -> str:
    """The name, which leads to the report where there is one; already HTML."""
    name = _text(row.name)
    return _Html(f'<a href="{escape(quote(row.report, errors="surrogateescape"))}">{name}</a>' if row.report else name)


class _Html(str):
    """A text that is HTML already."""


def _cells(*texts: str) -> str:
    return f"<tr>{''.join(f'<td>{t if isinstance(t, _Html) else _text(t)}</td>' for t in texts)}</tr>\n"


def _text(text: str) -> str:
    return escape(printable(text))
