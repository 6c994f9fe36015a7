"""Run a video, and draw the frame in which most is hidden.

    python examples/hidden_moments.py [drive.mp4 [picture.png]]

Without a video it takes the embedded motorway.
"""

import sys
from importlib.resources import files

from PIL import Image

import samodal

video = sys.argv[1] if len(sys.argv) > 1 else files("samodal") / "clip_road" / "motorway.mp4"
picture = sys.argv[2] if len(sys.argv) > 2 else "hidden.png"

seconds: dict[int | str, float] = {}
most, worst, before = -1.0, None, 0.0
for frame in samodal.load().stream(samodal.open_video(video)):
    hidden = frame.hidden(min_share=0.5)  # of which half or more cannot be seen
    for instance in hidden:
        seconds[instance.id] = seconds.get(instance.id, 0.0) + frame.time - before
    if len(hidden) > most:
        most, worst = len(hidden), frame
    before = frame.time

for key, time in sorted(seconds.items(), key=lambda item: -item[1])[:5]:
    print(f"{key} was hidden by half or more for {time:.1f} s")
if worst is not None:
    Image.fromarray(worst.plot()).save(picture)
    print(f"{picture}: frame {worst.t}, {most} of {len(worst)} objects hidden by half or more")
