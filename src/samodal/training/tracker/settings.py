"""What decides the training of a point tracker."""

from dataclasses import dataclass


@dataclass
class TrackerSettings:
    """Everything that decides the training of a point tracker, on clips that `samodal synth --points` rendered."""

    data: str = ""
    """Training clips: streetsim:ROOT/tracks (samodal synth --split tracks --points --out ROOT)."""
    out: str = "runs/train"
    """Folder for the checkpoint, its model card, the log and what a resumed run needs."""
    name: str = "points"
    """Name of the checkpoint: OUT/NAME.safetensors."""
    init: str = ""
    """Checkpoint of a CoTracker3 to start from; empty starts from random weights of `size`."""
    size: str = "small"
    """small, fine with cells half as wide, or mini for two CPU cores."""
    clips: int | None = None
    """So many clips, the first of them; all where it is not given."""
    stills: int = 0
    """So many clips more, made of real pictures; `pictures` and `silhouettes` say of which."""
    pictures: str = ""
    """Real pictures with boxes, as `samodal train detector` takes them."""
    cache: str = ""
    """Files that keep the prepared pictures; a detector's fit, with the same classes."""
    silhouettes: str = ""
    """Outlines for what has a box without a mask, as `samodal train completion` takes them."""
    held_out: int = 48
    """Clips at the end that are not trained on but measured."""
    batch: int = 16
    """Clips of a step."""
    instances: int = 8
    """Instances drawn from each clip."""
    points: int = 16
    """Points of an instance, at most."""
    windows: int = 4
    """Windows that follow each other, where the clips are long enough."""
    iterations: int = 0
    """Updates of each window; 0 as many as in use."""
    taught: float = 0.5
    """Share of the items that begins each window near the truth; falls to 0 until the end."""
    match_minutes: float = 0.0
    """First teach the features alone, by matching, for so many minutes."""
    versions: int = 0
    """Make features once, of each clip as it is and of versions - 1 augmented copies, and train the rest on them: for a
    CPU. 0 trains everything together."""
    minutes: float = 0.0
    """Stop after so many minutes of training; the schedule follows the clock. 0: by steps."""
    steps: int = 0
    """Stop after so many steps; 0: by minutes."""
    lr: float = 6e-4
    """Highest learning rate of AdamW; a linear warm-up, then half a cosine."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""
    warmup: int = 300
    """Steps of warm-up."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    augment: bool = True
    """Mirror, zoom with a moving camera, slide occluders over, change colours, noise and blur."""
    seed: int = 0
    """Decides initial weights, order, items and augmentation."""
    precision: str = "bf16"
    """bf16 (autocast) or float32."""
    device: str = ""
    """cpu or cuda; empty takes a GPU where there is any."""
    workers: int = 8
    """Threads that read the clips."""
    resume: bool = True
    """Go on from OUT/NAME.state.pt where an interrupted run left it."""
    save_minutes: float = 2.0
    """How often the state for resuming is written."""
    log_every: int = 50
    """Steps between two lines of the log."""
