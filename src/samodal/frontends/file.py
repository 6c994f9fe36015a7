"""`file:PATH`: results that any VIS method wrote before."""

from collections.abc import Collection, Sequence
from pathlib import Path

from samodal.columns import present
from samodal.errors import InputError
from samodal.frontends.replay import Replay
from samodal.parts import Video
from samodal.progress import notice
from samodal.results.columns import fitted
from samodal.results.open import open_visible
from samodal.tracks import Clip
from samodal.video import StreamVideo


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
        clip = self._read(video, None) if open_ended else self._of_length(video)
        length = video.length or 0  # which `_of_length` may have corrected
        labelled = {t for track in clip.tracks for t, _ in present(track.visible)}
        if open_ended or clip.info.get("numbered"):
            numbered = places(self.path, labelled, getattr(video, "numbers", None), length)
        else:
            numbered = _by_name(clip, getattr(video, "files", ()))
        left = labelled - set(numbered)
        if left:
            notice(
                f"{self.path}: goes on to frame {max(left)}, the video has {length} frames; "
                "if it is not an excerpt of that sequence, the results are of another video"
            )
        return Replay(fitted(clip, numbered), str(self.path))

    def _of_length(self, video: Video) -> Clip:
        """The clip of a file that must have the video's length."""
        try:
            return self._read(video, video.length)
        except InputError:
            estimate = video.length
            if not isinstance(video, StreamVideo) or video.counted() == estimate:
                raise
            return self._read(video, video.length)

    def _read(self, video: Video, length: int | None) -> Clip:
        # A data set's sequences have numbers, by which one results file of GenVIS tells them apart.
        return open_visible(self.path, video.name, video.size, length, video.number)


def places(
    path: Path, labelled: Collection[int], numbers: Sequence[int] | None, length: int, first: int = 0
) -> Sequence[int]:
    """For each frame of the video its number in a file that numbers its frames.

    Where pictures have numbers, too, those are compared, unless the file's fit the order of the pictures alone.

    Args:
        path: the file, for the message.
        labelled: numbers of frames in which the file has something.
        numbers: of the pictures, ascending; None where they have none.
        length: of the video.
        first: number of the first frame as the file counts; pictures that count from 0 are counted on from it.
    """
    order = range(first, first + length)
    if not numbers:
        return order
    counted = tuple(number + max(0, first - numbers[0]) for number in numbers)
    if counted == tuple(order) or not labelled:
        return order
    if set(labelled) <= set(counted) or max(labelled) >= first + length:
        return counted
    notice(
        f"{path}: begins in frame {min(labelled)}, but the pictures count from {numbers[0]}; "
        f"the first picture is taken for frame {first}"
    )
    return order


def _by_name(clip: Clip, files: Sequence[Path]) -> Sequence[int]:
    """For each picture its frame in a clip of as many, by name where the clip knows the same names."""
    names = [file.stem for file in files]
    places = {Path(frame).stem: t for t, frame in enumerate(clip.frames)}
    return [places[name] for name in names] if places.keys() == set(names) else range(len(clip))
