"""`truth`: the visible masks of a data set, what a perfect VIS method would give (the paper's GT rows)."""

from samodal.errors import InputError
from samodal.frontends.replay import Replay
from samodal.parts import Video


class Truth:
    """Replays the visible masks of the clip's own truth; amodal truth is never read."""

    def open(self, video: Video) -> Replay:
        if video.truth is None:
            raise InputError(
                f"{video.source}: --vis truth needs a data set with visible masks (--data asd:ROOT/val); "
                "for a plain video give results, as in --vis file:results.json"
            )
        return Replay(video.truth, video.source)
