"""From the name of a prompt selector, as the rule `prompt` has it, to the selector."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from samodal.errors import InputError
from samodal.making import construct, find, split
from samodal.masks import Mask
from samodal.method.prompts.selectors import Together
from samodal.parts import Prompt, PromptSelector
from samodal.registry import SELECTORS

LARGEST = 255
"""Of the number after a selector's name: erosion takes time with its square."""

MOST = 8
"""Selectors together."""


@runtime_checkable
class SelectsTogether(PromptSelector, Protocol):
    """A selector that is faster where it chooses for all instances of a frame at once, the same as one by one."""

    def of_all(self, masks: Sequence[Mask], rngs: Sequence[np.random.Generator]) -> list[Prompt]:
        """A prompt for each visible mask, each with its own generator."""
        ...


def make_selector(prompt: str, points: int) -> PromptSelector:
    """The selector of a name.

    Args:
        prompt: NAME or NAME:ARGUMENT, or several joined by +, as in center+box+mask.
        points: K, of each selector that chooses points.

    Raises:
        InputError: for an unknown name, or an argument that it does not take.
    """
    if prompt.count("+") >= MOST:
        raise InputError(f"prompt: {prompt.count('+') + 1} selectors joined by +; {MOST} at most")
    names = prompt.split("+")
    # To a segmenter that is told the mask a point says nothing new.
    context = {"count": lambda: points, "nearly": lambda: "mask" in names}
    selectors = [_selector(name, context) for name in names]
    return selectors[0] if len(selectors) == 1 else Together(selectors)


def select_all(
    select: PromptSelector, image: np.ndarray, masks: Sequence[Mask], rngs: Sequence[np.random.Generator]
) -> list[Prompt]:
    """The prompts of all instances of a (H, W, 3) uint8 frame, from their visible masks."""
    if isinstance(select, SelectsTogether):
        return select.of_all(masks, rngs)
    others = [[*masks[:n], *masks[n + 1 :]] for n in range(len(masks))]
    return [select(image, *told) for told in zip(masks, others, rngs, strict=True)]


def _selector(text: str, context: Mapping[str, Callable[[], Any]]) -> PromptSelector:
    name, argument = split(text, SELECTORS)
    kind = find(SELECTORS, name, "prompt selector")
    if argument is not None:
        if name in SELECTORS and not SELECTORS[name].argument:
            raise InputError(f"prompt {text!r}: {name} takes no argument; the number of points is rules.points")
        if not re.fullmatch("[0-9]{1,3}", argument) or not 1 <= int(argument) <= LARGEST:
            raise InputError(
                f"prompt {text!r}: expected a whole number from 1 to {LARGEST} after the colon, as in erosion:7"
            )
    given = () if argument is None else (int(argument),)
    return construct(kind, "prompt selector", name, context, given)
