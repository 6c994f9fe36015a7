"""The demonstration: the whole main job from the pixels of two embedded clips with the embedded weights, offline.

One clip is rendered, with truth and so with scores; the other is a real motorway, of which nobody knows the truth.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROAD = "motorway"
FRONT_END = "detector"
"""What sees on the real clip."""
SHOWN = 5
"""Instances of the real clip that are named, those first that are visible the longest."""

PIXELS, TRUTH = "pixels-videomt", "truth"
ROWS = {
    PIXELS: {"vis": "videomt", "reassociate": True},
    "pixels-centers": {"vis": "centers"},
    TRUTH: {},
    "truth-constant-velocity": {"method": "constant-velocity"},
    "truth-copy-visible": {"method": "copy-visible"},
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

MEANING = (
    "AP50, vAP50: how well objects are found, frame by frame and through the clip, at half overlap; 1 is best.",
    "IoU: overlap of whole masks with the truth, also of what is hidden alone: copy-visible has nothing to say there.",
    "pixels-*: from the pixels, by front ends that know the simulator. truth*: the true visible masks are given.",
)


@dataclass(frozen=True)
class DemoSettings:
    """Amodal tracks on an embedded StreetSim clip from its pixels, with a small table, and on a real motorway."""

    out: Path = field(default=Path("runs/demo"), metadata={"positional": Path})
    """Folder for the results."""
    compare: bool = True
    """Also run with the truth's visible masks, by us and by trivial methods, and print the scores."""


def run_demo(settings: DemoSettings) -> None:
    """Run the embedded default on the embedded clip, print what came out and how good it is."""
    from importlib.resources import as_file, files

    from samodal.errors import printable
    from samodal.fleet.run import run_all
    from samodal.runs.folder import REPORT
    from samodal.settings import RunSettings

    names = list(ROWS) if settings.compare else [PIXELS]
    with as_file(files("samodal") / "clip") as folder:
        data = f"streetsim:{folder}"
        for name in names:
            print(name, flush=True)
            run_all(RunSettings(data=data, out=settings.out / name, overlay=name in (PIXELS, TRUTH), **ROWS[name]))
        _table(settings.out, names, data)
    with as_file(files("samodal") / "clip_road" / "motorway.mp4") as video:
        print(f"\n{ROAD}", flush=True)
        run_all(RunSettings(video=str(video), out=settings.out / ROAD, vis=FRONT_END, reassociate=True))
    print(road_seen(settings.out / ROAD / "frames.jsonl"))
    print("your own video: samodal run VIDEO")
    print(printable(f"now open {settings.out / ROAD / REPORT} in a browser: a real road, seen from its pixels alone"))


def road_seen(lines: Path) -> str:
    """What a frames.jsonl without truth holds, in words: how many instances, and the longest visible with their ids."""
    from samodal.results.frames import FrameLines

    frames, known = 0, Counter()
    for _, result in FrameLines(lines):
        frames += 1
        known.update((str(i.id), i.category) for i in result.instances if i.visible)
    text = f"no truth, so no scores: {len(known)} instances seen in {frames} frames"
    longest = [f"{category} {key} in {count}" for (key, category), count in known.most_common(SHOWN)]
    return f"{text}; visible the longest: {', '.join(longest)}" if longest else text


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
    print(*MEANING, sep="\n")
