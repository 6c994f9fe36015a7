"""What the commands run, evaluate and synth take: one field per flag, and per key of a YAML file."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from samodal.checks import Between, fits, in_words
from samodal.errors import InputError, nearest, shown
from samodal.executors import ENGINES
from samodal.exports.formats import FORMATS
from samodal.registry import FRONT_ENDS, SEGMENTERS, TRACKERS
from samodal.remote import is_remote, local_path

RANGES = {
    "seed": Annotated[int, Between(0)],
    "stride": Annotated[int, Between(1)],
    "fps": Annotated[float, Between(0.001, 100_000)] | None,
    "conf": Annotated[float, Between(0, 1)] | None,
    "workers": Annotated[int, Between(1)] | None,
    "segment": Annotated[float, Between(1)] | None,
}
"""Of numbers that a run takes."""
DRAWN = ("labels", "legend", "points", "whole", "none")
"""What `draw` may name."""


@dataclass(frozen=True)
class RunSettings:
    """Amodal masks for every instance and frame, with stable identities, also while hidden."""

    video: str | Sequence[str] | None = field(default=None, metadata={"positional": str | list[str], "many": True})
    """Video file, folder of frames, camera:0 or a stream's URL; leave out with --data. Or many videos: several of
    these, folders of videos, patterns as 'day*/*.mp4', and lists, a video on each line of a .txt or in a column of a
    .parquet. Files may lie in object storage, as s3://bucket/drive.mp4 (docs/fleet.md)."""
    out: str | Path | None = None
    """Folder for frames.jsonl, tracks.json, overlay.mp4 and run.json, which says what they were made from (with --data
    or many videos: a folder for each in it, with failed.txt where it failed). Without it runs/NAME, of the video or
    data, or runs/NAME-2 and so on where that holds something else; the same command again goes on in its own folder."""
    vis: str | None = field(default=None, metadata={"parts": ("front end", FRONT_ENDS)})
    """Front end, where visible masks come from (--vis list), or package.module:Class. By default detector; with --data,
    truth."""
    vis_scale: float = 1.0
    """Frame size that the front end gets, as a share: 0.5 halves width and height. Only for front ends that work on
    pixels."""
    reassociate: bool = False
    """Repair the front end's ids. An instance that returns under a new id gets its old one back if it appears where its
    amodal mask was predicted."""
    data: str | None = None
    """Data set instead of a video: KIND:PATH, as asd:ROOT/val, or coco:ANN.json,IMAGES for your own (samodal data check
    --help lists all kinds); --vis is then truth unless given."""
    method: str = "samodal"
    """samodal, or one to compare with: copy-visible, hull, hull-front, hold-last, constant-velocity,
    savos[:CHECKPOINT]."""
    preset: str = "default"
    """Rules of method samodal: default (ours), points (ours, around the amodal SAM), paper (the paper's text), released
    (its authors' code)."""
    rules: dict[str, bool | int | float | str | None] = field(default_factory=dict)
    """Change single rules, as --rules.unite=false, --rules.points=3 or --rules.prompt=center+box.
    samodal/method/rules.py explains each."""
    segmenter: str | None = field(default=None, metadata={"parts": ("segmenter", SEGMENTERS)})
    """Segmenter of samodal (--segmenter list), or package.module:Class. By default completion, and sam with the presets
    paper, released and points."""
    weights: str | None = None
    """Weights of the segmenter: an embedded name, a checkpoint (.safetensors, .pth) or a Hugging Face name or folder.
    By default those that come with it."""
    offline: bool = False
    """Hindsight: improve the masks in each gap of an instance by what comes after the gap. Results come late, so for
    files and folders alone."""
    tracker: str = field(default="lucas_kanade", metadata={"parts": ("point tracker", TRACKERS)})
    """Point tracker for hidden instances (--tracker list), or package.module:Class."""
    frames: str | None = None
    """Only frames A:B (B excluded), as in 0:100 or 50:."""
    strict: bool = False
    """Refuse a video with a frame or a timestamp that cannot be used, instead of leaving out the frame and mending the
    time. Data sets are always read so."""
    clips: str | None = None
    """Only these clips of the data set, separated by commas."""
    stride: int = 1
    """Only every N-th frame, as 3 for each third; times and numbers stay those of the whole video."""
    fps: float | None = None
    """Frames per second of a folder of pictures, 10 by default. Videos have times of their own."""
    classes: str | None = None
    """Only instances of these classes, as in car,person."""
    conf: float | None = None
    """Only instances that the front end gives this score at least, from 0 to 1; those without a score stay."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps; cuda:all for many videos on all GPUs, a worker for each unless --workers says
    otherwise."""
    backend: Literal["torch", "onnx", "compiled"] = "torch"
    """What calculates the networks. onnx: ONNX Runtime, on a CPU, for the front end detector and the segmenter
    completion (pip install 'samodal[onnx]'); faster, and results differ in their last digits. compiled: float16 and
    CUDA graphs on an NVIDIA GPU, for the segmenters completion and sam; sam is many times faster once samodal warmup
    has prepared it."""
    overlay: bool = True
    """Write overlay.mp4."""
    save: str | None = field(default=None, metadata={"parts": ("format", FORMATS), "several": True})
    """Also write these formats, separated by commas, into the folder exports of the run, as coco,cvat. --save list
    explains them; samodal convert makes them of a finished run."""
    report: bool = True
    """Write report.html, a page to look at in a browser (samodal report makes it later). Not with --no-overlay."""
    show: bool = False
    """Show the overlay while it is made, on a page for this machine's browser. For a single video."""
    draw: str | None = None
    """What overlay.mp4 shows beside the masks, separated by commas: labels, legend, points (prompt points, and followed
    ones with their trails), whole (whole objects, without telling hidden from visible), none. Without it labels,legend.
    """
    overwrite: bool = False
    """Replace a result of other settings or data in --out, with its exports, once the new one is whole, and begin anew
    instead of going on with an unfinished run of other settings."""
    graph: bool = False
    """Draw who hides whom in overlay.mp4: an arrow from what hides to what is hidden, with the hidden share."""
    details: bool = False
    """Write also three nested masks and the probability of each pixel to frames.jsonl, where the segmenter has them."""
    seed: int = 0
    """Seed of random prompts. The default preset has none."""
    workers: int | None = None
    """How many clips of a data set, or videos, run at the same time, each in a process on one core; results are the
    same. 1 where it is not given; with --engine ray one for each GPU or core of the cluster."""
    engine: ENGINES = "processes"
    """Where workers are: processes of this machine, or ray, actors of a Ray cluster (pip install 'samodal[ray]')."""
    address: str | None = None
    """Address of the Ray cluster, or auto; without it that of RAY_ADDRESS, or a Ray of our own on this machine."""
    shard: str | None = None
    """I/N: only the I-th of N equal shares of the videos or clips, as for the tasks of a Slurm array, in any order of
    the list; all share --out."""
    segment: float | None = None
    """Run long videos in segments of so many seconds, side by side; their tracks are joined where they overlap."""

    def __post_init__(self):
        for name, hint in RANGES.items():
            if not fits(getattr(self, name), hint):
                raise InputError(f"{name} must be {in_words(hint)}, got {getattr(self, name)!r}")
        for name, value in (("video", _videos(self.video)), ("out", _place(self.out))):
            object.__setattr__(self, name, value)
        _ = self.part_of  # refuses what is no share
        if self.clips and self.video and not self.data:
            raise InputError("--clips is for a data set (--data); a video has --frames")
        if self.show and self.data:
            raise InputError("--show is for a single video; leave it out with --data")
        if self.classes is not None and not all(map(str.strip, self.classes.split(","))):
            raise InputError(f"classes {self.classes!r}: one of them has no name; give names as in car,person")
        for name in self.drawn:
            if name not in DRAWN:
                raise InputError(f"draw: unknown {shown(name)}{nearest(name, DRAWN)}")

    @property
    def videos(self) -> tuple[str, ...]:
        """What `video` names."""
        return (self.video,) if isinstance(self.video, str) else tuple(self.video or ())

    @property
    def part_of(self) -> tuple[int, int]:
        """What `shard` says: (which one from 0, of how many).

        Raises:
            InputError: if it is none.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", "1/1" if self.shard is None else str(self.shard))
        share, of = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= share <= of:
            raise InputError(f"--shard {self.shard}: expected I/N with I from 1 to N, as 1/3, 2/3 and 3/3")
        return share - 1, of

    @property
    def drawn(self) -> tuple[str, ...]:
        """What `draw` names."""
        return ("labels", "legend") if self.draw is None else tuple(self.draw.split(","))


def _videos(given: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    """Several videos as a tuple, and a single one as it is."""
    if given is None or isinstance(given, str):
        return given
    return given[0] if len(given) == 1 else tuple(given) or None


def _place(out: str | Path | None) -> str | Path | None:
    """A folder as a path, unless it is one of object storage."""
    return out if out is None or is_remote(out) else local_path(out)


@dataclass(frozen=True)
class ReportSettings:
    """Write report.html into a finished run: one file for a browser, without a network."""

    run: Path = field(metadata={"positional": Path})
    """Folder with frames.jsonl, or with such folders, as samodal run writes it."""
    video: str | None = None
    """Where the video is now, if it has moved since the run."""


@dataclass(frozen=True)
class CollectSettings:
    """Sum up the results of many videos: a table of videos, one of instances, what failed, and a page."""

    out: str = field(metadata={"positional": str})
    """Folder that samodal run wrote many videos into; also in object storage, as s3://bucket/results."""


