"""`sam3_video:CHECKPOINT,car,person`: SAM 3 (Carion et al. 2025) finds and follows what words name, frame by frame.

The model is that of transformers, its input and output are ours, as transformers' need torchvision. What transformers
takes from compiled kernels is ours too (duplicates among detections) or left out (filling of small holes). Its rules
for a hot start look 15 frames ahead, so they are left out: results up to a frame do not depend on later frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samodal.checkpoints.hub import Wanted
from samodal.errors import InputError
from samodal.frontends.checkpoint import fitting, parse, without_words
from samodal.frontends.per_frame import one_owner
from samodal.frontends.road_users import ROAD_USERS
from samodal.frontends.sam_video import Limits, SamVideo, enlarged, forget, load
from samodal.loading import once
from samodal.method.association import Detection
from samodal.parts import Video
from samodal.tracks import VisibleInstance

LICENCE = "SAM License: Meta's own terms, which bar military use among others"
WANTED = Wanted("SAM 3 for videos", "sam3_video", "facebook/sam3", LICENCE)
NEEDS = (
    "a folder of transformers or a hub name, and words for what to find, as in --vis "
    f"sam3_video:{WANTED.example},car,person"
)
COLOURS = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True, eq=False)
class Loaded:
    """A checkpoint in memory: the model and the tokenizer that reads the words."""

    sam: SamVideo
    tokenizer: Any


class Sam3Video:
    """A SAM 3 on a device, and the words for what it is to find.

    Args:
        argument: CHECKPOINT[,WORD…][,LIMIT=VALUE…]: a folder as transformers saves a model or a hub name, what to find,
            all road users if left out, and changed `Limits`. A word, which may be several, is the category of what it
            finds.
        device: where it runs.

    Raises:
        InputError: without a checkpoint, for a wrong or gated checkpoint, or a word that it cannot read.
    """

    def __init__(self, argument: str | None = None, device: str = "cpu"):
        rest, words = without_words(argument)
        words = [word.strip() for word in words]
        self.checkpoint, self.limits = parse(rest, WANTED.model_type, Limits(), NEEDS)
        if "" in words:
            raise InputError(f"--vis sam3_video:{argument}: a word between two commas is empty")
        self.words = tuple(dict.fromkeys(words or ROAD_USERS))
        self.loaded = loaded(self.checkpoint, str(device))
        self._read = {word: read_word(self.loaded, word) for word in self.words}

    def open(self, video: Video) -> Sam3VideoSession:
        return Sam3VideoSession(self.loaded.sam, self._read, self.limits, video.source)


@once(1)
def loaded(checkpoint: str, device: str) -> Loaded:
    """A process loads a checkpoint once for all its videos."""
    sam = load(checkpoint, WANTED, "Sam3VideoModel", COLOURS, device)
    with_own_nms(sam.model)
    # Filling holes needs compiled kernels that transformers would fetch from the hub.
    sam.model.fill_hole_area = 0
    return Loaded(sam, tokenizer_of(sam.folder, checkpoint))


def tokenizer_of(folder: Path, checkpoint: str) -> Any:
    """The tokenizer beside a model; without its file transformers would make a tokenizer that knows no word.

    Raises:
        InputError: where there is none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"{checkpoint}: no tokenizer to read words with; expected tokenizer.json beside the model")
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except ImportError:  # the caller says what to install
        raise
    except Exception as error:  # tokenizers raises its own kinds for damaged files
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{checkpoint}: tokenizer.json cannot be read ({reason})") from error


def read_word(loaded: Loaded, word: str) -> Any:
    """A word as the model takes it: input_ids and attention_mask, (1, length) each.

    Raises:
        InputError: if it is longer than the model reads.
    """
    length = loaded.sam.model.config.detector_config.text_config.max_position_embeddings
    read = loaded.tokenizer(word, return_tensors="pt", padding="max_length", max_length=length)
    if read.input_ids.shape[1] > length:
        raise InputError(
            f"--vis sam3_video: {word!r} is {read.input_ids.shape[1]} tokens long, SAM 3 reads {length}; say it shorter"
        )
    return read


