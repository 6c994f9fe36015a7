"""Visible instances that were computed before: what the front ends `truth` and `file` share."""

import numpy as np

from samodal.errors import InputError
from samodal.together import from_rles
from samodal.tracks import Clip, VisibleInstance


class Replay:
    """A session that reads the visible column of a clip, frame by frame.

    Args:
        clip: tracks with visible masks.
        source: where they come from, for messages.
    """

    alone = True  # `VisSession`

    def __init__(self, clip: Clip, source: str):
        self.clip, self.source = clip, source

    def step(self, frame: np.ndarray, t: int) -> list[VisibleInstance]:
        """The visible instances of frame t; empty masks count as absent.

        Raises:
            InputError: if the clip ends before t, or its masks have another size than the frame.
        """
        if t >= len(self.clip):
            raise InputError(
                f"{self.source}: results end at frame {len(self.clip) - 1} but the video goes on to frame {t}; "
                "were they made on another video or at another frame rate?"
            )
        if frame.shape[:2] != tuple(self.clip.size):
            raise InputError(
                f"{self.source}: masks are {self.clip.size[1]}x{self.clip.size[0]} but frame {t} is "
                f"{frame.shape[1]}x{frame.shape[0]} (width x height); were they made on another video?"
            )
        tracks = [track for track in self.clip.tracks if track.visible[t] is not None and track.visible[t].area > 0]
        masks = from_rles([track.visible[t] for track in tracks])
        return [
            VisibleInstance(track.id, track.category, track.score if track.scores[t] is None else track.scores[t], mask)
            for track, mask in zip(tracks, masks, strict=True)
        ]

    def reset(self) -> None:
        """Nothing is carried from frame to frame."""
