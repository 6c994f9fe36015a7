"""SAVOS (Yao et al. 2022) as a method: amodal masks from visible masks and optical flow, to compare with."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from samodal.errors import InputError
from samodal.masks import Rle
from samodal.parts import Observed
from samodal.savos import Savos, load
from samodal.savos.crops import crop, enlarged_box
from samodal.savos.flow import observe_flow
from samodal.tracks import FrameResult, Instance, State

MARGIN = 32
"""Pixels around all boxes of a track that are computed, for what the flow carries out of them."""


class SavosMethod:
    """Offline: reads windows of frames and then yields all results of a window; nothing while an instance is hidden.

    Within a window each unbroken run of frames in which an instance is reported is one track of the network. The
    amodal mask of a frame is its visible mask and, inside the visible masks of other instances alone, what both
    directions predict (facts/datasets_metrics.md 3.6). The first frame of a run has the reverse direction alone and
    the last one the forward direction; a run of one frame keeps its visible mask.

    Args:
        checkpoint: a released SAVOS file or a .safetensors, as `samodal.savos.load` takes it.
        device: where the network runs.
        window: frames that are read at once, 30 as in KINS-car.
        threshold: least probability of an amodal pixel.
    """

    def __init__(self, checkpoint: str | None = None, device: str = "cpu", window: int = 30, threshold: float = 0.5):
        if checkpoint is None:
            raise InputError("method savos needs weights, as in --method savos:CHECKPOINT; none are shipped")
        self.network: Savos = load(checkpoint).to(device)
        self.device, self.window, self.threshold = device, window, threshold

    def run(self, clip: str, observed: Iterable[Observed]) -> Iterator[FrameResult]:
        waiting: list[Observed] = []
        for one in observed:
            waiting.append(one)
            if len(waiting) == self.window:
                yield from self._results(waiting)
                waiting = []
        if waiting:
            yield from self._results(waiting)

    def _results(self, frames: list[Observed]) -> Iterator[FrameResult]:
        """The results of a window."""
        flows = observe_flow([one.frame.image for one in frames])
        amodal = {}
        for key, run in runs(frames):
            masks = [next(v.mask for v in frames[t].visible if v.id == key) for t in run]
            for t, mask in zip(run, self._predict(frames, flows, run, masks), strict=True):
                amodal[key, t] = mask
        for t, one in enumerate(frames):
            instances = []
            for seen in one.visible:
                others = _union([v.mask for v in one.visible if v.id != seen.id], seen.mask.shape)
                whole = Rle.encode(seen.mask | (amodal[seen.id, t] & others))
                visible = Rle.encode(seen.mask)
                instances.append(Instance(seen.id, seen.category, seen.score, State.VISIBLE, visible, whole))
            yield FrameResult(one.frame.t, one.frame.time, tuple(instances))

    def _predict(self, frames: list[Observed], flows: tuple, run: range, masks: list[np.ndarray]) -> np.ndarray:
        """(T, H, W) bool: the amodal masks of one unbroken run."""
        whole = np.stack(masks)
        if len(run) == 1:
            return whole
        boxes = np.array([enlarged_box(mask, self.network.config.enlarge) for mask in masks])
        forward, reverse = (_ends(flow[run.start : run.stop], flow is flows[1]) for flow in flows)
        maps = [
            np.dstack([frames[t].frame.image.astype(np.float32) / 255, mask.astype(np.float32), ahead, behind])
            for t, mask, ahead, behind in zip(run, masks, forward, reverse, strict=True)
        ]
        patches = crop(maps, boxes, [int(mask.sum()) for mask in masks])
        rows, columns = _around(boxes, whole.shape[1:])
        near = boxes - np.array([columns.start, rows.start] * 2)
        arrays = (patches, whole[:, rows, columns], *(_channels_first(f[:, rows, columns]) for f in (forward, reverse)))
        result = np.zeros_like(whole)
        result[:, rows, columns] = self._infer(*arrays, near) > self.threshold
        return result

    @torch.inference_mode()
    def _infer(self, *arrays: np.ndarray) -> np.ndarray:
        """(T, h, w) probabilities of the frames themselves, from the arguments of `Savos.forward` without batch."""
        tensors = [torch.from_numpy(np.ascontiguousarray(a)).float()[None].to(self.device) for a in arrays]
        found = self.network(*tensors)
        first, last = found.reverse.warped[0, -2, 0], found.forward.warped[0, -2, 0]
        return torch.cat([first[None], found.probability[0, :-2], last[None]]).cpu().numpy()


def runs(frames: list[Observed]) -> list[tuple[int | str, range]]:
    """(id, range of indices) for every unbroken stretch of frames in which an instance is reported."""
    found, open_runs = [], {}
    for t, one in enumerate(frames):
        open_runs = {seen.id: open_runs.get(seen.id, t) for seen in one.visible}
        coming = {v.id for v in frames[t + 1].visible} if t + 1 < len(frames) else set()
        found += [(key, range(start, t + 1)) for key, start in open_runs.items() if key not in coming]
    return found


def _ends(flow: np.ndarray, reverse: bool) -> np.ndarray:
    """A run's flow with the frame that has no neighbour in it repeating the one beside it, as in training."""
    return np.concatenate([flow[1:2], flow[1:]]) if reverse else np.concatenate([flow[:-1], flow[-2:-1]])


def _union(masks: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    return np.logical_or.reduce(masks) if masks else np.zeros(size, bool)


def _around(boxes: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of all boxes with a margin, within the image."""
    x0, y0 = np.maximum(boxes[:, :2].min(0) - MARGIN, 0)
    x1, y1 = boxes[:, 2:].max(0) + MARGIN
    return slice(y0, min(y1, size[0])), slice(x0, min(x1, size[1]))


def _channels_first(maps: np.ndarray) -> np.ndarray:
    return maps.transpose(0, 3, 1, 2)
