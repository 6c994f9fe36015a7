"""What `samodal experiments` takes."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from samodal.errors import InputError
from samodal.executors import ENGINES


@dataclass(frozen=True)
class ExperimentsSettings:
    """Run tables and figures of the paper, and ours beside them, on StreetSim or any data set with amodal truth.

    Everything that is finished is kept in OUT and used again: after an interruption, or by another table.
    """

    names: str = field(metadata={"positional": str})
    """list, all, or names separated by commas: table1,table2; or a YAML file of your own."""
    data: str = ""
    """Data set: asd:ROOT/val, kinscar:ROOT/test, streetsim:ROOT/test, coco:ANN.json,IMAGES; empty renders the first
    clips of StreetSim's split test into OUT/data."""
    root: Path | None = None
    """For the experiments real, gaps and seen: folder of real pictures and labels; docs/results.md tells more."""
    rows: str = ""
    """Front ends for the experiment seen instead of its own, as --rows videomt,detector:mine.safetensors."""
    clips: str | None = None
    """Only the clips FIRST:LAST, counted from 0 without LAST; all of --data if not given, 0:4 of StreetSim."""
    out: Path = Path("runs/experiments")
    """Folder for NAME.json, NAME.md, and all runs and scores."""
    seeds: int = 3
    """Inference seeds, for rows in which chance plays a part (random prompts, a degraded front end)."""
    weights: dict[str, str] = field(default_factory=dict)
    """What the keys of the experiments stand for, as --weights.sam=mine.safetensors; several, separated by commas, are
    several training seeds."""
    train: str = ""
    """Training data, as streetsim:ROOT/train: weights that an experiment lacks are trained on it into OUT/weights."""
    train_steps: int = 1000
    """Steps of each of these trainings."""
    resamples: int = 0
    """Resamples of a bootstrap over clips, for 95 % intervals of a row's first run; 0 for none."""
    trust_config: bool = False
    """Let YAML files name code outside the package, as package.module:Class, which is then run."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    workers: int = os.cpu_count() or 1
    """Processes."""
    engine: ENGINES = "processes"
    """Where workers are: processes of this machine, or ray (pip install 'samodal[ray]')."""
    address: str | None = None
    """Address of the Ray cluster, as for samodal run."""

    def __post_init__(self):
        if min(self.seeds, self.workers, self.train_steps) < 1 or self.resamples < 0:
            raise InputError("seeds, workers and train_steps must be at least 1, resamples 0 or more")
