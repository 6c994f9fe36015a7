"""A newcomer's first day, with the samodal of the Python that runs this: every command, and what it prints.

    python scripts/newcomer.py FOLDER [--write docs/newcomer.md | --check docs/newcomer.md]

FOLDER is emptied. --write makes the page; --check fails where the page shows other commands than these.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

INTRODUCTION = """# A newcomer's first day

Every command from an empty environment to corrected labels, and what it printed. `scripts/newcomer.py` wrote this page,
and `make check` runs the script with the wheel in an environment of its own. Times are of two busy CPU cores.

```text
python3 -m venv env && . env/bin/activate
pip install torch --index-url https://download.pytorch.org/whl/cpu
pip install samodal-0.1.0-py3-none-any.whl
```
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FRAMES = 20


class Day:
    """Runs commands in a folder, and writes down what they print."""

    def __init__(self, folder: Path):
        self.folder, self.page, self.commands = folder, [INTRODUCTION], []

    def tell(self, text: str) -> None:
        """A paragraph of the page."""
        self.page.append(text + "\n")

    def run(self, command: str) -> str:
        """Run `samodal …`; ends the program where it fails."""
        words = shlex.split(command)
        program = [sys.executable, "-P", "-m", *words] if words[0] == "samodal" else words
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            program, cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        lines = [line.rstrip() for line in re.sub(r"[^\n]*\r", "", done.stdout).splitlines()]
        print(f"$ {command}\n{done.stdout}", flush=True)
        if done.returncode:
            sys.exit(f"exit code {done.returncode}")
        self.commands.append(command)
        text = "\n".join(line for line in lines if line and "━" not in line)
        text = text.replace(str(self.folder), "~").replace(sys.prefix, "env")
        self.page.append(f"```text\n$ {command}\n{text}\n```\n")
        return done.stdout


