"""`file:PATH`: results that any VIS method wrote before."""

import sys
from dataclasses import replace
from pathlib import Path

from samodal.errors import InputError
from samodal.frontends.replay import Replay
from samodal.parts import Video
from samodal.results.columns import fitted
from samodal.results.open import open_visible


class ResultsFile:
    """Replays results from YouTube-VIS JSON (as GenVIS and VITA write it), KITTI MOTS txt or png (PointTrack's too)
    or Scalabel JSON.

    KITTI MOTS and PointTrack name only the frames that hold something, so their results may end before the video
    or, for an excerpt of a sequence, go on behind it (which is told). The others must have the video's length.

    Args:
        path: file or folder.
    """

    def __init__(self, path: str | None = None):
        if not path:
            raise InputError("--vis file needs a path, as in --vis file:results.json")
        self.path = Path(path)

    def open(self, video: Video) -> Replay:
        if video.length is None:
            raise InputError(f"{video.source}: results from a file need a video of known length, not a live stream")
        open_ended = self.path.is_dir() or self.path.suffix.lower() == ".txt"
        length = None if open_ended else video.length
        # A data set's sequences have numbers, by which one results file of GenVIS tells them apart.
        clip = open_visible(self.path, video.name, video.size, length, video.number)
        if len(clip) > video.length:
            print(
                f"{self.path}: goes on to frame {len(clip) - 1}, the video has {video.length} frames; "
                "if it is not an excerpt of that sequence, the results are of another video",
                file=sys.stderr,
            )
        clip = fitted(clip, video.length)
        return Replay(replace(clip, tracks=tuple(t for t in clip.tracks if any(t.visible))), str(self.path))
