"""A segmenter of single frames from transformers, made a front end: sizes and colours in, detections out.

Preparation and reading of the output are our own: transformers' need torchvision, and give a map of ids without
scores. Identities come from `samodal.method.association`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from samodal.checkpoints.hub import Wanted, model_folder
from samodal.checks import Between, fits, in_words
from samodal.errors import InputError, shown
from samodal.files import read_json
from samodal.frontends.checkpoint import fitting, parse, pretrained
from samodal.frontends.per_frame import AssociatedSession, association_for, one_owner
from samodal.frontends.road_users import mapping, named
from samodal.loading import once
from samodal.method.association import AssociationRules, Detection
from samodal.parts import Video

Pixels = Annotated[int, Between(1, 8192)]
Above0 = Annotated[float, Between(1e-6)]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Limits:
    """What is reported as an instance.

    Attributes:
        score: least score of a detection that begins an instance.
        keep: least score of a detection that continues an instance.
        area: least visible pixels in the frame.
    """

    score: float = 0.5
    keep: float = 0.3
    area: int = 64


@dataclass(frozen=True)
class Preparation:
    """How a frame becomes the network's input: stretched, never padded, so that masks are stretched back.

    Attributes:
        size: "height" and "width" in pixels; or "shortest_edge" and "longest_edge", which keep the aspect ratio.
        divisor: sides are rounded up to a multiple of it.
        mean, std: of RGB in [0, 1].
    """

    size: dict[str, int]
    divisor: int = 1
    mean: Sequence[float] = IMAGENET[0]
    std: Sequence[float] = IMAGENET[1]

    @classmethod
    def read(cls, folder: Path, default: Preparation) -> Preparation:
        """From the checkpoint's preprocessor_config.json, `default` for what it leaves out.

        Raises:
            InputError: for a file that is damaged, or values that no model has.
        """
        path = folder / "preprocessor_config.json"
        config = read_json(path) if path.is_file() else {}
        if not isinstance(config, dict) or not isinstance(config.get("size", {}), dict):
            raise InputError(f"{path}: expected names and values, and a size with names, found {shown(config)}")
        size = config.get("size", default.size)
        if not ({"height", "width"} <= set(size) or {"shortest_edge", "longest_edge"} <= set(size)):
            raise InputError(
                f"{path}: size {size} is of no known kind; expected height and width, or shortest_edge and longest_edge"
            )
        divisor = config.get("size_divisor", default.divisor) or 1
        mean, std = config.get("image_mean", default.mean), config.get("image_std", default.std)
        sides = [size[name] for name in ("height", "width", "shortest_edge", "longest_edge") if name in size]
        for name, value, kind in (
            *(("size", side, Pixels) for side in sides), ("size_divisor", divisor, Pixels),
            ("image_mean", mean, tuple[float, float, float]), ("image_std", std, tuple[Above0, Above0, Above0]),
        ):  # fmt: skip
            if not fits(value, kind):
                raise InputError(f"{path}: {name} should be {in_words(kind)}, found {shown(value)}")
        return cls(size, divisor, mean, std)

    def input_size(self, frame_size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of the input for a frame of (H, W)."""
        height, width = self._resized(*frame_size)
        return -(-height // self.divisor) * self.divisor, -(-width // self.divisor) * self.divisor

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        if "height" in self.size:
            return self.size["height"], self.size["width"]
        short, long = min(height, width), max(height, width)
        edge, exact = self.size["shortest_edge"], float(self.size["shortest_edge"])
        if long / short * edge > self.size["longest_edge"]:
            exact = self.size["longest_edge"] * short / long
            edge = round(exact)
        # Cut off, not rounded, as transformers does.
        other = int(exact * long / short)
        return (edge, other) if height <= width else (other, edge)

    def pixels(self, frame: np.ndarray) -> torch.Tensor:
        """A (H, W, 3) uint8 RGB frame as (1, 3, h, w) float32."""
        height, width = self.input_size(frame.shape[:2])
        image = Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self.mean, self.std))
        return ((pixels - mean) / std)[None]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint in memory.

    Attributes:
        model: of transformers, on its device.
        preparation: of its input.
        classes: the road users, each with the places of its scores.
    """

    model: torch.nn.Module
    preparation: Preparation
    classes: dict[str, list[int]]


class HubSegmenter(ABC):
    """A front end that looks at single frames.

    Args:
        argument: CHECKPOINT[,LIMIT=VALUE…]: a folder as transformers saves a model or a hub name, and changed `Limits`.
        device: where it runs.

    Raises:
        InputError: without a checkpoint, for another model, or for a model that knows no road user.
    """

    wanted: ClassVar[Wanted]

    def __init__(self, argument: str | None = None, device: str = "cpu"):
        needs = f"a folder of transformers or a hub name, as in --vis {self.wanted.model_type}:{self.wanted.example}"
        self.checkpoint, self.limits = parse(argument, self.wanted.model_type, Limits(), needs)
        self.loaded = _loaded(type(self), self.checkpoint, str(device))

    @staticmethod
    @abstractmethod
    def architecture():
        """The class of transformers."""

    @staticmethod
    @abstractmethod
    def preparation(config) -> Preparation:
        """The preparation for a checkpoint of this config that has none of its own."""

    @staticmethod
    @abstractmethod
    def read(output) -> tuple[torch.Tensor, torch.Tensor]:
        """(Q, C) probabilities of the classes, and (Q, h, w) mask logits, of a frame."""

    def open(self, video: Video) -> AssociatedSession:
        rules = AssociationRules(begin=self.limits.score)

        def detect(frame: np.ndarray) -> list[Detection]:
            return self._detect(frame, video.source)

        return AssociatedSession(detect, association_for(video, rules))

    def _detect(self, frame: np.ndarray, source: str) -> list[Detection]:
        """The instances of a frame; no pixel belongs to two."""
        with fitting(frame, f"{source}: a frame", self.loaded.model.device):
            return self._segment(frame)

    @torch.inference_mode()
    def _segment(self, frame: np.ndarray) -> list[Detection]:
        pixels = self.loaded.preparation.pixels(frame).to(self.loaded.model.device)
        probabilities, logits = self.read(self.loaded.model(pixel_values=pixels))
        scores = torch.stack([probabilities[:, places].sum(1) for places in self.loaded.classes.values()], dim=1)
        best, which = scores.float().clamp(max=1).max(1)
        names = list(self.loaded.classes)
        detections = []
        # Mask by mask: those of all queries would fill gigabytes for a large frame.
        for query in torch.nonzero(best >= self.limits.keep).flatten().tolist():
            small = logits[query].float()
            mask = F.interpolate(small[None, None], frame.shape[:2], mode="bilinear", align_corners=False)[0, 0] > 0
            certainty = float(small.sigmoid()[small > 0].mean()) if bool(mask.any()) else 0.0
            score = float(best[query]) * certainty
            if score >= self.limits.keep:
                detections.append(Detection(names[int(which[query])], score, mask.numpy(force=True)))
        return one_owner(detections, max(1, self.limits.area))


@once(1)
def _loaded(kind: type[HubSegmenter], checkpoint: str, device: str) -> Loaded:
    """A process loads a checkpoint once for all its videos."""
    folder = model_folder(checkpoint, kind.wanted)
    hint = "; is it one that gives masks?"
    model = pretrained(kind.architecture(), folder, checkpoint, kind.wanted.title, hint)
    labels = named([model.config.id2label[n] for n in range(len(model.config.id2label))], checkpoint)
    preparation = Preparation.read(folder, kind.preparation(model.config))
    return Loaded(model.to(device).eval(), preparation, mapping(labels, checkpoint))
