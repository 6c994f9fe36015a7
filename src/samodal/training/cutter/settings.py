"""What decides the training of a cutter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CutterSettings:
    """Train the cutter: the visible mask of a box, from the pixels around it.

    It learns from instances with masks, and from boxes alone. There a mask must reach the sides of its box, and
    neighbouring pixels of one colour belong together (BoxInst, Tian et al. 2021).
    """

    data: str = ""
    """Data sets with visible masks, KIND:PATH, as streetsim:ROOT/train (samodal data check --help lists all kinds);
    several are separated by commas."""
    pictures: str = ""
    """Pictures with boxes, some with polygons: FILE.json in COCO form with its pictures in the folder images beside it.
    Or CLASS:FOLDER of photos of single objects in FOLDER/images and their masks in FOLDER/masks. Several are separated
    by commas."""
    every: int = 1000
    """Every N-th frame of a sequence of the data sets is learned from, beginning with its first."""
    held_out_names: str = ""
    """Regular expression of names of pictures that are measured on and not learned from."""
    cache: str = ""
    """File that keeps the prepared pictures, as of `samodal train detector`; several, separated by commas, are read."""
    side: int = 640
    """Longest side of a picture as it is kept, in pixels."""
    classes: str = "person,rider,car,truck,bus,motorcycle,bicycle,other_vehicle"
    """Classes of the pictures."""
    out: str = "runs/train"
    """Folder for the checkpoint, its model card and the log."""
    name: str = "cutter"
    """Name of the checkpoint: OUT/NAME.safetensors."""
    init: str = ""
    """Weights to fine-tune: a .safetensors of this command or a shipped name; empty starts from random ones."""
    width: int = 24
    """Channels at a quarter of the size of a crop. Ignored with --init."""
    crop: int = 96
    """Side of a crop in its own pixels. Ignored with --init."""
    simulated: float = 0.3
    """Share of samples from data sets."""
    photos: float = 0.12
    """Share of photos of single objects, most of them before another picture."""
    boxed: float = 0.33
    """Share of samples that have a box alone."""
    hidden: float = 0.3
    """Share of samples with a mask before which an object of another sample is put."""
    affinity: float = 0.7
    """Weight of the colours of neighbouring pixels where there is a box alone."""
    minutes: float = 0.0
    """Stop after so many minutes. 0: by steps."""
    steps: int = 0
    """Stop after so many steps; 0: by minutes."""
    batch: int = 256
    """Samples of a step."""
    lr: float = 2e-3
    """Highest learning rate of AdamW; a linear warm-up, then half a cosine."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""
    warmup: int = 200
    """Steps of warm-up."""
    average: float = 0.998
    """Decay of the moving average of the weights that is kept."""
    precision: str = "bf16"
    """bf16 or float32."""
    compile: bool = False
    """Compile the network; for a GPU."""
    seed: int = 0
    """Decides initial weights, order and samples."""
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
