"""S-AModal as a method: the pipeline over a whole clip, a thin loop over `step`."""

from collections.abc import Iterable, Iterator

from samodal.errors import InputError
from samodal.method.pipeline import Pipeline
from samodal.method.rules import Rules
from samodal.parts import Observed, PointTracker, Segmenter
from samodal.registry import SELECTORS, find, split
from samodal.tracks import FrameResult


class SAmodal:
    """Breitenstein et al. 2024, under the given rules.

    Args:
        segmenter: amodal SAM.
        tracker: point tracker.
        rules: see `samodal.method.rules`; names the prompt selector.
        seed: of random prompts.
    """

    def __init__(self, segmenter: Segmenter, tracker: PointTracker, rules: Rules, seed: int = 0):
        self.pipeline = Pipeline(segmenter, tracker, make_selector(rules), rules, seed)

    def run(self, clip: str, observed: Iterable[Observed]) -> Iterator[FrameResult]:
        self.pipeline.reset(clip)
        for one in observed:
            yield self.pipeline.step(one.frame.image, one.visible, one.frame.time)


def make_selector(rules: Rules):
    """The selector that the rules name, with its K and, for `erosion:N`, its footprint.

    Raises:
        InputError: for an unknown name, or an argument that it does not take.
    """
    name, argument = split(rules.prompt, SELECTORS)
    selector = find(SELECTORS, name, "prompt selector")
    if argument is None:
        return selector(count=rules.points)
    if name in SELECTORS and not SELECTORS[name].argument:
        raise InputError(f"prompt {rules.prompt!r}: {name} takes no argument; the number of points is rules.points")
    if not argument.isdecimal() or int(argument) < 1:
        raise InputError(f"prompt {rules.prompt!r}: expected a whole number from 1 after the colon, as in erosion:7")
    return selector(int(argument), count=rules.points)