@dataclass(frozen=True)
class CompareSettings:
    """Write a page that shows two runs of the same frames, and where they differ."""

    first: Path = field(metadata={"positional": Path})
    """Folder of a run."""
    second: Path = field(metadata={"positional": Path})
    """Folder of another run."""
    out: Path | None = None
    """The page; by default compare-FIRST-SECOND.html beside the first run's folder."""
    video: str | None = None
    """Where the video is now, if it has moved since the runs."""


@dataclass(frozen=True)
class EvaluateSettings:
    """Score results against truth: AP of images and videos, and mean IoUs of whole and hidden regions."""

    results: str = field(metadata={"positional": str})
    """Results file in YouTube-VIS, COCO, Scalabel or KITTI MOTS form, a tracks.json, or a folder of runs with
    CLIP/tracks.json."""
    truth: str
    """Truth in one of these forms, or a data set: KIND:PATH, as asd:ROOT/val (samodal data check --help lists all)."""
    profile: Literal["official", "strict"] = "official"
    """official: the published evaluation with its quirks. strict: every instance, fully hidden ones included."""
    masks: Literal["amodal", "visible"] = "amodal"
    """Which masks are scored."""
    json: str | None = None
    """Write the scores to this file."""
    per_class: bool = False
    """Also AP by class, where a detection counts only for instances of its class, and its mean over classes."""
    identity: bool = False
    """Also how ids are held in each video: HOTA, IDF1, id switches, old ids found again after gaps."""
    scores: Literal["given", "ones", "ones_in_order"] = "given"
    """ones: every detection has score 1 and all count together, so that AP depends neither on how well a method ranks
    nor on the order of a file. ones_in_order: score 1, and the file's order ranks, as in the published evaluation."""
    level: Literal["auto", "image", "video"] = "auto"
    """auto: what the file holds; for a data set both."""
    clips: str | None = None
    """Only these clips of the truth, separated by commas; else all, and one without results has none found."""
    bootstrap: int = 0
    """Resamples over clips for 95 % intervals of the main numbers, such as 1000; 0 for none."""
    seed: int = 0
    """Of the bootstrap."""


@dataclass(frozen=True)
class SynthSettings:
    """Render sequences of StreetSim in AmodalSynthDrive's layout; finished sequences are kept."""

    out: Path
    """Folder of the data set; the split becomes a folder in it."""
    split: str = "test"
    """train, val, test, test_seen, or tracks (clips to train a point tracker on, with --points)."""
    first: int = 0
    """The first sequence, by its place in the split."""
    count: int | None = None
    """How many sequences; all that follow where it is not given."""
    workers: int = os.cpu_count() or 1
    """Processes."""
    height: int = 540
    """Height of the frames in pixels."""
    width: int = 960
    """Width of the frames in pixels."""
    flow: bool = False
    """Write forward flow beside the masks."""
    points: bool = False
    """Write tracks of points on the surfaces beside the masks."""
    engine: ENGINES = "processes"
    """Where workers are: processes of this machine, or ray (pip install 'samodal[ray]')."""
    address: str | None = None
    """Address of the Ray cluster, as for samodal run."""
