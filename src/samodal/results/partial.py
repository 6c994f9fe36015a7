"""Results that are not complete: runs that were interrupted, or are at work."""

import json
from collections.abc import Mapping
from pathlib import Path

from samodal.results.frames import UNFINISHED
from samodal.tracks import Clip


def incomplete(path: Path, clips: Mapping[str, Clip]) -> list[str]:
    """Names of clips in a folder of runs whose results lack frames, sorted.

    Args:
        path: of one run, or with a folder for each clip.
        clips: what was read of it; those of an interrupted run say so (`complete` in their info).
    """
    stopped = [name for name, clip in clips.items() if clip.info.get("complete") is False]
    begun = [_clip(lines) for lines in path.glob(f"**/{UNFINISHED}/frames.jsonl")]
    return sorted({*stopped, *(name for name in begun if name is not None and name not in clips)})


def _clip(lines: Path) -> str | None:
    """The name of the clip of a frames.jsonl; None where nothing of it can be read."""
    try:
        with lines.open("rb") as file:
            return str(json.loads(file.readline())["clip"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