def write_labels(folder: Path) -> None:
    """Some frames of the embedded rendered clip with their truth, as a user's own labels in COCO's form."""
    from PIL import Image

    from samodal.categories import CATEGORY_IDS
    from samodal.data.open import open_dataset

    dataset = open_dataset(f"streetsim:{files('samodal') / 'clip'}")
    (video,) = (dataset.video(name) for name in dataset.sequences)
    images, annotations = [], []
    (folder / "images").mkdir()
    for frame in video:
        if frame.t % (60 // FRAMES):
            continue
        Image.fromarray(frame.image).save(folder / "images" / f"{frame.t:06d}.jpg", quality=95)
        height, width = frame.image.shape[:2]
        image = {"id": len(images) + 1, "file_name": f"{frame.t:06d}.jpg", "width": width, "height": height}
        images.append(image | {"video_id": 1, "frame_id": frame.t})
        for track in video.truth.tracks:
            if (whole := track.amodal[frame.t]) is not None and whole.area:
                visible = track.visible[frame.t]
                annotations.append({
                    "id": len(annotations) + 1, "image_id": image["id"], "category_id": CATEGORY_IDS[track.category],
                    "track_id": int(track.id), "segmentation": whole.to_coco(),
                    "visible": visible.to_coco() if visible is not None and visible.area else [],
                })  # fmt: skip
    categories = [{"id": CATEGORY_IDS[name], "name": name} for name in {track.category for track in video.truth.tracks}]
    content = {"videos": [{"id": 1, "name": "street", "fps": 10}], "categories": categories}
    (folder / "labels.json").write_text(json.dumps(content | {"images": images, "annotations": annotations}))


def move_a_corner(before: Path, after: Path) -> None:
    """Correct the first polygon of a file of CVAT: its first corner goes 9 pixels to the right and down."""
    corner = r'points="([\d.]+),([\d.]+);'
    text = before.read_text(encoding="utf-8")
    moved = re.sub(corner, lambda m: f'points="{float(m[1]) + 9:.2f},{float(m[2]) + 9:.2f};', text, count=1)
    assert moved != text
    after.write_text(moved, encoding="utf-8")


def areas(path: Path) -> list[float]:
    """The areas of all masks, whole and visible ones, of a file in COCO's form."""
    from samodal.rle import Rle

    found = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    masks = [mask for entry in found for mask in (entry["segmentation"], entry.get("visible")) if mask]
    return sorted(Rle(tuple(mask["size"]), mask["counts"]).area for mask in masks)


def look(day: Day, report: Path) -> None:
    """Open the report in a browser without a screen, where there is one; gives its first sentences."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("no Chromium is installed: the report was not opened", flush=True)
        return
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", "--dump-dom"]
    dom = subprocess.run([*command, report.as_uri()], capture_output=True, text=True, timeout=120).stdout
    lead = re.search(r'id="lead"[^>]*>(.*?)</p>', dom, re.DOTALL)
    assert lead and "objects in" in lead[1], dom[-2000:]
    day.tell("It begins: *" + " ".join(re.sub(r"<[^>]*>", "", lead[1]).split()) + "*")


def first_day(day: Day) -> None:
    """All of it."""
    folder = day.folder
    day.tell("## What works here")
    day.run("samodal doctor")
    day.tell("## My own video")
    shutil.copy(str(files("samodal") / "clip_road" / "motorway.mp4"), folder / "drive.mp4")
    day.run("samodal run drive.mp4 --frames 0:30")
    day.tell("`runs/drive/report.html` opens by a double click ([reading the report](report.md)).")
    look(day, folder / "runs" / "drive" / "report.html")
    day.tell(f"## My own labels\n\n{FRAMES} labelled frames, `labels.json` and `images` ([the form](data.md)):")
    write_labels(folder)
    day.run("samodal data check coco:labels.json,images")
    day.tell("The embedded completer learns from them; twenty masks are held out to measure on.")
    day.run(
        "samodal train completion --init streetsim-complete --data coco:labels.json,images --held_out 20 --steps 12 "
        "--batch 8 --device cpu --out runs/mine --name mine"
    )
    day.tell(
        "`alone` is below `before, alone`: the embedded weights have seen many such streets, and so few frames "
        "are only learned by heart. Keep new weights where they are better ([when they are](data.md))."
    )
    day.run("samodal run drive.mp4 --frames 0:10 --segmenter completion:runs/mine/mine.safetensors")
    day.tell("## To CVAT and back")
    day.run("samodal convert runs/drive --to cvat,coco")
    day.tell("In CVAT the corner of a polygon is dragged, and the task exported (here a script does it).")
    exports = folder / "runs" / "drive" / "exports"
    move_a_corner(exports / "cvat.xml", folder / "annotations.xml")
    day.run("samodal convert annotations.xml --from cvat --to coco:corrected.json --fps 25")
    shutil.copy(exports / "cvat.xml", folder / "as-it-was.xml")
    subprocess.run(
        [sys.executable, "-P", "-m", "samodal", "convert", "as-it-was.xml", "--from", "cvat", "--to", "coco:was.json"],
        cwd=folder, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    before, after = areas(folder / "was.json"), areas(folder / "corrected.json")
    changed = len(set(before) ^ set(after))
    assert len(before) == len(after) and changed, "the correction did not come back"
    day.tell(
        f"`corrected.json` holds {len(after)} masks; the corrected one has another area, all others are as they were."
    )


def main(folder: Path, mode: str = "", page: str = "") -> None:
    """Run it; write or check the page."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    day = Day(folder.resolve())
    first_day(day)
    if mode == "--write":
        Path(page).write_text("\n".join(day.page), encoding="utf-8")
    if mode == "--check":
        shown = re.findall(r"^\$ (samodal .*)$", Path(page).read_text(encoding="utf-8"), re.MULTILINE)
        if shown != day.commands:
            sys.exit(f"{page} shows other commands; make it anew with --write {page}")
    print("a newcomer's first day: done")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
