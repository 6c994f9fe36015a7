"""A point tracker of your own: dense optical flow carries the points of what is hidden from frame to frame.

    python examples/own_tracker.py

It runs on the embedded clip, whose true visible masks are known, and says where each tracker puts what is hidden.
On the command line: PYTHONPATH=examples samodal run --data streetsim:DATA/test --tracker own_tracker:Flow
"""

from importlib.resources import files

import cv2
import numpy as np

import samodal


class Flow:
    """Each point goes along the flow at its place. Points do not influence each other."""

    def __init__(self):
        self.reset()

    def reset(self):  # the next frame is frame 0 of another video
        self.grey, self.groups = {}, {}

    def observe(self, frame, t):  # every frame, in order
        self.grey[t] = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        self.grey.pop(t - 8, None)
        self.groups = {key: self.followed(xy, t - 1) for key, xy in self.groups.items()}

    def add(self, key, xy, t):  # points of frame t: now, or up to 7 frames earlier
        xy = np.array(xy, np.float32).reshape(-1, 2)
        for before in range(t, max(self.grey)):
            xy = self.followed(xy, before)
        self.groups[key] = xy

    def drop(self, key):
        self.groups.pop(key, None)

    def positions(self):  # in the newest frame: where, whether to believe it, and how much
        return {key: (xy, np.ones(len(xy), bool), np.ones(len(xy), np.float32)) for key, xy in self.groups.items()}

    def state(self):
        return {"grey": self.grey, "groups": self.groups}

    def load_state(self, state):
        self.grey, self.groups = dict(state["grey"]), dict(state["groups"])

    def followed(self, xy, before):
        """(N, 2) points of a frame where they are in the next one."""
        flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        motion = flow.calc(self.grey[before], self.grey[before + 1], None)  # (H, W, 2)
        height, width = motion.shape[:2]
        x, y = np.rint(xy).astype(int).T
        return (xy + motion[y.clip(0, height - 1), x.clip(0, width - 1)]).astype(np.float32)


def main(frames: int = 60) -> None:
    """Mean IoU with the truth of all that is fully hidden, for this tracker and for the one of samodal."""
    from samodal.data.open import open_dataset

    (video,) = open_dataset(f"streetsim:{files('samodal') / 'clip'}")
    for name, tracker in (("flow", Flow()), ("lucas_kanade", "lucas_kanade")):
        pipeline, overlaps = samodal.load(tracker=tracker), []
        for frame, _ in zip(video, range(frames), strict=False):
            visible = [
                samodal.VisibleInstance(track.id, track.category, 1.0, track.visible[frame.t])
                for track in video.truth.tracks
                if track.visible[frame.t] is not None and track.visible[frame.t].area
            ]
            result = pipeline.step(frame.image, visible, frame.time)
            for track in video.truth.tracks:
                whole = track.amodal[frame.t]
                if track.id in result and result[track.id].state == "hidden" and whole is not None and whole.area:
                    guess, truth = result[track.id].amodal, samodal.Mask.of(whole.decode())
                    overlaps.append(guess.overlap(truth) / guess.union(truth).area)
        print(f"{name}: IoU {np.mean(overlaps or [0.0]):.2f} over {len(overlaps)} hidden masks")


if __name__ == "__main__":
    main()
