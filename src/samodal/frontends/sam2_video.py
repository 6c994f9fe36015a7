"""`sam2_video:CHECKPOINT,PROMPTS.json`: SAM 2 (Ravi et al. 2024) follows what a prompt names once, frame by frame.

It finds nothing by itself: each instance is given by points or a box in a frame, and is known from that frame on.
The model is that of transformers, its input and output are ours, as transformers' need torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samodal.checkpoints.hub import Wanted
from samodal.errors import InputError, nearest
from samodal.files import read_json
from samodal.frontends.checkpoint import fitting, parse, without_words
from samodal.frontends.hub_segmenter import IMAGENET
from samodal.frontends.sam_video import Limits, SamVideo, enlarged, forget, load
from samodal.loading import once
from samodal.parts import Video
from samodal.tracks import VisibleInstance

WANTED = Wanted("SAM 2 for videos", "sam2_video", "facebook/sam2.1-hiera-tiny")
NEEDS = f"a folder of transformers or a hub name, and the prompts, as in --vis sam2_video:{WANTED.example},prompts.json"
FORM = (
    '[{"frame": 0, "id": 1, "category": "car", "points": [[310, 220]]}, '
    '{"frame": 0, "id": 2, "category": "person", "box": [40, 90, 80, 200]}]'
)
BOX_LABELS = (2, 3)
"""SAM's labels of the two corners of a box; of points they are 1 on the instance and 0 beside it."""


@dataclass(frozen=True)
class InstancePrompt:
    """Where an instance is in a frame.

    Attributes:
        frame: index from 0.
        id: of the instance, as it is reported.
        category: class name.
        xy: (x, y) of the corners of a box, if any, and of the points, in original pixels.
        labels: a label for each, as SAM counts them.
    """

    frame: int
    id: int | str
    category: str
    xy: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]


def read_prompts(path: str | Path) -> list[InstancePrompt]:
    """The prompts of a JSON file: a list of objects with frame, id, category, and point, points or box.

    `point` is [x, y]; `points` a list of them, with `labels` 1 on the instance and 0 beside it (all 1 if left out);
    `box` is [x0, y0, x1, y1]. All in pixels of the original frames. The same id in a later frame is prompted anew.

    Raises:
        InputError: for a missing or malformed file, which entry is wrong and what is expected.
    """
    entries = read_json(Path(path))
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: expected a list of prompts, as {FORM}")
    prompts = [_prompt_of(entry, f"{path}: prompt {n}") for n, entry in enumerate(entries)]
    _check_together(prompts, path)
    return prompts


def _prompt_of(entry: Any, where: str) -> InstancePrompt:
    known = ("frame", "id", "category", "point", "points", "labels", "box")
    if not isinstance(entry, Mapping):
        raise InputError(f"{where}: expected an object, got {entry!r}; as {FORM}")
    for name in entry:
        if name not in known:
            raise InputError(f"{where}: unknown key {name!r}{nearest(name, known)}")
    frame, key, category = entry.get("frame"), entry.get("id"), entry.get("category")
    if not _whole(frame) or frame < 0:
        raise InputError(f"{where}: frame must be an index from 0, got {frame!r}")
    if not (_whole(key) or isinstance(key, str)):
        raise InputError(f"{where}: id must be a whole number or a text, got {key!r}")
    if not isinstance(category, str) or not category:
        raise InputError(f"{where}: category must be a class name, got {category!r}")
    xy, labels = _places(entry, where)
    return InstancePrompt(frame, key, category, xy, labels)


def _places(entry: Mapping, where: str) -> tuple[tuple[tuple[float, float], ...], tuple[int, ...]]:
    """The points of an entry, corners of the box first, and their labels."""
    if "point" in entry and "points" in entry:
        raise InputError(f"{where}: point and points exclude each other")
    points = entry.get("points", [entry["point"]] if "point" in entry else [])
    labels = entry.get("labels", [1] * len(points) if isinstance(points, list) else [])
    if not isinstance(points, list) or not all(_numbers(point, 2) for point in points):
        raise InputError(f"{where}: points must be a list of [x, y], got {points!r}")
    if not isinstance(labels, list) or len(labels) != len(points) or not all(label in (0, 1) for label in labels):
        raise InputError(f"{where}: labels must be a 0 or 1 for each of the {len(points)} points, got {labels!r}")
    box = entry.get("box")
    if box is None:
        if 1 not in labels:
            raise InputError(f"{where}: needs a box or a point on the instance, as {FORM}")
        return tuple((float(x), float(y)) for x, y in points), tuple(labels)
    if not _numbers(box, 4) or not (box[0] < box[2] and box[1] < box[3]):
        raise InputError(f"{where}: box must be [x0, y0, x1, y1] with x0 < x1 and y0 < y1, got {box!r}")
    corners = [box[:2], box[2:]]
    return tuple((float(x), float(y)) for x, y in corners + points), (*BOX_LABELS, *labels)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(value: Any, count: int) -> bool:
    if not isinstance(value, list) or len(value) != count:
        return False
    return all(isinstance(v, int | float) and not isinstance(v, bool) and np.isfinite(v) for v in value)


