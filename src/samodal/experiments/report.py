"""What an experiment found: a record for JSON, and the same as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from samodal.errors import printable
from samodal.experiments.config import Experiment, Relation
from samodal.experiments.plan import Planned

MARGIN = 0.5
"""Points that two means must be apart before a claim about them counts as found."""
PIXELS = ("full_error",)
"""Metrics that are lengths; all others are counts or shares, and shares are given in percent."""
VERDICTS = {
    "found": "found",
    "reverse": "not found, the reverse is",
    "level": f"neither, within {MARGIN} points",
    "not tested": "not tested",
}


def rows_of(experiment: Experiment, runs: Sequence[Planned], scores: Sequence[dict]) -> list[dict[str, Any]]:
    """One entry per front end and row: mean, standard deviation and values of every column, shares in percent."""
    table = []
    for front_end in experiment.front_ends:
        for row in experiment.rows:
            mine = [k for k, run in enumerate(runs) if (run.front_end, run.row) == (front_end, row)]
            if not mine:
                continue
            columns = {head: _column([scores[k] for k in mine], *where) for head, where in experiment.columns.items()}
            table.append({"front_end": front_end, "row": row, "runs": len(mine), "columns": columns})
    return table


def _column(scores: Sequence[dict], profile: str, level: str, metric: str) -> dict[str, Any] | str | None:
    """None where the data has no such level, or nothing counts; in words what a method needs that is not there."""
    if level not in scores[0][profile]:
        return None
    if "needs" in scores[0][profile][level]:
        return scores[0][profile][level]["needs"]
    values = [score[profile][level]["metrics"][metric] for score in scores]
    if any(value is None or value < 0 for value in values):
        return None
    plain = metric in PIXELS or all(isinstance(value, int) for value in values)
    shown = [value if isinstance(value, int) else round(value if plain else 100 * value, 3) for value in values]
    interval = scores[0][profile][level]["intervals"].get(metric)
    return {
        "mean": round(float(np.mean(shown)), 3),
        "std": round(float(np.std(shown)), 3),
        "values": shown,
        "interval": interval and [round(100 * end, 3) for end in interval],
    }


def judge(relation: Relation, table: Sequence[dict]) -> dict[str, Any]:
    """Whether the left row's mean is above the right one's by more than `MARGIN` (found), below it by more (reverse),
    or neither (level); not tested where a row is missing."""
    ends = relation.front_end if isinstance(relation.front_end, tuple) else (relation.front_end,) * 2
    means = []
    for row, front_end in zip((relation.left, relation.right), ends, strict=True):
        match = next((entry for entry in table if (entry["row"], entry["front_end"]) == (row, front_end)), None)
        value = match and match["columns"][relation.column]
        means.append(value["mean"] if isinstance(value, dict) else None)
    verdict = "not tested"
    if None not in means:
        above = means[0] - means[1]
        verdict = "level" if abs(above) <= MARGIN else "found" if above > 0 else "reverse"
    return {
        "claim": relation.claim, "column": relation.column, "left": f"{relation.left}, {ends[0]}",
        "right": f"{relation.right}, {ends[1]}", "values": means, "verdict": verdict,
    }  # fmt: skip


def markdown_of(record: dict[str, Any]) -> str:
    """The record as a page: a table, what is missing, the claims and where the numbers come from."""
    settings = record["settings"]
    table, counted = record["table"], any(_is_counted(v) for row in record["table"] for v in row["columns"].values())
    several = len({row["front_end"] for row in table}) > 1
    columns = list(dict.fromkeys(head for row in table for head in row["columns"]))
    head = [*(["front end"] if several else []), record.get("rows", "method"), *map(page_text, columns)]
    rows = [
        [page_text(row[name]) for name in (["front_end"] if several else []) + ["row"]]
        + [_cell(row["columns"][name]) for name in columns]
        for row in table
    ]
    lines = [f"### {page_text(record['title'])}", "", markdown(head, rows), ""]
    lines += [page_text(f"* {row['front_end']}, {row['row']}: not run. {row['needs']}") for row in record["missing"]]
    lines += [page_text(f"* {_verdict(relation)}") for relation in record["relations"]]
    if record["missing"] or record["relations"]:
        lines.append("")
    together = [name for name in record["together"] if name != record["experiment"]]
    lines += [
        f"In percent{', but for counts' if counted else ''}; mean ± standard deviation over weights and "
        f"inference seeds ({settings['seeds']} where chance "
        f"plays a part). {page_text(record['note'])}".rstrip(),
        "",
        f"`{printable(record['command'])}`: {page_text(settings['data'])}, {len(settings['clips'])} clips; "
        f"{record['machine']}; "
        f"commit {record['commit'][:7]}; {record['cost_s']} s"
        + (f" together with {page_text(', '.join(together))}" if together else "")
        + (" for what was not there yet" if record["reused"] else "")
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _verdict(relation: dict[str, Any]) -> str:
    ends = f"{relation['left']} against {relation['right']}, {relation['column']}"
    if relation["verdict"] == "not tested":
        return f"{relation['claim']}: not tested ({ends})"
    left, right = relation["values"]
    return f"{relation['claim']}: **{VERDICTS[relation['verdict']]}** ({left:.1f} against {right:.1f}; {ends})"


def _is_counted(value: dict[str, Any] | str | None) -> bool:
    return isinstance(value, dict) and all(isinstance(number, int) for number in value["values"])


def _cell(value: dict[str, Any] | str | None) -> str:
    if not isinstance(value, dict):
        return value or "-"
    text = spread(value["values"], 0 if _is_counted(value) else 1)
    return text + (f" [{value['interval'][0]:.1f}, {value['interval'][1]:.1f}]" if value["interval"] else "")


def page_text(text: str) -> str:
    """A text from a file as a page in Markdown shows it: on one line, without HTML, links, or ends of cells."""
    return printable(" ".join(text.split())).replace("<", "&lt;").replace("|", "\\|").replace("](", "]\\(")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    head_line, *lines = ("| " + " | ".join(cells) + " |" for cells in (head, *rows))
    return "\n".join([head_line, "|---" * len(head) + "|", *lines])


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean ± standard deviation, the mean alone of one value."""
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values):.{digits}f}" if len(values) > 1 else mean
