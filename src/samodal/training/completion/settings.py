"""What decides the training of a completer."""

from __future__ import annotations

from dataclasses import dataclass, replace

FROM_RANDOM = {"batch": 512, "lr": 2e-3, "warmup": 100, "average": 0.998}
"""What is taken where nothing is given: for minutes on a GPU, with thousands of frames."""
FINE_TUNED = {"batch": 16, "lr": 3e-4, "warmup": 10, "average": 0.95}
"""The same with --init: for minutes on a CPU, with some twenty frames."""


@dataclass(frozen=True)
class CompletionSettings:
    """Train the completer: whole objects from visible masks and their neighbours, without pixels.

    It learns from data sets with amodal masks, from silhouettes that are pasted in front of one another, or from both.
    """

    data: str = ""
    """What to learn from, KIND:PATH, as streetsim:ROOT/train or coco:ANN.json,IMAGES (samodal data check --help lists
    all kinds); several are separated by commas."""
    silhouettes: str = ""
    """Outlines of whole objects to paste: COCO-form JSON files with polygons, or CLASS:FOLDER of mask pictures, as
    person:masks; several are separated by commas."""
    pasted: float = 0.35
    """Share of samples that are pasted, where both data and silhouettes are given."""
    val: str = ""
    """Data set to measure on at the end; empty measures on the last HELD_OUT instances of the data."""
    held_out: int = 0
    """Instances at the end of the data that are measured on and not learned from, where there is no --val."""
    masks: str = ""
    """Folder of `samodal run --data DATA --vis FRONT_END`: its visible masks are told instead of those of the data,
    each for the instance that it fits (IoU of 0.4 or more). For --val, too; run both into the same folder."""
    out: str = "runs/train"
    """Folder for the checkpoint, its model card and the log."""
    name: str = "completion"
    """Name of the checkpoint: OUT/NAME.safetensors."""
    init: str = ""
    """Weights to fine-tune: a .safetensors of this command or a shipped name, as streetsim-complete; empty starts from
    random ones. The statistics of batch norms stay as they are, and what is measured is also measured before."""
    first: int | None = None
    """So many sequences of each data set, the first of them; all where it is not given."""
    min_visible: int = 16
    """Instances with fewer visible pixels are not learned from."""
    cache: str = ""
    """File that keeps the prepared data; written where it is not there."""
    val_cache: str = ""
    """The same for --val."""
    width: int = 32
    """Channels at a quarter of the size of a crop; the coarsest stage has four times as many. Ignored with --init."""
    layers: str = "visible,front,behind,inside,earlier"
    """What the network is told; also neighbours and contact. Ignored with --init."""
    norm: str = "batch"
    """Normalisation: batch or group. Ignored with --init."""
    hidden_head: bool = True
    """Predict the hidden part by a head of its own as well. Ignored with --init."""
    damage: bool = True
    """Damage the masks that are told, as a front end would."""
    turned: int = 4
    """So many copies more of each outline of unknown class, turned by any angle."""
    alone: float = 0.12
    """Share of pasted samples that nothing hides."""
    occluded_weight: float = 2.0
    """How much oftener what is occluded is drawn: 0.35 + this x the share hidden."""
    no_earlier: float = 0.6
    """Share of samples that are not told an earlier shape."""
    minutes: float = 0.0
    """Stop after so many minutes. 0: by steps."""
    steps: int = 0
    """Stop after so many steps; 0: by minutes."""
    batch: int | None = None
    """Samples of a step; 512 where it is not given, 16 with --init."""
    lr: float | None = None
    """Highest learning rate of AdamW; a linear warm-up, then half a cosine. 2e-3 where it is not given, 3e-4 with
    --init."""
    weight_decay: float = 1e-2
    """AdamW's weight decay."""
    warmup: int | None = None
    """Steps of warm-up; 100 where it is not given, 10 with --init."""
    average: float | None = None
    """Decay of the moving average of the weights that is kept; 0 keeps the last weights. 0.998 where it is not given,
    0.95 with --init."""
    precision: str = ""
    """bf16 or float32; empty takes bf16 on a GPU and float32 on a CPU, many of which are ten times slower in bf16."""
    compile: bool = False
    """Compile the network; for a GPU."""
    seed: int = 0
    """Decides initial weights, order and samples."""
    device: str = ""
    """cpu or cuda; empty takes a GPU where there is any."""
    workers: int = 0
    """Processes that read the data; 0 takes as many as there are cores."""
    resume: bool = True
    """Go on from OUT/NAME.state.pt where an interrupted run left it."""
    save_minutes: float = 2.0
    """How often the state for resuming is written."""
    log_every: int = 50
    """Steps between two lines of the log."""

    def complete(self, device: str) -> CompletionSettings:
        """These settings with what was not given, for a device's type."""
        usual = FINE_TUNED if self.init else FROM_RANDOM
        missing = {name: value for name, value in usual.items() if getattr(self, name) is None}
        return replace(self, **missing, precision=self.precision or ("bf16" if device == "cuda" else "float32"))