def _check_together(prompts: Sequence[InstancePrompt], path: str | Path) -> None:
    """An id has a single category, and a single prompt in a frame."""
    categories: dict[int | str, str] = {}
    places = set()
    for prompt in prompts:
        category = categories.setdefault(prompt.id, prompt.category)
        if category != prompt.category:
            raise InputError(f"{path}: id {prompt.id} is a {category} and a {prompt.category}; give it one category")
        if (prompt.frame, prompt.id) in places:
            raise InputError(f"{path}: id {prompt.id} has two prompts in frame {prompt.frame}; put its points into one")
        places.add((prompt.frame, prompt.id))


class Sam2Video:
    """A SAM 2 on a device, and what it is to follow.

    Args:
        argument: CHECKPOINT,PROMPTS.json[,LIMIT=VALUE…]: a folder as transformers saves a model or a hub name, what
            `read_prompts` takes, and changed `Limits`.
        device: where it runs.

    Raises:
        InputError: without a checkpoint or prompts, or where they are wrong.
    """

    def __init__(self, argument: str | None = None, device: str = "cpu"):
        rest, files = without_words(argument)
        self.checkpoint, self.limits = parse(rest, WANTED.model_type, Limits(), NEEDS)
        if len(files) != 1 or not files[0]:
            raise InputError(f"--vis sam2_video needs one file of prompts, got {len(files)}: {NEEDS}")
        self.prompts_file, self.prompts = files[0], read_prompts(files[0])
        self.loaded = loaded(self.checkpoint, str(device))

    def open(self, video: Video) -> Sam2VideoSession:
        """At work on a video.

        Raises:
            InputError: for a prompt outside the video.
        """
        height, width = video.size
        for prompt in self.prompts:
            if video.length is not None and prompt.frame >= video.length:
                raise InputError(
                    f"{self.prompts_file}: id {prompt.id} is in frame {prompt.frame}, but {video.source} has "
                    f"{video.length} frames, counted from 0"
                )
            for x, y in prompt.xy:
                if not (-0.5 <= x <= width and -0.5 <= y <= height):
                    raise InputError(
                        f"{self.prompts_file}: id {prompt.id} is at ({x:g}, {y:g}) in frame {prompt.frame}, outside "
                        f"the {width}x{height} (width x height) of {video.source}"
                    )
        return Sam2VideoSession(self.loaded, self.prompts, self.limits, video)


@once(1)
def loaded(checkpoint: str, device: str) -> SamVideo:
    """A process loads a checkpoint once for all its videos."""
    return load(checkpoint, WANTED, "Sam2VideoModel", IMAGENET, device)


class Sam2VideoSession:
    """SAM 2 at work on a video; frames come once, in order, and nothing of later frames is known.

    Args:
        loaded: the model.
        prompts: what to follow, each from its frame on.
        limits: what is reported.
        video: for the size of its frames, which prompts count in, and for messages.
    """

    def __init__(self, loaded: SamVideo, prompts: Sequence[InstancePrompt], limits: Limits, video: Video):
        self.loaded, self.prompts, self.limits = loaded, prompts, limits
        self.size, self.source = video.size, video.source
        self.categories = {prompt.id: prompt.category for prompt in prompts}
        self.reset()

    def reset(self) -> None:
        """Forget what was followed; the next frame is frame 0."""
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        self._session = self.loaded.session(Sam2VideoInferenceSession)

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        """The followed instances in frame t; no pixel belongs to two.

        Raises:
            InputError: if the frame does not fit into memory.
        """
        with fitting(frame, f"{self.source}: frame {t}", self.loaded.model.device):
            for prompt in self.prompts:
                if prompt.frame == t:
                    self._prompt(prompt)
            # The model refuses a frame while there is nothing to follow.
            if not self._session.get_obj_num():
                return []
            output = self.loaded.model(self._session, frame=self.loaded.pixels(frame), frame_idx=t)
            forget(self._session, self.loaded.model.config, t)
            return self._report(output, frame.shape[:2])

    def _prompt(self, prompt: InstancePrompt) -> None:
        """Points as SAM 2 itself scales them: without the half pixel of a pixel centre, which the model adds."""
        height, width = self.size
        xy = torch.tensor(prompt.xy, dtype=torch.float32) * (self.loaded.side / torch.tensor([width, height]))
        inputs = {
            "point_coords": xy[None, None],  # (1, 1, points, 2)
            "point_labels": torch.tensor(prompt.labels, dtype=torch.int32)[None, None],
        }
        self._session.add_point_inputs(self._session.obj_id_to_idx(prompt.id), prompt.frame, inputs)
        self._session.obj_with_new_inputs.append(prompt.id)

    def _report(self, output: Any, size: tuple[int, int]) -> list[VisibleInstance]:
        """A pixel belongs to the instance with the highest logit there."""
        scores = output.object_score_logits.float().sigmoid().flatten().tolist()
        best, owner = np.zeros(size, np.float32), np.full(size, -1, np.int32)
        for n, (logits, score) in enumerate(zip(output.pred_masks[:, 0], scores, strict=True)):
            if score >= self.limits.score:
                large = enlarged(logits, size)
                wins = large > best
                best[wins], owner[wins] = large[wins], n
        masks = [owner == n for n in range(len(scores))]
        return [
            VisibleInstance(key, self.categories[key], score, mask)
            for key, score, mask in zip(output.object_ids, scores, masks, strict=True)
            if mask.sum() >= max(1, self.limits.area)
        ]
