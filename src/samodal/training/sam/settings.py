"""What decides the training of an amodal SAM; light to import, as the command line reads it for its help."""

from dataclasses import dataclass

from samodal.errors import InputError

CHOICES = {
    "stage": ("visible", "amodal"),
    "tune": ("full", "adapters", "decoder", "lora"),
    "adapters": ("none", "keep", "fresh"),
    "schedule": ("cosine", "step", "released"),
    "loss": ("focal_dice", "released"),
    "loss_size": ("double", "input", "frame"),
    "precision": ("float32", "bf16"),
    "device": ("", "cpu", "cuda"),
}
"""What the settings of a few names may be."""


@dataclass
class TrainSettings:
    """Everything that decides a training; --config takes a YAML file with the same keys or a recipe's name:
    streetsim-visible, streetsim-amodal, asd-paper, asd-released, kins-paper, kins-released and others."""

    data: str = ""
    """Training data, KIND:PATH, as streetsim:ROOT/train (samodal data check --help lists all kinds); kinds that know
    visible masks alone, as kitti_mots, with --paste-occluders."""
    val: str = ""
    """Validation data, used whole to choose the best checkpoint; empty keeps the last."""
    test: str = ""
    """Data on which the kept checkpoint is measured once at the end, for its card."""
    out: str = "runs/train"
    """Folder for the checkpoint, its model card, the log and what a resumed run needs."""
    name: str = "amodal-sam"
    """Name of the checkpoint: OUT/NAME.safetensors."""
    recipe: str = ""
    """Name of the recipe these settings come from; written into the model card."""
    init: str = ""
    """Checkpoint to start from: a file, a folder or a name; empty starts from random weights of `size`."""
    size: str = "small"
    """Model size for random weights: tiny, small, vit_b, vit_l or vit_h."""
    adapters: str = "keep"
    """Adapters of the model: keep those of `init`, or take them off and attach fresh adapters or none."""
    stage: str = "visible"
    """What is learned: visible or amodal masks."""
    tune: str = "full"
    """What is trained: full, adapters (with the mask decoder, as the paper), decoder alone, or lora (with it)."""
    prompts: str = "visible"
    """Name of the mix of prompts: visible, amodal, random_point or eroded_point."""
    points: int = 0
    """K, points of each prompt that has some (paper Table 3); 0 leaves their number to the mix."""
    multimask: float = 0.5
    """Share of single-point steps in which the best of three masks is trained instead of the single mask."""
    loss: str = "focal_dice"
    """Loss on the masks: focal_dice (paper) or released."""
    iou_weight: float = 1.0
    """Weight of the loss on the predicted IoU; 0 leaves it out, as paper and released code do."""
    loss_size: str = "double"
    """Where the loss compares: double the decoder's resolution, the model's input, or the original frame."""
    augment: bool = True
    """Flip, zoom, colours, noise and blur."""
    band_share: float = 0.0
    """Share of steps on a horizontal band of `band` of the frame's height, so that wide frames work too."""
    band: float = 0.5556
    """Height of the band as a share of the input's, rounded to whole patches."""
    occluded_weight: float = 0.0
    """How many times oftener a fully occluded instance is drawn than an unoccluded instance, less 1."""
    paste_occluders: bool = False
    """Stage amodal from visible masks alone, also --paste-occluders: instances cut from the data are pasted in front of
    others, and what they cover is learned. The data's amodal masks are never read, but for those of `test`; the best
    checkpoint is chosen on `val` with things pasted into it."""
    min_visible: int = 12
    """Instances with fewer visible pixels at the model's input size are left out: nothing to prompt from."""
    frames: int = 64
    """Frames of a step, per process."""
    instances: int = 8
    """Instances drawn from each frame, which share its encoding."""
    minutes: float = 0.0
    """Stop after so many minutes of training, validation included; the schedule follows the clock. 0: by steps."""
    steps: int = 0
    """Stop after so many steps; 0: by `minutes` or `epochs`."""
    epochs: float = 0.0
    """Stop after so many passes over the data; 0: by `minutes` or `steps`."""
    lr: float = 1e-3
    """Highest learning rate of AdamW."""
    weight_decay: float = 0.05
    """AdamW's weight decay."""
    schedule: str = "cosine"
    """cosine (to zero at the end), step (a tenth every 10 epochs) or released (warm-up, polynomial decay)."""
    warmup: int = 200
    """Steps of linear warm-up; the step schedule has none."""
    clip: float = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    seed: int = 0
    """Decides initial weights, order, prompts and augmentation."""
    precision: str = "bf16"
    """bf16 (autocast) or float32."""
    device: str = ""
    """cpu or cuda; empty takes a GPU where there is any."""
    workers: int = 0
    """Processes that prepare the data; 0 takes as many as there are cores."""
    cache: str = ""
    """File of the prepared training data, made where it is missing; empty keeps it in memory only."""
    val_cache: str = ""
    """The same for the validation data."""
    test_cache: str = ""
    """The same for the test data."""
    compile: bool = False
    """Compile the encoder; pays after some minutes on a GPU."""
    half: bool = False
    """Write the checkpoint with 16-bit weights."""
    resume: bool = True
    """Go on from OUT/NAME.state.pt where an interrupted run left it."""
    save_minutes: float = 2.0
    """How often the state for resuming is written."""
    validations: int = 3
    """Validations during the training, evenly spaced in its second half; the last at its end."""
    log_every: int = 20
    """Steps between two lines of the log."""

    def __post_init__(self):
        for field, allowed in CHOICES.items():
            if getattr(self, field) not in allowed:
                from samodal.errors import nearest

                raise InputError(f"{field}: {getattr(self, field)!r}{nearest(str(getattr(self, field)), allowed)}")
