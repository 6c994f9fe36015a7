"""The prompt of one instance."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a segmenter is told about one instance; every part is optional and K may differ between instances.

    Attributes:
        points: (K, 2) float32, x and y in original-frame pixels, integers at pixel centres.
        labels: (K,) int, 1 on the instance, 0 off it (paper, supplement A: only positive ones are used).
        box: (4,) float32, x0, y0, x1, y1 in original-frame pixels.
        mask: (H, W) bool, the visible mask.
        occluder: (H, W) bool, where another instance may stand in front.
    """

    points: np.ndarray | None = None
    labels: np.ndarray | None = None
    box: np.ndarray | None = None
    mask: np.ndarray | None = None
    occluder: np.ndarray | None = None

    def __post_init__(self):
        if self.points is not None:
            points = np.asarray(self.points, dtype=np.float32).reshape(-1, 2)
            labels = np.ones(len(points), int) if self.labels is None else np.asarray(self.labels, int)
            if labels.shape != (len(points),):
                raise ValueError(f"{len(points)} points need as many labels, got shape {labels.shape}")
            object.__setattr__(self, "points", points)
            object.__setattr__(self, "labels", labels)

    @property
    def shape(self) -> tuple[int, bool, bool, bool]:
        """What must agree for prompts to share a batch: number of points, box, mask, occluder or not."""
        count = 0 if self.points is None else len(self.points)
        return count, self.box is not None, self.mask is not None, self.occluder is not None
