"""Which cell learns which box, and how far off the network is.

Cells are assigned as in YOLOX (SimOTA; Ge et al. 2021, section 2.1), and so are the losses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from samodal.frontends.detector.model import Raw, cells
from samodal.training.streets.pictures import IGNORED

NEAR = 2.5
"""A cell may learn a box whose middle is not farther away, in cells."""
CANDIDATES = 10
"""Cells of a box at most; as many learn it as the sum of the best IoUs of so many."""
IOU_WEIGHT = 3.0
"""Of the box in the cost of an assignment, beside the class."""
BOX_WEIGHT = 5.0
"""Of the box in the loss."""
FAR = 1e5


def losses(raw: Raw, boxes: torch.Tensor, kinds: torch.Tensor, size: tuple[int, int]) -> dict[str, torch.Tensor]:
    """Scalars: "box", "object", "class" and their weighted sum "loss".

    Args:
        raw: of B canvases of `size`.
        boxes: (B, G, 4).
        kinds: (B, G), classes, NONE or IGNORED; cells within ignored boxes are no mistake.
    """
    place, stride = cells(*size, boxes.device)
    middle, stride = (place + 0.5) * stride, stride[:, 0]
    with torch.no_grad():
        owner, fit = assigned(raw, boxes, kinds, middle, stride)
        ignored = (inside(middle, boxes) & (kinds == IGNORED)[..., None]).any(1)
    positive = owner >= 0
    count = positive.sum().clamp_min(1)
    target = boxes.gather(1, owner.clamp_min(0)[..., None].expand(-1, -1, 4))
    kind = kinds.gather(1, owner.clamp_min(0)).clamp_min(0)
    found = ious(raw.boxes[positive], target[positive])
    known = positive | ~ignored
    entropy = F.binary_cross_entropy_with_logits(raw.objectness, positive.float(), reduction="none")
    wanted = F.one_hot(kind[positive], raw.classes.shape[-1]) * fit[positive][:, None]
    kinds_loss = F.binary_cross_entropy_with_logits(raw.classes[positive], wanted.float(), reduction="sum")
    values = {
        "box": (1 - found.square()).sum() / count, "object": (entropy * known).sum() / count,
        "class": kinds_loss / count,
    }  # fmt: skip
    return {"loss": BOX_WEIGHT * values["box"] + values["object"] + values["class"]} | values


def assigned(
    raw: Raw, boxes: torch.Tensor, kinds: torch.Tensor, middle: torch.Tensor, stride: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, A) which box a cell learns, -1 for none, and (B, A) the IoU of its own box with it.

    Args:
        middle: (A, 2) middles of the cells.
        stride: (A,).
    """
    real = kinds >= 0
    fits = pairwise(boxes, raw.boxes) * real[..., None]  # (B, G, A)
    scores = raw.scores.sqrt().clamp(1e-6, 1 - 1e-6)
    nothing = -(1 - scores).log().sum(-1)  # (B, A)
    own = scores.transpose(1, 2).gather(1, kinds.clamp_min(0)[..., None].expand(-1, -1, scores.shape[1]))
    cost = nothing[:, None] + (1 - own).log() - own.log() - IOU_WEIGHT * fits.clamp_min(1e-8).log()
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    near = (middle - centre[..., None, :]).abs().amax(-1) < NEAR * stride
    within = inside(middle, boxes)
    cost = cost + FAR * ~(near & within) + FAR * FAR * ~((near | within) & real[..., None])
    many = fits.topk(CANDIDATES, -1).values.sum(-1).int().clamp_min(1)
    best = cost.topk(CANDIDATES, -1, largest=False)
    chosen = (torch.arange(CANDIDATES, device=cost.device) < many[..., None]) & (best.values < FAR * FAR / 2)
    matching = torch.zeros_like(cost, dtype=torch.bool).scatter_(-1, best.indices, chosen)
    lowest = torch.where(matching, cost, torch.inf).min(1)
    owner = torch.where(lowest.values.isfinite(), lowest.indices, -1)
    return owner, fits.gather(1, owner.clamp_min(0)[:, None])[:, 0]


def inside(middle: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """(B, G, A) whether the middles (A, 2) of cells lie in boxes."""
    return ((middle > boxes[..., None, :2]) & (middle < boxes[..., None, 2:])).all(-1)


def pairwise(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """(B, G, A) IoU of boxes (B, G, 4) with others (B, A, 4)."""
    low = torch.maximum(boxes[..., None, :2], others[:, None, :, :2])
    high = torch.minimum(boxes[..., None, 2:], others[:, None, :, 2:])
    both = (high - low).clamp_min(0).prod(-1)
    areas = [(b[..., 2:] - b[..., :2]).clamp_min(0).prod(-1) for b in (boxes, others)]
    return both / (areas[0][..., None] + areas[1][:, None] - both).clamp_min(1e-6)


def ious(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """(N,) IoU of boxes with others, (N, 4) each."""
    return pairwise(boxes[:, None], others[:, None])[:, 0, 0]
