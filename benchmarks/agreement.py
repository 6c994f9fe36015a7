"""Whether the compiled segmenter in float16 gives the masks of the plain one: both run over clips of a data set.

    python benchmarks/agreement.py --data streetsim:data/test --clips test_0000_day,test_0005_day --device cuda

Visible masks are the truth's and the preset is `paper`. Prints how many amodal masks of visible and of hidden
instances reach an IoU of 0.99 with the plain ones, the least IoU, and the AP of both. On a CPU the fast one is not
compiled, as in the tests; by default the embedded clip is run.
"""

import argparse
from collections import defaultdict
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np

from samodal.build import found_device, segmenter_of
from samodal.data.open import open_dataset
from samodal.metrics.evaluate import ScoringRules, evaluate
from samodal.results.frames import FrameLines
from samodal.rle import iou
from samodal.runner import run_video
from samodal.segmenters.sam.compiled import CompiledSamSegmenter
from samodal.settings import RunSettings
from samodal.tracks import UNSEEN

PRESET = "paper"
AGREES = 0.99
MANNERS = ("plain", "fast")


def run_both(given: argparse.Namespace, folder: Path) -> list[str]:
    """Run the clips in both manners into FOLDER/MANNER/CLIP; gives their names."""
    data = open_dataset(given.data)
    names = given.clips.split(",") if given.clips else list(data.sequences)
    device = found_device(given.device)
    for manner in MANNERS:
        settings = RunSettings(
            data=given.data, vis="truth", preset=PRESET, device=device, overlay=False, report=False, frames=given.frames
        )
        plain = segmenter_of("sam", given.weights, device)
        made = plain if manner == "plain" else CompiledSamSegmenter(plain.model, device, compiled=device != "cpu")
        with patch("samodal.build.segmenter_of", lambda *_, made=made: made):
            for name in names:
                print(manner, run_video(settings, data.video(name), folder / manner / name))
        segmenter_of.forget()  # the fast one has changed the network
    return names


def compared(folder: Path, names: list[str]) -> dict[str, list[float]]:
    """IoUs of the amodal masks of both, of visible and of hidden instances; 0 where only one has a mask."""
    values = defaultdict(list)
    for name in names:
        lines = (FrameLines(folder / manner / name / "frames.jsonl") for manner in MANNERS)
        for (_, plain), (_, fast) in zip(*lines, strict=True):
            for key in dict.fromkeys([*plain.ids, *fast.ids]):
                both = [result[key] if key in result else None for result in (plain, fast)]
                masks = [None if instance is None or not instance.amodal else instance.amodal.rle for instance in both]
                state = next(instance.state for instance in both if instance is not None)
                if any(masks):
                    values["hidden" if state in UNSEEN else "visible"].append(iou(*masks))
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=f"streetsim:{files('samodal') / 'clip'}")
    parser.add_argument("--clips", help="names with commas between; all by default")
    parser.add_argument("--frames", help="A:B of each clip")
    parser.add_argument("--weights", default="streetsim-small", help="as for samodal run")
    parser.add_argument("--device", default="auto", help="as for samodal run")
    given = parser.parse_args()
    with TemporaryDirectory() as place:
        folder = Path(place)
        names = run_both(given, folder)
        for kind, values in compared(folder, names).items():
            share = np.mean(np.array(values) >= AGREES)
            print(f"{kind}: {share:.2%} of {len(values)} masks with IoU {AGREES} or more, least {min(values):.4f}")
        rules = ScoringRules(level="image", clips=tuple(names))
        precision = [evaluate(folder / manner, given.data, rules)["metrics"]["AP"] for manner in MANNERS]
        print(f"AP: plain {100 * precision[0]:.3f}, fast {100 * precision[1]:.3f}")


if __name__ == "__main__":
    main()
