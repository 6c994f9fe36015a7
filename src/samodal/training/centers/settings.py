"""What decides the training of the heads on a frozen encoder."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CentersSettings:
    """Train heads that find road users in the embedding of an amodal SAM, which stays as it is."""

    data: str = ""
    """What to learn from, KIND:PATH, as streetsim:ROOT/tracks (samodal data check --help lists all kinds); several are
    separated by commas."""
    out: str = "runs/train"
    """Folder for the checkpoint, its model card and the log."""
    name: str = "centers"
    """Name of the checkpoint: OUT/NAME.safetensors."""
    encoder: str = "streetsim-small"
    """The amodal SAM whose embedding is read, as --weights of `samodal run`."""
    classes: str = "person,rider,car,truck,bus,motorcycle,bicycle"
    """What is learned; everything else is scenery."""
    clips: int | None = None
    """So many clips of each data set, the first of them; all where it is not given."""
    every: int = 2
    """Every N-th frame of a clip is learned from."""
    held_out: int = 12
    """Clips at the end that are measured on and not learned from."""
    width: int = 64
    """Channels of its layers."""
    augment: bool = False
    """Mirror, zoom, show bands, change colours, noise and blur, and embed each step's frames anew: for a GPU. Otherwise
    frames are embedded once, half of them mirrored."""
    batch: int = 8
    """Frames of a step."""
    instances: int = 8
    """Masks of a frame that a step learns from."""
    minutes: float = 0.0
    """Stop after so many minutes of training, those for the embeddings not counted. 0: by steps."""
    steps: int = 0
    """Stop after so many steps; 0: by minutes."""
    lr: float = 2e-3
    """Highest learning rate of AdamW; a linear warm-up, then half a cosine."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""
    warmup: int = 100
    """Steps of warm-up."""
    seed: int = 0
    """Decides initial weights, order, which frames are mirrored."""
    device: str = ""
    """cpu or cuda; empty takes a GPU where there is any."""
    workers: int = 0
    """Processes that read the clips; 0 takes as many as there are cores."""
    resume: bool = True
    """Go on from OUT/NAME.state.pt where an interrupted run left it."""
    save_minutes: float = 2.0
    """How often the state for resuming is written."""
    log_every: int = 50
    """Steps between two lines of the log."""
