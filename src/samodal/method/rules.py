"""The rules around the method: each has a name, a switch and a source; a preset is one setting of all.

`paper` is what the text says, `released` what the authors' code does beyond it (without its use of amodal
truth for prompts), `default` what `samodal run` uses without flags, and `points` the same around the amodal SAM.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from samodal.checks import Between, check_fields
from samodal.errors import InputError, nearest


@dataclass(frozen=True)
class Rules:
    """How the pipeline behaves; None switches a rule off."""

    prompt: str = "random"
    """Prompt selector, NAME or NAME:ARGUMENT: random (paper), erosion:3, erosion:7 and saliency (Table 4), max-distance
    and max-entropy (released code), center, box, mask, neighbours (ours); several together with +, as center+box."""
    points: Annotated[int, Between(1, 256)] = 1
    """K, prompt points per instance (paper Table 3: 1 is best)."""
    unite: bool = False
    """Add the visible mask to the predicted amodal mask (released `sam_inference.py`; the paper is silent)."""
    earlier: Annotated[float, Between(0, 1)] | None = None
    """The segmenter is told an instance's best earlier shape, if its visible share times its expected IoU is at least
    this, in [0, 1]; for the segmenter `completion` (ours; None: it is not told)."""
    min_visible: Annotated[int, Between(1, 1_000_000_000)] | None = None
    """Fewest visible pixels that are prompted. An instance with fewer counts as hidden (ours)."""
    min_score: Annotated[float, Between(0, 1)] | None = None
    """An instance that is missing is followed only if one of its last 8 frames had at least this score, in [0, 1]: what
    a front end was never sure of is no hidden instance (ours)."""
    min_cover: Annotated[float, Between(0, 1)] | None = None
    """Least share of the visible mask that the prediction must cover, in [0, 1]. Below it the visible mask replaces the
    prediction (ours)."""
    track: bool = True
    """Move the masks of instances that are not reported. False leaves them out, as the first evaluation of the released
    scripts."""
    follow: Annotated[int, Between(1, 256)] | None = None
    """How many points of a hidden instance to follow: the prompt's first, the others spread over its visible mask.
    None: the prompt's alone (paper; ours follows more, so that some may be wrong)."""
    anchor_s: Annotated[float, Between(0)] | None = None
    """A hidden mask starts from the last frame, unless one of the last so many seconds, at most 7 frames back, promises
    a better shape: by what is visible of the instance times the expected IoU. None: from the last frame, in which the
    occluder leaves a sliver (paper)."""
    motion: Literal["points", "believed", "velocity", "robust", "filter"] = "points"
    """What moves a hidden mask. points: mean displacement of all its points (paper). believed: of the points that the
    tracker calls visible, and where there are none, the velocity it had while visible (ours). velocity: that velocity
    alone, as a simple tracker sticks to the occluder (ours). robust: the shift and scale that most believed points
    agree on, and where there are none, the velocity (ours, `samodal.method.hidden`). filter: where it stands on the
    ground and how the camera moves, from all masks before, and these points (ours, `samodal.method.filter`)."""
    believe: Annotated[float, Between(0, 1)] = 0.5
    """`robust`, `filter`: least confidence of a point, in [0, 1]. Points that the tracker calls visible within the
    visible mask of another instance are not believed either: they follow the occluder."""
    jump: Annotated[float, Between(0)] | None = None
    """`robust`: largest step away from the last velocity, in sides of the mask (root of its area) a frame;
    more where the instance is fast. A larger step is dropped and the velocity is used. None: no limit."""
    coast_s: Annotated[float, Between(0)] | None = None
    """`robust`, `filter`: seconds without a believed point until an instance is lost. A lost instance keeps its
    entry, without a mask, until it is reported again or forgotten. None: never lost."""
    lost_spread: Annotated[float, Between(0)] | None = None
    """`filter`: an instance is lost when the spread of its place is more than so many of its sides, in x or in y, and
    `coast_s` plays no part. None: it is not (ours, `samodal.method.filter`)."""
    open_s: Annotated[float, Between(0)] | None = None
    """Seconds until an instance is lost after what hid it has moved away: if it were there, it would be seen (ours;
    None: its mask goes on)."""
    clamp: bool = False
    """Limit the shift in x and in y to the mean step between earlier prompt points, times the frames elapsed (released
    `coco_preds_to_ytvis.py`)."""
    border: Annotated[int, Between(0, 1_000_000)] | None = None
    """An instance last seen within so many pixels of the left or right edge has left the image; it is not hidden
    (released: 20)."""
    leaving: Annotated[float, Between(0, 1)] | None = None
    """Share of an instance that other reported instances must cover for it to stay at the border, in state leaving,
    unless `filter` is sure that it is inside (ours; None: it is gone at once). Outside the image it is gone."""
    cut: Annotated[float, Between(-1, 1)] | None = None
    """Similarity of two frames after optical flow, in [-1, 1], below which they may be of two scenes. Lost corners and
    other colours must agree with it; then everything is forgotten (ours, `samodal.method.cuts`; None: no detector, as
    in the paper)."""
    remember_s: Annotated[float, Between(0)] | None = None
    """Seconds unseen after which an instance is forgotten, at the end of the frame. None: never (paper and released
    code)."""
    frame_score: Literal["iou", "iou_x_vis"] = "iou"
    """Score of an instance in a frame: the segmenter's predicted IoU (released), or that times the front end's."""
    decay: Annotated[float, Between(0, 1)] = 1.0
    """Factor on a hidden instance's score for each second (ours; 1: none, as released)."""
    memory_tuples: Annotated[int, Between(1, 1_000_000)] = 256
    """Prompts (sets of K points) kept per instance; the oldest go first (paper: all; bounded here for endless
    streams)."""
    memory_instances: Annotated[int, Between(1, 1_000_000)] = 512
    """Instances remembered at most; those unseen for longest go first (ours, for endless streams)."""

    def __post_init__(self):
        check_fields(self, "rules")


PRESETS = {
    "paper": Rules(),
    "released": Rules(prompt="erosion:7", unite=True, clamp=True, border=20),
    "default": Rules(
        prompt="center+mask+neighbours",
        points=3,
        earlier=0.6,
        unite=True,
        min_visible=8,
        min_score=0.35,
        min_cover=0.5,
        follow=16,
        anchor_s=0.8,
        motion="filter",
        jump=0.5,
        coast_s=3.0,
        lost_spread=2.0,
        open_s=0.5,
        border=2,
        leaving=0.8,
        cut=0.6,
        remember_s=6.0,
        frame_score="iou_x_vis",
        decay=0.5,
    ),
}


# The rules that were chosen for the amodal SAM, which is prompted with points.
PRESETS["points"] = replace(PRESETS["default"], prompt="center", earlier=None, min_visible=48, motion="robust")


def preset(name: str, **changes) -> Rules:
    """The rules of a preset with some of them changed; unknown names are an InputError with the nearest known one."""
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(f"unknown preset {name!r}{nearest(str(name), PRESETS)}")
    for rule in changes:
        if rule not in Rules.__dataclass_fields__:
            raise InputError(f"unknown rule {rule!r}{nearest(rule, Rules.__dataclass_fields__)}")
    return replace(PRESETS[name], **changes)
