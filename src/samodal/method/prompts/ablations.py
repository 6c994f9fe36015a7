"""Selectors of the paper's study of prompts (section 5, Table 4), and the two others that its code offers.

Source: SAMAug (arXiv:2307.01187), which the paper cites as [10], and the released `utils/helper_functions.py`. There
the two that compare with a first point mistake (row, column) for (x, y), and the salient point may lie off the mask;
not here. K > 1 is ours: the released loaders then draw random points, whatever was asked for.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from samodal.errors import InputError
from samodal.masks import Mask
from samodal.parts import Prompt

MARGIN = 10
"""Pixels around the mask's box in which saliency is judged (released code)."""
WINDOW = 9
"""Side of the square whose grey values give the entropy at a pixel (SAMAug, released code)."""


class SalientPoint:
    """The visible pixel that is most salient in the picture around its instance.

    The paper takes saliency from VST, a network whose code is a repository without a package and whose map is binary:
    the released code draws a random pixel of it. This is OpenCV's spectral residual (Hou and Zhang 2007), what the
    amplitudes of a picture's frequencies do not lead to expect: maintained and without weights, but it knows nothing
    of objects. So numbers of Table 4's column need not come out alike. OpenCV's fine-grained saliency was not taken:
    it is flat around small things, so that chance would decide.

    Args:
        count: K; each further point has the largest saliency times distance to those taken.

    Raises:
        InputError: where another OpenCV than opencv-contrib-python-headless took its place.
    """

    def __init__(self, count: int = 1):
        if not hasattr(getattr(cv2, "saliency", None), "StaticSaliencySpectralResidual_create"):
            raise InputError(
                "prompt saliency: this OpenCV has no saliency module; "
                "pip install --force-reinstall --no-deps opencv-contrib-python-headless"
            )
        self.count = count

    def __call__(self, image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        points = mask.pixels()
        saliency = self._saliency(image, points)
        taken = [int(saliency.argmax())]
        while len(taken) < self.count:
            distance = np.hypot(*(points[:, None] - points[taken]).transpose(2, 0, 1)).min(1)
            # Not zero anywhere: where nothing is salient, the farthest pixel is the next.
            taken.append(int(((1 / 255 + saliency) * distance).argmax()))
        return Prompt(points=points[taken])

    def _saliency(self, image: np.ndarray, points: np.ndarray) -> np.ndarray:
        """(N,) float32 in [0, 1] at the given pixels, judged on the box around them."""
        x0, y0 = np.maximum(points.min(0).astype(int) - MARGIN, 0)
        x1, y1 = points.max(0).astype(int) + MARGIN + 1
        crop = cv2.cvtColor(image[y0:y1, x0:x1], cv2.COLOR_RGB2BGR)
        _, found = cv2.saliency.StaticSaliencySpectralResidual.create().computeSaliency(crop)
        x, y = points.astype(int).T
        return np.nan_to_num(found.astype(np.float32))[y - y0, x - x0]


class MaxDistancePoint:
    """The visible pixel farthest from a random visible pixel, which itself is not used.

    Args:
        count: K; each further point is the farthest from the random one and from those taken.
    """

    def __init__(self, count: int = 1):
        self.count = count

    def __call__(self, image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        points = mask.pixels()
        return Prompt(points=points[_farthest(points, self.count, rng)])


class MaxEntropyPoint:
    """The visible pixel around which the grey values' entropy differs most from that around a random visible pixel.

    Entropy in bits of the 256 grey values in a square of 9 x 9 pixels, of which only what lies in the image counts.

    Args:
        count: K; each further point differs most from the random one and from those taken.
    """

    def __init__(self, count: int = 1):
        self.count = count

    def __call__(self, image: np.ndarray, mask: Mask, neighbours: Sequence[Mask], rng: np.random.Generator) -> Prompt:
        points = mask.pixels()
        x, y = points.astype(int).T
        x0, y0 = max(0, x.min() - WINDOW // 2), max(0, y.min() - WINDOW // 2)
        grey = cv2.cvtColor(image[y0 : y.max() + WINDOW // 2 + 1, x0 : x.max() + WINDOW // 2 + 1], cv2.COLOR_RGB2GRAY)
        entropy = local_entropy(grey)[y - y0, x - x0]
        return Prompt(points=points[_farthest(entropy[:, None], self.count, rng)])


def local_entropy(grey: np.ndarray) -> np.ndarray:
    """(H, W) float64: entropy in bits of the values in the square around each pixel of a (H, W) uint8 picture."""

    def counted(inside: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(inside, cv2.CV_16U, (WINDOW, WINDOW), normalize=False, borderType=cv2.BORDER_CONSTANT)

    counts = np.arange(WINDOW**2 + 1)
    times_log = counts * np.log2(np.maximum(counts, 1))
    total = np.zeros(grey.shape)
    for value in np.unique(grey):
        total += times_log[counted((grey == value).astype(np.uint8))]
    size = counted(np.ones_like(grey)).astype(float)
    return np.log2(size) - total / size


def _farthest(features: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """Indices of (N, D) features, each the farthest from a random one and from those before it."""
    distance = np.linalg.norm(features - features[rng.integers(len(features))], axis=1)
    taken = []
    for _ in range(count):
        taken.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(features - features[taken[-1]], axis=1))
    return taken
