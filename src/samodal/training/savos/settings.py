"""What decides the training of a SAVOS."""

from dataclasses import dataclass


@dataclass
class SavosSettings:
    """Everything that decides the training of a SAVOS, on any data set of videos with visible masks."""

    data: str = ""
    """Training clips: streetsim:ROOT/tracks (samodal synth --split tracks --out ROOT), asd:ROOT/train,
    chewing-gum:train,500 or other videos; several data sets are separated by commas. Amodal masks of what is trained on
    are never read."""
    val: str = ""
    """Clips to measure on, of which the first `held_out` are read; empty takes the last `held_out` of the training
    data, which are then not trained on."""
    out: str = "runs/train"
    """Folder for the checkpoint, its model card, the log and what a resumed run needs."""
    name: str = "savos"
    """Name of the checkpoint: OUT/NAME.safetensors, the best by visible masks of held-out clips."""
    init: str = ""
    """Checkpoint to start from, a released file or our own; empty starts from random weights of `size`."""
    size: str = "small"
    """released (17.3 M parameters, as published), or small (2.3 M)."""
    skip: str = ""
    """What the mask head sees beside the state: visible, the visible mask, as it was meant; or flow, the horizontal
    flow, as the released code has it. Empty takes visible, or what `init` has."""
    clips: int | None = None
    """So many clips of each data set, the first of them; all where it is not given. A frame of 270x480 takes 1.6 MB of
    main memory."""
    held_out: int = 24
    """Clips that are measured on; the first eight of them also in between."""
    length: int = 30
    """Frames of a window."""
    batch: int = 8
    """Windows of a step, each of a single track."""
    min_length: int = 10
    """Frames in a row that a track must be visible."""
    min_area: int = 64
    """Pixels that the largest visible mask of a track must have."""
    patch_weight: float = 0.0
    """Weight of the loss that compares pictures, as in SAVOS' training on FishBowl (0.1)."""
    minutes: float = 0.0
    """Stop after so many minutes of training; the schedule follows the clock. 0: by steps."""
    steps: int = 0
    """Stop after so many steps; 0: by minutes."""
    lr: float = 1e-4
    """Learning rate of Adam; halved after 40 % and after 80 % of the training, as after 20 and 40 of 50 epochs."""
    seed: int = 0
    """Decides initial weights and windows."""
    device: str = ""
    """cpu or cuda; empty takes a GPU where there is any."""
    workers: int = 0
    """Processes that read the clips and compute their flow; 0 takes as many as there are cores."""
    resume: bool = True
    """Go on from OUT/NAME.state.pt where an interrupted run left it."""
    save_minutes: float = 2.0
    """How often the state for resuming is written, and OUT/NAME.draft.safetensors, the network as it is."""
    validations: int = 6
    """How often held-out clips are measured, the last time at the end."""
    log_every: int = 50
    """Steps between two lines of the log."""
