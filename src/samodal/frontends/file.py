"""`file:PATH`: results that any VIS method wrote before."""

from pathlib import Path

from samodal.errors import InputError
from samodal.formats.visible import open_visible
from samodal.frontends.replay import Replay
from samodal.parts import Video


class ResultsFile:
    """Replays results from YouTube-VIS JSON (as GenVIS and VITA write it), KITTI MOTS txt or png (PointTrack's too)
    or Scalabel JSON. In a folder, the file or folder with the clip's name is taken.

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
        return Replay(open_visible(self.path, video.name, video.size, video.length), str(self.path))
