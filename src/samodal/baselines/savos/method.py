"""SAVOS (Yao et al. 2022) as a method: amodal masks from visible masks and optical flow, to compare with."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch

from samodal.baselines.savos import Savos, load
from samodal.baselines.savos.crops import enlarged_box
from samodal.baselines.savos.flow import FlowMemory
from samodal.baselines.savos.inputs import ends, prepare, region, runs
from samodal.masks import Mask, union
from samodal.parts import Observed
from samodal.tracks import FrameResult, Instance, State

EMBEDDED = "streetsim-savos"
LEAST = 0.5
"""Probability of an amodal pixel: it is rather one than none."""


class SavosMethod:
    """Offline: reads windows of frames and then yields all results of a window; nothing while an instance is hidden.

    Within a window each unbroken run of frames in which an instance is reported is a track of the network. The
    amodal mask of a frame is its visible mask and, inside the visible masks of other instances alone, what both
    directions predict, as the released code evaluates KINS-car. The first frame of a run has the reverse direction
    alone, the last frame the forward direction. A run of a single frame keeps its visible mask.

    Args:
        checkpoint: what `baselines.savos.load` takes: a released SAVOS file, a .safetensors, or shipped weights.
        device: where the network runs.
        window: frames that are read at once, 30 as in KINS-car.
        flow: observes the optical flow.
    """

    def __init__(
        self, checkpoint: str = EMBEDDED, device: str = "cpu", window: int = 30, flow: FlowMemory | None = None
    ):
        self.network: Savos = load(checkpoint).to(device)
        self.device, self.window = device, window
        self.flow = flow or FlowMemory()

    def run(self, clip: str, observed: Iterable[Observed]) -> Iterator[FrameResult]:
        waiting: list[Observed] = []
        for observation in observed:
            waiting.append(observation)
            if len(waiting) == self.window:
                yield from self._results(waiting)
                waiting = []
        if waiting:
            yield from self._results(waiting)

    def _results(self, frames: list[Observed]) -> Iterator[FrameResult]:
        """The results of a window."""
        flows = self.flow.observe([observation.frame.image for observation in frames])
        predicted = {}
        for key, run in runs([[instance.id for instance in observation.visible] for observation in frames]):
            if len(run) > 1:
                masks = [next(v.mask.decode() for v in frames[t].visible if v.id == key) for t in run]
                where, inside = self._predict(frames, flows, run, masks)
                predicted |= {(key, t): (where, mask) for t, mask in zip(run, inside, strict=True)}
        for t, observation in enumerate(frames):
            instances = []
            for instance in observation.visible:
                whole = instance.mask.decode()
                if (instance.id, t) in predicted:
                    where, inside = predicted[instance.id, t]
                    others = union([v.mask for v in observation.visible if v.id != instance.id], whole.shape).decode()
                    whole[where] |= inside & others[where]
                instances.append(replace(Instance.copied(instance, State.VISIBLE), amodal=Mask.of(whole)))
            frame = observation.frame
            yield FrameResult(frame.t, frame.time, tuple(instances), image=frame.image)

    def _predict(
        self, frames: list[Observed], flows: tuple, run: range, masks: list[np.ndarray]
    ) -> tuple[tuple[slice, slice], np.ndarray]:
        """The rows and columns around an unbroken run of at least two frames, and (T, h, w) bool: its amodal masks."""
        boxes = np.array([enlarged_box(mask, self.network.config.enlarge) for mask in masks])
        rows, columns = region(boxes, masks[0].shape)
        flows = ends(*(flow[run.start : run.stop, rows, columns] for flow in flows))
        images = np.stack([frames[t].frame.image[rows, columns] for t in run])
        visible = np.stack([mask[rows, columns] for mask in masks])
        near = boxes - np.array([columns.start, rows.start] * 2)
        areas = np.array([np.count_nonzero(mask) for mask in visible])
        return (rows, columns), self._infer(images, visible, *flows, near, areas) > LEAST

    @torch.inference_mode()
    def _infer(self, *arrays: np.ndarray) -> np.ndarray:
        """(T, h, w) probabilities of the frames themselves, from the arguments of `prepare` without batch."""
        tensors = [torch.from_numpy(np.ascontiguousarray(a))[None].to(self.device) for a in arrays]
        return self.network(*prepare(*tensors)).of_frames()[0].cpu().numpy()
