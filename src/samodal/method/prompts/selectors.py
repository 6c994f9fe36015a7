"""Selectors: what a segmenter is told about an instance, from its visible mask alone.

Source: paper, supplement A and section 5 (Table 4). Points are pixels of the visible mask, so all labels are positive.
No selector reads amodal truth, to which the released loaders fall back when nothing is visible.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from samodal.masks import Mask
from samodal.parts import Prompt, PromptSelector
from samodal.shapes import eroded
from samodal.together import pixels_at

LARGE = 128 * 128
"""Pixels of a box up to which every one is looked at for the deepest; a transform of them takes a millisecond."""


class RandomPoints:
    """K uniformly random visible pixels, with replacement beyond the first as in the released loaders.

    Args:
        count: K.
    """

    def __init__(self, count: int = 1):
        self.count = count

    def __call__(self, image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        return Prompt(points=_draw(mask, self.count, rng))

    def of_all(self, masks: Sequence[Mask], rngs: Sequence[np.random.Generator]) -> list[Prompt]:
        if not masks:
            return []
        numbers = [rng.integers(0, mask.area, size=self.count) for mask, rng in zip(masks, rngs, strict=True)]
        points = pixels_at(masks, np.array(numbers))
        first = Prompt(points=points[0])
        return [first.told(points=own) for own in points]


class ErodedPoints:
    """A random pixel of the visible mask eroded by an n x n square, so that it keeps off the border.

    Falls back to the un-eroded mask where erosion leaves nothing. Points beyond the first come from the un-eroded mask,
    as in the released loaders.

    Args:
        footprint: n in pixels; 3 and 7 are the paper's.
        count: K.
    """

    def __init__(self, footprint: int = 7, count: int = 1):
        self.footprint = footprint
        self.count = count

    def __call__(self, image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        first = _draw(eroded(mask, self.footprint) or mask, 1, rng)
        return Prompt(points=np.concatenate([first, _draw(mask, self.count - 1, rng)]))


class CenterPoint:
    """The visible pixel farthest from the mask's border: deterministic, and never on an ambiguous edge.

    K > 1 adds the farthest pixels from the border and from the points already taken.

    Args:
        count: K.
        nearly: whether points nearly as far from the border do, to save time on large masks. In a box of more than
            `LARGE` pixels a point is then the middle of a square of n x n visible pixels, n as small as leaves `LARGE`
            squares; it may be nearer to the border by two such squares.
    """

    def __init__(self, count: int = 1, nearly: bool = False):
        self.count, self.nearly = count, nearly

    def __call__(self, image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        squares, side = _squares(mask) if self.nearly else (mask, 1)
        depth, points = squares.depth(), []
        rows, columns = (np.arange(length, dtype=np.float32) for length in depth.shape)
        for n in range(self.count):
            y, x = divmod(int(depth.argmax()), depth.shape[1])
            points.append((x + squares.x - 1, y + squares.y - 1))
            if n + 1 < self.count:
                depth = np.minimum(depth, np.sqrt((rows[:, None] - y) ** 2 + (columns - x) ** 2))
        corner = (0, 0) if side == 1 else (mask.x, mask.y)
        return Prompt(points=np.array(points, np.float32) * side + np.add(corner, side // 2).astype(np.float32))


class VisibleBox:
    """The box of the visible mask. `count` is not used."""

    def __init__(self, count: int = 1):
        pass

    def __call__(self, image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        return Prompt(box=np.array(mask.box, np.float32))


class VisibleMask:
    """The whole visible mask. `count` is not used."""

    def __init__(self, count: int = 1):
        pass

    def __call__(self, image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        return Prompt(mask=mask)


class Neighbours:
    """The visible masks of all other instances in the frame. `count` is not used."""

    def __init__(self, count: int = 1):
        pass

    def __call__(self, image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        return Prompt(neighbours=tuple(neighbours))


class Together:
    """What several selectors say in one prompt: all their points, and the first box, mask and neighbours."""

    def __init__(self, selectors: Sequence[PromptSelector]):
        self.selectors = selectors

    def __call__(self, image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        prompts = [selector(image, mask, neighbours, rng) for selector in self.selectors]
        points = [prompt.points for prompt in prompts if prompt.points is not None]
        labels = [prompt.labels for prompt in prompts if prompt.labels is not None]
        told = {
            name: next((value for prompt in prompts if (value := getattr(prompt, name)) is not None), None)
            for name in ("box", "mask", "neighbours")
        }
        if points:
            told |= {"points": np.concatenate(points), "labels": np.concatenate(labels)}
        return prompts[0].told(**told)


def _squares(mask: Mask) -> tuple[Mask, int]:
    """A mask of the squares of its box that lie wholly inside it, and their side in pixels; the mask itself where that
    is 1, as in small boxes and where no square is inside."""
    side = math.ceil(math.sqrt(mask.inside.size / LARGE))
    if side <= 1:
        return mask, 1
    height, width = (length // side for length in mask.shape)
    # Eroded, a pixel says whether all of the square below and to the right of it is inside.
    whole = cv2.erode(mask.inside.view(np.uint8), np.ones((side, side), np.uint8), anchor=(0, 0))
    squares = whole[: height * side : side, : width * side : side].view(bool)
    return (Mask(squares.shape, 0, 0, squares), side) if squares.any() else (mask, 1)


def _draw(mask: Mask, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 2) float32 random pixels of a non-empty mask, as (x, y)."""
    return mask.pixels_at(rng.integers(0, mask.area, size=count))
