"""The page as one file: everything that it needs stands in it, and its policy forbids all else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from samodal.errors import printable
from samodal.outputs import writing
from samodal.version import __version__

READ = 3 << 16
"""Bytes of the video that are read at a time; a multiple of 3, so that base 64 joins."""


def write_page(path: Path, title: str, data: dict[str, Any], video: Path, outlines: Iterable[Path]) -> None:
    """Write a page.

    Args:
        title: its name.
        data: what `page.js` shows; texts from files may hold anything.
        video: H.264.
        outlines: for each run the file that `gather` wrote.

    Raises:
        InputError: if it cannot be written.
    """
    style, script, body = (_part(f"page.{kind}") for kind in ("css", "js", "html"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data: blob:; "
        "media-src blob:; base-uri 'none'; form-action 'none'"
    )
    with writing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as page:
        page.write(
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta name="generator" content="samodal {__version__}">\n'
            f"<title>{escape(printable(title))}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}"
        )
        page.write(f'<script type="application/json" id="data">{as_json(data)}</script>\n')
        for run, file in enumerate(outlines):
            with file.open(encoding="ascii") as lines:
                for number, line in enumerate(lines):
                    page.write(f'<script type="text/plain" id="outlines-{run}-{number}">{line.strip()}</script>\n')
        page.write('<script type="text/plain" id="video">')
        with video.open("rb") as content:
            while part := content.read(READ):
                page.write(base64.b64encode(part).decode("ascii"))
        page.write(f"</script>\n<script>{script}</script>\n</body>\n</html>\n")


def as_json(value: Any) -> str:
    """JSON that can stand in a script of a page: no text in it can end the script or begin a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _part(name: str) -> str:
    return files("samodal.report").joinpath("page", name).read_text(encoding="utf-8")
