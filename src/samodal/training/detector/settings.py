"""What decides the training of a detector."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DetectorSettings:
    """Train the detector of road users from pictures with boxes, of real streets and of data sets.

    Classes that a picture does not label are no background there: what the network of --init finds of them is learned
    where it is sure, and ignored where it is not.
    """

    data: str = ""
    """Data sets to learn from, KIND:PATH, as streetsim:ROOT/train (samodal data check --help lists all kinds); several
    are separated by commas."""
    pictures: str = ""
    """Pictures with boxes: FILE.json in COCO form with its pictures in the folder images beside it, and after an equals
    sign the classes that it labels completely, as street.json=car+truck+bus; all without. Or CLASS:FOLDER of photos of
    single objects in FOLDER/images and their masks in FOLDER/masks. Several are separated by commas."""
    every: int = 1000
    """Every N-th frame of a sequence of the data sets is learned from, beginning with its first."""
    held_out_names: str = ""
    """Regular expression of names of pictures that are measured on and not learned from."""
    cache: str = ""
    """File that keeps the prepared pictures; written where it is not there. Several, separated by commas, are read."""
    side: int = 640
    """Longest side of a picture as it is kept, in pixels."""
    out: str = "runs/train"
    """Folder for the checkpoint, its model card and the log."""
    name: str = "detector"
    """Name of the checkpoint: OUT/NAME.safetensors."""
    init: str = ""
    """Weights to start from: a .safetensors of this command, a shipped name, or YOLOX's of size nano: yolox_nano.pth,
    or ncnn's yolox-nano.param beside its .bin. Empty starts from random ones."""
    classes: str = "person,rider,car,truck,bus,motorcycle,bicycle,other_vehicle"
    """What is learned. Ignored with --init of this command."""
    unreported: str = "other_vehicle"
    """Classes that are learned only to be told apart from the others."""
    simulated: float = 0.2
    """Share of frames of data sets among what is drawn."""
    photos: float = 0.03
    """Share of photos of single objects; they are also cut out and pasted."""
    size: str = "384x640"
    """Height and width of the canvases of a step, multiples of 64."""
    sure: float = 0.4
    """Least score of what --init finds of classes without labels, to be learned,"""
    unsure: float = 0.1
    """and to be ignored."""
    minutes: float = 0.0
    """Stop after so many minutes. 0: by steps."""
    steps: int = 0
    """Stop after so many steps; 0: by minutes."""
    batch: int = 64
    """Canvases of a step."""
    lr: float = 1e-3
    """Highest learning rate of AdamW; a linear warm-up, then half a cosine."""
    weight_decay: float = 5e-4
    """AdamW's weight decay."""
    warmup: int = 300
    """Steps of warm-up."""
    average: float = 0.999
    """Decay of the moving average of the weights that is kept."""
    learned: float = 0.7
    """Share of that average in the weights that are kept at the end; the rest is what --init had, so that what only the
    start has seen is not forgotten (Wortsman et al. 2022). Without --init it is 1."""
    precision: str = "bf16"
    """bf16 or float32."""
    compile: bool = False
    """Compile the network; for a GPU."""
    seed: int = 0
    """Decides initial weights, order and canvases."""
    device: str = ""
    """cpu or cuda; empty takes a GPU where there is any."""
    workers: int = 0
    """Processes that read the pictures; 0 takes as many as there are cores."""
    resume: bool = True
    """Go on from OUT/NAME.state.pt where an interrupted run left it."""
    save_minutes: float = 2.0
    """How often the state for resuming is written."""
    log_every: int = 50
    """Steps between two lines of the log."""
