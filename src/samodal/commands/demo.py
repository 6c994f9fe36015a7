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
    from samodal.metrics.evaluate import Rules, evaluate

    columns = {
        "AP50": ("image", "AP50"),
        "vAP50": ("video", "AP50"),
        "IoU": ("image", "miou"),
        "IoU of hidden part": ("image", "miou_hidden"),
        "IoU fully hidden": ("image", "miou_fully_hidden_after_seen"),
    }
    print("\n" + f"{'scores on this clip':<26}" + "".join(f"{name:>20}" for name in columns))
    for method in methods:
        metrics = evaluate(out / method, f"streetsim:{truth}", Rules(profile="strict"))["metrics"]
        values = [metrics[level][name] for level, name in columns.values()]
        print(f"{method:<26}" + "".join(f"{value:>20.3f}" for value in values))
