"""A front end whose process is killed at a moment that the environment names: KILLED_AT=frame:3, state:2 or move:1."""

import os
import signal
import time

from made_up import passing_square
from samodal.runs import saved

saved.SAVE_S, saved.SHARE = 0.0, 1e9  # a state after every frame
FRAMES = 12


def strike(moment: str) -> None:
    """Kill this process where the moment has come."""
    if os.environ.get("KILLED_AT") == moment:
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)


class FrontEnd:
    """Reports the passing square; every state that is saved and every file that is moved is a moment, too."""

    def open(self, video):
        _count_moments()
        self._observed = passing_square(FRAMES)[1]
        return self

    def step(self, frame, t):
        strike(f"frame:{t}")
        if os.environ.get("SLOW"):
            time.sleep(float(os.environ["SLOW"]))
        return self._observed[t].visible

    def reset(self):
        pass


def _count_moments() -> None:
    moves, write, replace = [], saved.write_state, os.replace

    def writing_state(path, state):
        if os.environ.get("KILLED_AT") == f"state:{state['t']}":
            path.with_name("state.part").write_bytes(b"half a")
            strike(f"state:{state['t']}")
        write(path, state)

    def moving(source, target):
        if "unfinished" in str(source) and "unfinished" not in str(target):
            moves.append(target)
            strike(f"move:{len(moves)}")
        replace(source, target)

    saved.write_state, os.replace = writing_state, moving