def with_own_nms(model: Any) -> None:
    """Leave out duplicates among a frame's detections here: transformers keeps them all without compiled kernels."""
    detect, limit = model.run_detection, model.det_nms_thresh
    model.det_nms_thresh = 0.0

    def run_detection(inference_session, vision_embeds):
        by_word = detect(inference_session=inference_session, vision_embeds=vision_embeds)
        if limit <= 0:
            return by_word
        best = {word: mask_nms(detected["mask"] > 0, detected["scores"], limit) for word, detected in by_word.items()}
        return {
            word: {name: value[best[word]] for name, value in detected.items()} for word, detected in by_word.items()
        }

    model.run_detection = run_detection


def mask_nms(masks: torch.Tensor, scores: torch.Tensor, limit: float) -> torch.Tensor:
    """Non-maximum suppression by mask IoU: the best, and each next that overlaps none of those before too much.

    Args:
        masks: (N, h, w) bool.
        scores: (N,).
        limit: largest IoU that two detections may have.

    Returns:
        Indices in rising order, on the masks' device.
    """
    flat = masks.flatten(1).float()
    common = flat @ flat.T
    areas = flat.sum(1)
    like = (common / (areas[:, None] + areas[None] - common).clamp(min=1) > limit).cpu()
    kept: list[int] = []
    for n in scores.argsort(descending=True, stable=True).tolist():
        if not like[n, kept].any():
            kept.append(n)
    return torch.tensor(sorted(kept), dtype=torch.long, device=masks.device)


class Sam3VideoSession:
    """SAM 3 at work on a video; frames come once, in order, and nothing of later frames is known.

    Args:
        sam: the model.
        words: what to find, each as `read_word` reads it.
        limits: what is reported.
        source: of the frames, for messages.
    """

    def __init__(self, sam: SamVideo, words: dict[str, Any], limits: Limits, source: str):
        self.sam, self.words, self.limits, self.source = sam, words, limits, source
        self.reset()

    def reset(self) -> None:
        """Forget all instances; the next frame is frame 0."""
        from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoInferenceSession

        self._session = self.sam.session(Sam3VideoInferenceSession)
        # transformers measures the age of what its tracker remembers by the number of frames that it holds, up to
        # these; counted from the start, the first frames of a stream are treated as those of any longer video.
        pointers = self.sam.model.tracker_model.config.max_object_pointers_in_encoder
        self._session.processed_frames = dict.fromkeys(range(pointers))
        for word, read in self.words.items():
            n = self._session.add_prompt(word)
            self._session.prompt_input_ids[n] = read.input_ids.to(self.sam.model.device)
            self._session.prompt_attention_masks[n] = read.attention_mask.to(self.sam.model.device)

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        """The instances visible in frame t; no pixel belongs to two.

        Raises:
            InputError: if the frame does not fit into memory.
        """
        with fitting(frame, f"{self.source}: frame {t}", self.sam.model.device):
            output = self.sam.model(self._session, frame=self.sam.pixels(frame), frame_idx=t)
            self._forget(t)
            return self._report(output, frame.shape[:2])

    def _forget(self, t: int) -> None:
        forget(self._session, self.sam.model.tracker_model.config, t)
        # Read for a hot start only, or in their own frame; transformers copies them in every frame.
        self._session.unmatched_frame_inds.clear()
        self._session.overlap_pair_to_frame_inds.clear()
        self._session.obj_id_to_tracker_score_frame_wise.clear()
        self._session.suppressed_obj_ids.clear()

    def _report(self, output: Any, size: tuple[int, int]) -> list[VisibleInstance]:
        """A pixel goes to the instance that its tracker is surest of, as in SAM 3, but among all words."""
        detections = []
        for key in sorted(output.obj_id_to_mask):
            if key in output.suppressed_obj_ids or output.obj_id_to_score[key] < self.limits.score:
                continue
            mask = enlarged(output.obj_id_to_mask[key][0], size) > 0
            category = self._session.prompts[self._session.obj_id_to_prompt_id[key]]
            detections.append(Detection(category, output.obj_id_to_tracker_score.get(key, 0.0), mask, key))
        scores = output.obj_id_to_score
        return [
            VisibleInstance(d.hint, d.category, min(1.0, scores[d.hint]), d.mask)
            for d in one_owner(detections, max(1, self.limits.area))
        ]
