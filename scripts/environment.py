"""An empty environment with a wheel and its dependencies: the newest that pip takes, or the oldest that are allowed.

    python scripts/environment.py FOLDER "torch==2.13.0" DIST [--oldest]

What is installed already stays where it fits, so a second time takes seconds. It needs no package.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def oldest(torch: str) -> list[str]:
    """The dependencies at their lower bounds, but torch."""
    lines = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    pinned = [re.sub(r">=([^,]+).*", r"==\1", line) for line in lines if not line.startswith("torch>")]
    return [*shlex.split(torch), *pinned]


def main(folder: Path, torch: str, dist: Path, lowest: bool) -> None:
    """Make it."""
    (wheel,) = dist.glob("*.whl")
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    # Not compiled: that takes longer than all else, and most of it is never imported.
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    wanted = [*oldest(torch), "pytest"] if lowest else shlex.split(torch)
    subprocess.run([*install, *wanted, str(wheel)], check=True)
    # The wheel once more: pip keeps one of the same version, whatever is in it.
    subprocess.run([*install, "--no-deps", "--force-reinstall", str(wheel)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), "--oldest" in sys.argv)
