"""Put what experiments found into the page that shows it.

Between <!-- NAME --> and <!-- end --> goes the table of NAME.json; a row that starts with
"| … ROW, FRONT END (NAME) | ours, StreetSim |" gets the means of the first seven columns of that row.

cp runs/experiments/*.json docs/results/experiments/
python scripts/fill_tables.py docs/reproduce.md
"""

import argparse
import json
import re
from pathlib import Path

from samodal.experiments.report import markdown_of

BLOCK = re.compile(r"<!-- ([\w-]+) -->\n.*?<!-- end -->", re.S)
OURS = re.compile(r"^(\| … (?P<row>.+), (?P<front_end>\w+) \((?P<name>\w+)\) \| ours, StreetSim \|).*$", re.M)


def filled(page: str, records: Path, link: str) -> str:
    """The page with every block as its record says.

    Args:
        records: folder of NAME.json.
        link: the same folder as seen from the page.

    Raises:
        FileNotFoundError: if a block has no record.
        StopIteration: if a record has no such row.
    """

    def read(name: str) -> dict:
        return json.loads((records / f"{name}.json").read_text(encoding="utf-8"))

    def block(found: re.Match) -> str:
        name = found[1]
        _, _, table = markdown_of(read(name)).partition("\n\n")  # the page has headings of its own
        return f"<!-- {name} -->\n{table}[All numbers]({link}/{name}.json).\n<!-- end -->"

    def ours(found: re.Match) -> str:
        where = (found["row"], found["front_end"])
        row = next(one for one in read(found["name"])["table"] if (one["row"], one["front_end"]) == where)
        means = [f" {column['mean']:.1f} |" for column in list(row["columns"].values())[:7]]
        return found[1] + "".join(means)

    return OURS.sub(ours, BLOCK.sub(block, page))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--records", default="results/experiments", help="folder of NAME.json, as seen from the page")
    given = parser.parse_args()
    text = given.page.read_text(encoding="utf-8")
    given.page.write_text(filled(text, given.page.parent / given.records, given.records), encoding="utf-8")
