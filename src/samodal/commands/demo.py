"""`samodal demo`: the whole main job on the shipped clip and weights, offline."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class DemoSettings:
    """Amodal tracks on the shipped StreetSim clip, and a small table beside the trivial methods."""

    out: Path = field(default=Path("runs/demo"), metadata={"positional": Path})
    """Folder for the results."""
    compare: bool = True
    """Also run copy-visible and constant-velocity and print their scores beside."""


def main(settings: DemoSettings) -> None:
    """Run the embedded default on the embedded clip, say what came out and how good it is."""
    from dataclasses import replace
    from importlib.resources import as_file, files

    from samodal.commands.run import RunSettings
    from samodal.run import run_all

    methods = ["samodal", "constant-velocity", "copy-visible"] if settings.compare else ["samodal"]
    with as_file(files("samodal") / "clip") as folder:
        base = RunSettings(data=f"streetsim:{folder}", overlay=False)
        for method in methods:
            run_all(replace(base, method=method, out=settings.out / method, overlay=method == "samodal"))
        _table(settings.out, methods, folder)
    (clip,) = (p for p in (settings.out / "samodal").iterdir() if p.is_dir())
    print(f"\nwatch {clip / 'overlay.mp4'}: solid is visible, striped is hidden, a cross is a prompt point.")
    print("next: samodal run VIDEO --vis file:RESULTS --out runs/mine      (samodal run --help)")


def _table(out: Path, methods: list[str], truth: Path) -> None:
    from samodal.metrics.demo import demo_scores

    print(f"\n{'method':<20}{'AP50':>8}{'AP50 heavy':>12}{'IoU hidden part':>17}{'IoU fully hidden':>18}")
    for method in methods:
        row = demo_scores(out / method, truth)
        print(f"{method:<20}{row[0]:>8.3f}{row[1]:>12.3f}{row[2]:>17.3f}{row[3]:>18.3f}")
