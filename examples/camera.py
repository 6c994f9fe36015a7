"""Watch a camera, and say when something disappears behind something else, and when it comes back.

    python examples/camera.py [camera:0]

A stream's URL, a video file or a folder of pictures will do as well. Without one it takes the embedded motorway.
"""

import sys
from importlib.resources import files

import samodal

source = sys.argv[1] if len(sys.argv) > 1 else files("samodal") / "clip_road" / "motorway.mp4"
tracker, hidden = samodal.load(), {}

for frame in tracker.stream(samodal.open_video(source)):  # results come frame by frame, while the camera goes on
    for instance in frame:
        if instance.state == "visible" and instance.id in hidden:
            print(f"{frame.time:6.2f} s  {instance.category} {instance.id} is back", flush=True)
            del hidden[instance.id]
        elif instance.state == "hidden" and instance.id not in hidden:
            others = ", ".join(f"{other} ({share:.0%})" for other, share in frame.hidden_by[instance.id])
            hidden[instance.id] = frame.time
            print(f"{frame.time:6.2f} s  {instance.category} {instance.id} is hidden by {others or '?'}", flush=True)
print(f"{frame.t + 1} frames, {len(hidden)} objects hidden at the end")
