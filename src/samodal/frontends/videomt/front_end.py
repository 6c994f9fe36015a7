"""`videomt[:CHECKPOINT]`: VidEoMT as front end, frame by frame; the query that segments an instance is its identity.

Source of the model: see the package. Masks are made as Mask2Former and VidEoMT make them for instances: a pixel
belongs to the query with the highest class score times mask probability, and the score of an instance is its class
score times the mean mask probability inside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from samodal.frontends.checkpoint import fitting, parse
from samodal.frontends.road_users import mapping
from samodal.frontends.videomt import Network, load
from samodal.frontends.videomt.identities import Identities
from samodal.frontends.videomt.regions import exclusive_regions
from samodal.loading import once
from samodal.parts import Video
from samodal.tracks import VisibleInstance

EMBEDDED = "streetsim-videomt"


@dataclass(frozen=True)
class Limits:
    """What of the queries is reported.

    Attributes:
        score: least probability that a query shows a road user.
        area: least visible pixels in the frame.
        share: least share of its own mask that a query must win against others; below it another query shows the
            same instance.
        frames: in how many frames in a row an instance must be visible before it is first reported. Earlier frames are
            never reported afterwards, so results up to a frame do not depend on later frames.
    """

    score: float = 0.5
    area: int = 64
    share: float = 0.5
    frames: int = 2


class Videomt:
    """A VidEoMT on a device.

    Args:
        argument: [CHECKPOINT][,LIMIT=VALUE…]: what `samodal.frontends.videomt.load` takes, and changed `Limits`, as in
            `vis.safetensors,score=0.3`; the shipped weights where it is not given.
        device: where it runs.

    Raises:
        InputError: for a wrong checkpoint, or a model that knows no road user.
    """

    def __init__(self, argument: str | None = None, device: str = "cpu"):
        self.checkpoint, self.limits = parse(argument, "videomt", Limits(), embedded=EMBEDDED)
        self.network = loaded(self.checkpoint, str(device))
        self.classes = mapping(self.network.config.classes, self.checkpoint)

    def open(self, video: Video) -> VideomtSession:
        # A video of a single picture has no second frame that could confirm the first.
        limits = replace(self.limits, frames=1) if video.length == 1 else self.limits
        return VideomtSession(self.network, self.classes, limits, video.source)


@once(1)
def loaded(checkpoint: str, device: str) -> Network:
    """A process loads a checkpoint once for all its videos."""
    return load(checkpoint).to(device)


class VideomtSession:
    """VidEoMT at work on a video.

    Args:
        network: on its device.
        classes: the road users, each with the places of its scores, as `samodal.frontends.road_users.mapping` gives.
        limits: what is reported.
        source: of the frames, for messages.
    """

    def __init__(self, network: Network, classes: dict[str, list[int]], limits: Limits, source: str):
        self.network, self.classes, self.limits, self.source = network, classes, limits, source
        self.reset()

    def reset(self) -> None:
        """Forget queries and identities."""
        self._queries = None
        self._identities = Identities(tuple(self.classes), self.limits.frames)

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        """The instances visible in frame t; no pixel belongs to two.

        Raises:
            InputError: if the frame does not fit into memory.
        """
        with fitting(frame, f"{self.source}: frame {t}", self.network.device):
            probabilities, masks = self._predict(frame)
            return self._report(probabilities, masks, frame.shape[:2])

    def _predict(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(Q, K) probabilities of the road users, and (Q, h, w) mask logits; the queries go on to the next frame."""
        with torch.inference_mode():
            pixels = self.network.config.transform.pixels(frame)[None].to(self.network.device)
            tokens = self.network.tokens(pixels)
            predicted, self._queries = self.network.step(tokens, self._queries)
            probabilities = predicted[-1].classes[0].float().softmax(-1)
            ours = torch.stack([probabilities[:, places].sum(-1) for places in self.classes.values()], dim=1)
        return ours.cpu().numpy(), predicted[-1].masks[0].float().cpu().numpy()

    def _report(self, probabilities: np.ndarray, masks: np.ndarray, size: tuple[int, int]) -> list[VisibleInstance]:
        scores = self._identities.scores(probabilities)
        chosen = np.flatnonzero(scores >= self.limits.score)
        regions = exclusive_regions(self.network.config, masks[chosen], scores[chosen], size)
        visible = {
            int(query): region
            for query, region in zip(chosen, regions, strict=True)
            if region.area >= max(1, self.limits.area, self.limits.share * region.own_area)
        }
        identities = self._identities.step(visible, probabilities)
        return [
            VisibleInstance(key, category, float(scores[query] * visible[query].inside), visible[query].mask)
            for query, (key, category) in identities.items()
        ]
