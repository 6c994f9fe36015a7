"""Put what experiments found into the page that shows it.

Between <!-- NAME --> and <!-- end --> goes what NAME.json says, between <!-- NAME: COLUMN, COLUMN --> and
<!-- end --> its table with these columns alone; a row that starts with "| … ROW, FRONT END (NAME) | ours, StreetSim |"
gets the means of the first seven columns of that row.

cp runs/experiments/*.json docs/results/experiments/
python scripts/fill_tables.py docs/reproduce.md docs/results.md README.md
"""

import argparse
import json
import os
import re
from pathlib import Path

from samodal.experiments.report import markdown_of

RECORDS = Path(__file__).parents[1] / "docs" / "results" / "experiments"
BLOCK = re.compile(r"<!-- (?P<name>[\w-]+)(?:: (?P<columns>[^\n]+))? -->\n.*?<!-- end -->", re.S)
OURS = re.compile(r"^(\| … (?P<row>.+), (?P<front_end>\w+) \((?P<name>\w+)\) \| ours, StreetSim \|).*$", re.M)


def filled(page: Path) -> str:
    """The text of a page with every block as its record says.

    Raises:
        FileNotFoundError: if a block has no record.
        KeyError: if a record has no such column.
        StopIteration: if a record has no such row.
    """

    link = Path(os.path.relpath(RECORDS, page.resolve().parent)).as_posix()

    def read(name: str) -> dict:
        return json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))

    def block(match: re.Match) -> str:
        record, first = read(match["name"]), match[0].partition("\n")[0]
        if match["columns"]:
            for row in record["table"]:
                row["columns"] = {name: row["columns"][name] for name in match["columns"].split(", ")}
            lines = markdown_of(record).splitlines()
            text = "\n".join(line for line in lines if line.startswith("|")) + "\n"
        else:
            _, _, table = markdown_of(record).partition("\n\n")  # the page has headings of its own
            text = f"{table}[All numbers]({link}/{match['name']}.json).\n"
        return f"{first}\n{text}<!-- end -->"

    def ours(match: re.Match) -> str:
        where = (match["row"], match["front_end"])
        row = next(row for row in read(match["name"])["table"] if (row["row"], row["front_end"]) == where)
        means = [f" {column['mean']:.1f} |" for column in list(row["columns"].values())[:7]]
        return match[1] + "".join(means)

    return OURS.sub(ours, BLOCK.sub(block, page.read_text(encoding="utf-8")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", type=Path, nargs="+")
    for page in parser.parse_args().pages:
        page.write_text(filled(page), encoding="utf-8")
