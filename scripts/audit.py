"""Hold the pins of requirements.txt and the lower bounds of pyproject.toml against known faults.

The table scripts/known_faults.toml works without a network. Where the service behind pip-audit can be reached, it is
asked, too; where not, that is said. Exit code 1 for a fault without an exception, or an exception out of date.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "scripts" / "known_faults.toml"


def pins(root: Path = ROOT) -> dict[str, str]:
    """Versions by package: of requirements.txt, and of torch in the Makefile."""
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines += re.findall(r"^TORCH \?= (\S+)", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = (Requirement(line) for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(entry.name): next(iter(entry.specifier)).version for entry in named}


def lower_bounds(root: Path = ROOT) -> dict[str, str]:
    """Lowest versions by package that pyproject.toml allows, its extras included."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    found = {}
    for entry in map(Requirement, lines):
        lowest = [part.version for part in entry.specifier if part.operator in (">=", "==", "~=")]
        if not lowest:
            raise SystemExit(f"pyproject.toml: {entry.name} has no lower bound")
        found[canonicalize_name(entry.name)] = lowest[0]
    return found


def problems(versions: dict[str, str], table: dict, today: datetime.date) -> list[str]:
    """What of the table concerns these versions and no exception in time covers, a line each."""
    until = {(entry["package"], entry["id"]): entry["until"] for entry in table["exception"]}
    lines = []
    for fault in table["fault"]:
        package, name, fixed = fault["package"], fault["id"], fault["fixed"]
        version = versions.get(package)
        if version is None or (fixed and Version(version) >= Version(fixed)):
            continue
        covered = until.get((package, name))
        if covered is None or covered < today:
            ended = f", its exception ended on {covered}" if covered else ""
            lines.append(f"{package} {version}: {name}: {fault['what']}; fixed in {fixed or 'no release'}{ended}")
    return lines


def asked(command: str, versions: dict[str, str], table: dict) -> tuple[list[str], str]:
    """What pip-audit says of these versions, a line for each fault, and why it said nothing of some."""
    ignored = [part for entry in table["exception"] for part in ("--ignore-vuln", entry["id"])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requirements.txt"
        path.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()), encoding="utf-8")
        flags = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json", *ignored]
        try:
            ran = subprocess.run([command, "-r", path, *flags], capture_output=True, text=True, timeout=300)
            answer = json.loads(ran.stdout)["dependencies"]
        except (OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
            return [], f"pip-audit gave no answer ({type(error).__name__})"
    faults = [
        f"{entry['name']} {entry['version']}: {fault['id']}; fixed in "
        f"{', '.join(fault['fix_versions']) or 'no release'}"
        for entry in answer
        for fault in entry.get("vulns", ())
    ]
    skipped = [entry["name"] for entry in answer if "skip_reason" in entry]
    why = f"the service does not know {len(skipped)} of {len(answer)} packages, as {skipped[0]}" if skipped else ""
    return faults, why


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pip-audit", default="pip-audit", help="the program")
    command = parser.parse_args().pip_audit
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    failed = False
    for title, versions in (("pins", pins()), ("lower bounds", lower_bounds())):
        known = problems(versions, table, datetime.date.today())
        told, why = asked(command, versions, table)
        print(f"{title}: {len(versions)} packages, {len(known)} known faults by {TABLE.name}, {len(told)} by pip-audit")
        if why:
            print(f"  pip-audit is skipped in part or whole: {why}")
        for line in known + told:
            print(f"  {line}")
        failed |= bool(known or told)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
