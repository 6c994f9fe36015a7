"""What the video models of SAM 2 and SAM 3 have in common: loading without torchvision, frames in, a bounded memory.

Sessions of transformers keep every frame and every mask; `forget` drops what no later frame can ask for, so that a
long video costs no more than a short video.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from samodal.checkpoints.hub import Wanted, model_folder
from samodal.errors import InputError
from samodal.frontends.checkpoint import pretrained
from samodal.frontends.hub_segmenter import Preparation

INSTALL = "pip install 'transformers>=5.23,<6'"


@dataclass(frozen=True)
class Limits:
    """What is reported.

    Attributes:
        score: least score: of SAM 2 the probability that the instance is in the frame, of SAM 3 that of the detection
            with which the instance began.
        area: least visible pixels in the frame.
    """

    score: float = 0.5
    area: int = 64


@dataclass(frozen=True, eq=False)
class SamVideo:
    """A checkpoint in memory.

    Attributes:
        model: of transformers, on its device.
        preparation: of its input, a square that frames are stretched to.
        folder: where it came from.
    """

    model: Any
    preparation: Preparation
    folder: Path

    @property
    def side(self) -> int:
        """Pixels of a side of the input."""
        return self.preparation.size["height"]

    def pixels(self, frame: np.ndarray) -> torch.Tensor:
        """A (H, W, 3) uint8 RGB frame as (1, 3, side, side) on the model's device."""
        return self.preparation.pixels(frame).to(self.model.device, self.model.dtype)

    def session(self, kind: type) -> Any:
        """A new streaming session of transformers on the model's device."""
        device = self.model.device
        return kind(
            inference_device=device, inference_state_device=device, video_storage_device=device, dtype=self.model.dtype
        )


def transformers_class(name: str, vis: str) -> Any:
    """A class of transformers.

    Raises:
        InputError: where the installed transformers does not have it, or not without torchvision.
    """
    import transformers

    try:
        return getattr(transformers, name)
    except (ImportError, AttributeError):
        raise unavailable(vis) from None


def unavailable(vis: str) -> InputError:
    """The error where the installed transformers cannot build the model."""
    from transformers import __version__

    return InputError(f"--vis {vis}: transformers {__version__} cannot build its model; {INSTALL}")


def load(checkpoint: str, wanted: Wanted, architecture: str, colours: tuple, device: str) -> SamVideo:
    """A checkpoint, checked before it is built.

    Args:
        checkpoint: a folder as transformers saves a model, or a hub name.
        wanted: what it must be.
        architecture: the name of its class in transformers.
        colours: mean and std of RGB in [0, 1], where the checkpoint has none.
        device: where it runs.

    Raises:
        InputError: where there is none, it is gated, or transformers cannot build it.
    """
    kind = transformers_class(architecture, wanted.model_type)
    folder = model_folder(checkpoint, wanted)
    try:
        model = pretrained(kind, folder, checkpoint, wanted.title)
    except ImportError:
        raise unavailable(wanted.model_type) from None
    side = model.config.image_size
    size = {"height": side, "width": side}
    preparation = Preparation.read(folder, Preparation(size, 1, *colours))
    # The model takes no other size, whatever its image processor has.
    return SamVideo(model.to(device).eval(), replace(preparation, size=size, divisor=1), folder)


def enlarged(logits: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """(h, w) mask logits at a frame's (H, W), float32."""
    large = F.interpolate(logits.float()[None, None], size, mode="bilinear", align_corners=False)
    return large[0, 0].numpy(force=True)


def forget(session: Any, config: Any, t: int) -> None:
    """Drop from a session of transformers what frames after t never ask for; their results are the same.

    Args:
        session: just went through frame t.
        config: of the tracker, with how far it looks back.
        t: frame index.
    """
    # The number of frames is read, so that the frame stays, but not its pixels.
    session.processed_frames[t] = None
    oldest = t + 1 - max(config.num_maskmem, config.max_object_pointers_in_encoder)
    for outputs in session.output_dict_per_obj.values():
        tracked, prompted = outputs["non_cond_frame_outputs"], outputs["cond_frame_outputs"]
        for frames in (tracked, prompted):
            for name in ("high_res_masks", "pred_masks"):
                frames.get(t, {}).pop(name, None)
        for old in [n for n in tracked if n < oldest]:
            del tracked[old]
        for old in _unread(prompted, config.max_cond_frame_num, oldest):
            prompted[old].pop("maskmem_features", None)
            prompted[old].pop("maskmem_pos_enc", None)


def _unread(prompted: dict, read: int, oldest: int) -> list[int]:
    """Prompted frames whose memory is not read any more: the newest `read` are read, all if it is -1. Pointers stay."""
    return [] if read == -1 else [n for n in sorted(prompted)[:-read] if n < oldest]
