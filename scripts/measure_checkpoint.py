"""Measure a checkpoint on a data set: the numbers of a model card, one centre point per instance.

python scripts/measure_checkpoint.py streetsim-small streetsim:data/test
"""

import json
import sys

import torch

from samodal.segmenters.sam import AmodalSam
from samodal.training.sam.cache import open_cache
from samodal.training.sam.validation import Predict, validate


def main(checkpoint: str, data: str) -> None:
    """Print the metrics of `samodal.training.sam.validation` as JSON."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = AmodalSam.from_checkpoint(checkpoint).to(device).eval()
    cache = open_cache(data, model.transform, centres=True)
    print(json.dumps(validate(Predict(model), cache), indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
