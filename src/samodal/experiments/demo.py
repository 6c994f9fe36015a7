"""The demonstration: the whole main job from the pixels of the embedded clip with the embedded weights, offline."""

from dataclasses import dataclass, field
from pathlib import Path

PIXELS = "pixels, VidEoMT"
ROWS = {
    PIXELS: {"vis": "videomt", "reassociate": True},
    "pixels, centers": {"vis": "centers"},
    "truth": {},
    "truth, constant-velocity": {"method": "constant-velocity"},
    "truth, copy-visible": {"method": "copy-visible"},
}
"""What is run, by the name of its folder: from pixels alone, and with the truth's visible masks as front end."""
COLUMNS = {
    "visible AP50": ("visible", "image", "AP50"),
    "visible vAP50": ("visible", "video", "AP50"),
    "AP50": ("amodal", "image", "AP50"),
    "vAP50": ("amodal", "video", "AP50"),
    "IoU": ("amodal", "image", "miou"),
    "IoU hidden part": ("amodal", "image", "miou_hidden"),
    "IoU fully hidden": ("amodal", "image", "miou_fully_hidden_after_seen"),
}


@dataclass(frozen=True)
class DemoSettings:
    """Amodal tracks on the embedded StreetSim clip from its pixels, and a small table beside the truth as front end."""

    out: Path = field(default=Path("runs/demo"), metadata={"positional": Path})
    """Folder for the results."""
    compare: bool = True
    """Also run with the truth's visible masks, by us and by trivial methods, and print the scores."""


def run_demo(settings: DemoSettings) -> None:
    """Run the embedded default on the embedded clip, print what came out and how good it is."""
    from importlib.resources import as_file, files

    from samodal.runner import run_all
    from samodal.settings import RunSettings

    names = list(ROWS) if settings.compare else [PIXELS]
    with as_file(files("samodal") / "clip") as folder:
        data = f"streetsim:{folder}"
        for name in names:
            print(name, flush=True)
            run_all(RunSettings(data=data, out=settings.out / name, overlay=name in (PIXELS, "truth"), **ROWS[name]))
        _table(settings.out, names, data)
    (clip,) = (p for p in (settings.out / PIXELS).iterdir() if p.is_dir())
    print(f"\nwatch '{clip / 'overlay.mp4'}': solid is visible, striped is hidden, a cross is a prompt point.")
    print("next: samodal run VIDEO --out runs/mine      (samodal run --help)")


def _table(out: Path, names: list[str], truth: str) -> None:
    from samodal.metrics.evaluate import ScoringRules, evaluate

    width = max(map(len, names)) + 2
    print("\n" + f"{'scores on this clip':<{width}}" + "".join(f"{name:>18}" for name in COLUMNS))
    for name in names:
        scores = {
            masks: evaluate(out / name, truth, ScoringRules(profile="strict", masks=masks))["metrics"]
            for masks in ("visible", "amodal")
        }
        values = [scores[masks][level][metric] for masks, level, metric in COLUMNS.values()]
        print(f"{name:<{width}}" + "".join(f"{value:>18.3f}" for value in values))
