"""`samodal doctor`: what works on this machine."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DoctorSettings:
    """Look at torch, device, codecs, extras, memory, disk and weights; exit code 1 where a run cannot work."""

    out: Path = Path()
    """Folder that results are to be written into."""


def main(settings: DoctorSettings) -> int:
    """Print a line for each, as soon as it is known."""
    from samodal.doctor import findings
    from samodal.errors import printable
    from samodal.outputs import check_folder

    check_folder(settings.out, "--out")
    existing = next(place for place in (settings.out, *settings.out.absolute().parents) if place.exists())
    faults = 0
    for finding in findings(existing):
        print(printable(finding), flush=True)
        faults += finding.ok is False
    return 1 if faults else 0
