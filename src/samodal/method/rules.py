"""The rules around the method: each has a name, a switch and a source; a preset is one setting of all.

`paper` is what the text says, `released` what the authors' code does beyond it (without its use of amodal
truth for prompts), `default` what `samodal run` uses without flags.
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
    """Amodal := amodal or visible (released `sam_inference.py`; the paper is silent)."""
    min_visible: Annotated[int, Between(1)] | None = None
    """A reported instance with fewer visible pixels is treated as hidden, not prompted from a sliver (ours)."""
    min_cover: Annotated[float, Between(0, 1)] | None = None
    """Keep the visible mask alone where the amodal one covers a smaller share of it, in [0, 1] (ours)."""
    track: bool = True
    """Move the masks of instances that are not reported; False leaves them out (as the first evaluation
    of the released scripts)."""
    follow: Annotated[int, Between(1, 256)] | None = None
    """Points of an instance to follow, the prompt points first, the others spread over its visible mask; None: the
    prompt points alone (paper; ours follows more, so that some may be wrong)."""
    anchor_s: Annotated[float, Between(0)] | None = None
    """A hidden instance is moved from the last frame that showed nearly as much of it as any frame of so many seconds,
    at most 7 frames back; None: from the last frame, in which the occluder leaves a sliver (paper)."""
    motion: Literal["points", "believed", "velocity", "robust"] = "points"
    """What moves a hidden mask: the mean displacement of all its points (paper); of those that the tracker calls
    visible and, where there are none, the velocity the instance had while it was visible (ours); that velocity alone,
    since a simple tracker tends to stick to the occluder (ours); or translation and scale that most believed points
    agree with and, where there are none, the velocity (ours, `samodal.method.hidden`)."""
    believe: Annotated[float, Between(0, 1)] = 0.5
    """`robust`: least confidence of a point, in [0, 1]. Points that the tracker calls visible within the visible mask
    of another instance are not believed either: they follow the occluder."""
    jump: Annotated[float, Between(0)] | None = None
    """`robust`: the estimate may differ from going on at the last velocity by so many sides of the mask a frame, more
    where the instance is fast; beyond it the velocity is believed (side: root of the area; None: no limit)."""
    coast_s: Annotated[float, Between(0)] | None = None
    """`robust`: an instance is lost when no point was believed for so many seconds: it keeps its entry, without a
    mask, until it is reported again or forgotten. None: never lost."""
    open_s: Annotated[float, Between(0)] | None = None
    """An instance that reported ones hid, and that none of them covers any more, is lost after so many seconds: if it
    were there, it would be seen (ours; None: its mask goes on)."""
    clamp: bool = False
    """Limit |dx|, |dy| to the mean step between earlier prompt points x frames elapsed (released
    `coco_preds_to_ytvis.py`)."""
    border: Annotated[int, Between(0)] | None = None
    """An instance last seen within so many pixels of the left or right edge has left, not hidden (released: 20)."""
    leaving: Annotated[float, Between(0, 1)] | None = None
    """An instance that the border rule would drop stays, and is called leaving, while other reported instances cover at
    least this share of it, as they can hide it (ours; None: it is gone at once). Outside the image it is gone."""
    cut: Annotated[float, Between(-1, 1)] | None = None
    """Forget everything at a scene cut: where the last frame, moved by the optical flow, is less like this one than
    so much, in [-1, 1] (ours, `samodal.method.cuts`; None: no detector, as in the paper)."""
    remember_s: Annotated[float, Between(0)] | None = None
    """Forget an instance at the end of the first frame in which it has been unseen for longer than so many seconds;
    None: never (paper and released code)."""
    frame_score: Literal["iou", "iou_x_vis"] = "iou"
    """Score of an instance in a frame: the segmenter's predicted IoU (released), or that times the front end's."""
    decay: Annotated[float, Between(0, 1)] = 1.0
    """Factor on the score for each second that an instance is hidden (ours; 1: none, as released)."""
    memory_tuples: Annotated[int, Between(1)] = 256
    """Point K-tuples kept per instance; the oldest go first (paper: all; bounded here for endless streams)."""
    memory_instances: Annotated[int, Between(1)] = 512
    """Instances remembered at most; those unseen for longest go first (ours, for endless streams)."""

    def __post_init__(self):
        check_fields(self, "rules")


PRESETS = {
    "paper": Rules(),
    "released": Rules(prompt="erosion:7", unite=True, clamp=True, border=20),
    "default": Rules(
        prompt="center",
        points=3,
        unite=True,
        min_visible=48,
        min_cover=0.5,
        follow=16,
        anchor_s=0.8,
        motion="robust",
        jump=0.5,
        coast_s=3.0,
        open_s=0.5,
        border=2,
        leaving=0.8,
        cut=0.78,
        remember_s=6.0,
        frame_score="iou_x_vis",
        decay=0.5,
    ),
}


def preset(name: str, **changes) -> Rules:
    """The rules of a preset with some of them changed; unknown names are an InputError with the nearest known one."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}{nearest(name, PRESETS)}")
    for rule in changes:
        if rule not in Rules.__dataclass_fields__:
            raise InputError(f"unknown rule {rule!r}{nearest(rule, Rules.__dataclass_fields__)}")
    return replace(PRESETS[name], **changes)
