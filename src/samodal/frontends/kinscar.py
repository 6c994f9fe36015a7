"""`kinscar`: the visible masks in SAVOS' pickles of KINS-car, which PointTrack found (the paper's PT rows)."""

from samodal.errors import InputError
from samodal.frontends.replay import Replay
from samodal.parts import Video


class PointTrackOfKinsCar:
    """Replays what the pickle of the split holds for the video; truth is never read."""

    def open(self, video: Video) -> Replay:
        if video.detections is None:
            raise InputError(
                f"{video.source}: --vis kinscar needs --data kinscar:ROOT/test; PointTrack's results of other videos "
                "are read by --vis file:FOLDER"
            )
        return Replay(video.detections, video.source)
