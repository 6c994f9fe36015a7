"""What an experiment found: a record for JSON, and the same as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from samodal.experiments.config import Experiment, Relation
from samodal.experiments.plan import Missing, Planned

MARGIN = 0.5
"""Points that two means must be apart before a claim about them counts as found."""
VERDICTS = {
    "found": "found",
    "reverse": "not found, the reverse is",
    "level": f"neither, within {MARGIN} points",
    "not tested": "not tested",
}


def rows_of(experiment: Experiment, runs: Sequence[Planned], scores: Sequence[dict]) -> list[dict[str, Any]]:
    """One entry per front end and row: mean, standard deviation and single values of every column, in percent."""
    table = []
    for front_end in experiment.front_ends:
        for row in experiment.rows:
            mine = [k for k, run in enumerate(runs) if (run.front_end, run.row) == (front_end, row)]
            if not mine:
                continue
            columns = {head: _column([scores[k] for k in mine], *where) for head, where in experiment.columns.items()}
            table.append({"front_end": front_end, "row": row, "runs": len(mine), "columns": columns})
    return table


def _column(scores: Sequence[dict], profile: str, level: str, metric: str) -> dict[str, Any] | None:
    """None where the data has no such level, or nothing counts."""
    if level not in scores[0][profile]:
        return None
    values = [one[profile][level]["metrics"][metric] for one in scores]
    if any(value is None or value < 0 for value in values):
        return None
    percent = [round(100 * value, 3) for value in values]
    interval = scores[0][profile][level]["intervals"].get(metric)
    return {
        "mean": round(float(np.mean(percent)), 3),
        "std": round(float(np.std(percent)), 3),
        "values": percent,
        "interval": interval and [round(100 * end, 3) for end in interval],
    }


def judge(relation: Relation, table: Sequence[dict]) -> dict[str, Any]:
    """Whether the left row's mean is above the right one's by more than `MARGIN` (found), below it by more (reverse),
    or neither (level); not tested where a row is missing."""
    ends = relation.front_end if isinstance(relation.front_end, tuple) else (relation.front_end,) * 2
    means = []
    for row, front_end in zip((relation.left, relation.right), ends, strict=True):
        found = [one for one in table if (one["row"], one["front_end"]) == (row, front_end)]
        value = found[0]["columns"][relation.column] if found else None
        means.append(None if value is None else value["mean"])
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
    several = len({one["front_end"] for one in record["table"]}) > 1
    columns = list(dict.fromkeys(head for one in record["table"] for head in one["columns"]))
    head = [*(["front end"] if several else []), "method", *columns]
    rows = [
        [*([one["front_end"]] if several else []), one["row"], *(_cell(one["columns"][name]) for name in columns)]
        for one in record["table"]
    ]
    lines = [f"### {record['title']}", "", markdown(head, rows), ""]
    lines += [f"* {one['front_end']}, {one['row']}: not run. {one['needs']}" for one in record["missing"]]
    lines += [f"* {_verdict(one)}" for one in record["relations"]]
    if record["missing"] or record["relations"]:
        lines.append("")
    together = [name for name in record["together"] if name != record["experiment"]]
    lines += [
        f"In percent; mean ± standard deviation over weights and inference seeds ({settings['seeds']} where chance "
        f"plays a part). {record['note']}".rstrip(),
        "",
        f"`{record['command']}`: {settings['data']}, {len(settings['clips'])} clips; {record['machine']}; "
        f"commit {record['commit'][:7]}; {record['cost_s']} s"
        + (f" together with {', '.join(together)}" if together else "")
        + (" for what was not there yet" if record["reused"] else "")
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _verdict(one: dict[str, Any]) -> str:
    ends = f"{one['left']} against {one['right']}, {one['column']}"
    if one["verdict"] == "not tested":
        return f"{one['claim']}: not tested ({ends})"
    left, right = one["values"]
    return f"{one['claim']}: **{VERDICTS[one['verdict']]}** ({left:.1f} against {right:.1f}; {ends})"


def _cell(value: dict[str, Any] | None) -> str:
    if value is None:
        return "-"
    text = spread(value["values"])
    return text + (f" [{value['interval'][0]:.1f}, {value['interval'][1]:.1f}]" if value["interval"] else "")


def missing_of(missing: Iterable[Missing]) -> list[dict[str, str]]:
    """Rows that could not run, for the record."""
    return [vars(one) for one in missing]


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join([markdown_row(head), "|---" * len(head) + "|", *(markdown_row(row) for row in rows)])


def markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean ± standard deviation, the mean alone of one value."""
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values):.{digits}f}" if len(values) > 1 else mean
