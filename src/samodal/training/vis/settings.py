"""What decides the training of a VidEoMT."""

from dataclasses import dataclass


@dataclass
class VisSettings:
    """Everything that decides the training of a video instance segmenter, on any data set with truth."""

    data: str = ""
    """Training clips: streetsim:ROOT/tracks (samodal synth --split tracks --out ROOT) or any other KIND:PATH, single
    images, too (samodal data check --help lists all kinds); several data sets are separated by commas."""
    val: str = ""
    """Clips to measure on; empty takes the last `held_out` of the training data, which are then not trained on."""
    out: str = "runs/train"
    """Folder for the checkpoint, its model card, the log and what a resumed run needs."""
    name: str = "vis"
    """Name of the checkpoint: OUT/NAME.safetensors."""
    init: str = ""
    """Checkpoint to start from: a file of ours, a folder of transformers or a hub name; an amodal SAM of ours, as
    streetsim-small, lends its image encoder; empty starts from random weights of `size`."""
    size: str = "small"
    """small, or mini for two CPU cores."""
    input: str = ""
    """Another input, HEIGHTxWIDTH in pixels, as in 512x1024; empty keeps that of the size or checkpoint."""
    classes: str = "person,rider,car,truck,bus,motorcycle,bicycle"
    """What is learned, whatever a data set calls it (pedestrian is person, van is car, unless they are listed
    themselves); everything else is scenery."""
    clips: int | None = None
    """So many clips of each data set, the first of them; all where it is not given."""
    held_out: int = 24
    """Clips at the end that are measured on, where there is no `val`."""
    batch: int = 64
    """Frames of a step; clips of T frames are batch / T."""
    images: float = 0.5
    """Share of the training on single frames; clips follow. 1 for data of single images."""
    longest: int = 5
    """Frames of a clip, at most; 3 at least."""
    stride: int = 4
    """Frames of a clip from a drawn frame to the next, at most."""
    dense: float = 1.0
    """Weight of the loss that teaches the first layers the classes of patches."""
    minutes: float = 0.0
    """Stop after so many minutes of training; the schedule follows the clock. 0: by steps."""
    steps: int = 0
    """Stop after so many steps; 0: by minutes."""
    lr: float = 1e-3
    """Highest learning rate of AdamW; a linear warm-up, then half a cosine."""
    weight_decay: float = 5e-2
    """AdamW's weight decay."""
    warmup: int = 500
    """Steps of warm-up."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    augment: bool = True
    """Mirror, zoom, show bands, change colours, noise and blur; the same for all frames of a clip."""
    seed: int = 0
    """Decides initial weights, order, items and augmentation."""
    precision: str = "bf16"
    """bf16 (autocast) or float32."""
    device: str = ""
    """cpu or cuda; empty takes a GPU where there is any."""
    workers: int = 0
    """Processes that read the clips; 0 takes as many as there are cores."""
    resume: bool = True
    """Go on from OUT/NAME.state.pt where an interrupted run left it."""
    save_minutes: float = 2.0
    """How often the state for resuming and the checkpoint are written."""
    check_minutes: float = 3.0
    """How often eight held-out clips are measured, for the log."""
    log_every: int = 50
    """Steps between two lines of the log."""
