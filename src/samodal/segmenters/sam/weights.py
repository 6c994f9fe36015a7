"""Weights of SAM: where they are, other sizes of their input, and deltas. The layouts of others are in `names`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from samodal.checkpoints import hub, networks
from samodal.checkpoints.networks import Kind, Weights
from samodal.errors import InputError
from samodal.segmenters.sam import names
from samodal.segmenters.sam.config import AmodalSamConfig

KIND = Kind(
    "samodal",
    AmodalSamConfig,
    "no such checkpoint; give a file, a folder, a hub name, or embedded weights ({shipped})",
)
# Older deltas hold these and do not say what they rely on: everything else.
OLD_DELTA = ("vision_encoder.adapter.", "mask_decoder.")


def read(
    name: str, size: tuple[int, int] | None = None, fetch: bool = True
) -> tuple[AmodalSamConfig, dict[str, Tensor]]:
    """Config and tensors of a checkpoint under our names; see `AmodalSam.from_checkpoint`."""
    weights = _read(name, fetch)
    if weights.base is not None:
        weights = _with_base(weights)
    config, tensors = weights.config, weights.tensors
    if size is not None and tuple(size) != config.size:
        config = config.replace(size=tuple(size))
        tensors = _resized(weights, config)
    return config, tensors


def save(
    path: str | Path, config: AmodalSamConfig, state: Mapping[str, Tensor], half: bool = False, base: str | None = None
) -> None:
    """Write a whole model, or where a base is named, what differs from it; see `AmodalSam.save`."""
    if base is None:
        networks.save(path, KIND, config, state, half)
        return
    whole = _read(base, fetch=True)
    if whole.base is not None:  # a delta is added to a whole model, however many trainings lie between
        base, whole = whole.base.name, _read(whole.base.name, fetch=True)
    shared = Weights(base, _resized(whole, config), whole.config)
    networks.save(path, KIND, config, state, half, shared, whole)


def _with_base(delta: Weights) -> Weights:
    """A whole model from a delta and the base that it names. A file does not decide what is downloaded."""
    try:
        base = _read(delta.base.name, fetch=False)
    except InputError as error:
        raise InputError(f"{delta.where}: cannot read the base it is added to: {error}") from None
    if base.base is not None:
        raise InputError(f"{delta.where}: its base {delta.base.name} is a delta too; save the whole model, and name it")
    networks.check_base(delta, base)
    tensors = _resized(base, delta.config)
    if delta.base.complete:
        tensors = {name: tensors[name] for name in delta.base.checksums}
    else:
        tensors = {name: value for name, value in tensors.items() if not name.startswith(OLD_DELTA)}
    return Weights(delta.where, tensors | delta.tensors, delta.config)


def _read(name: str, fetch: bool) -> Weights:
    path = networks.locate(name, KIND, partial(hub.download, files=names.FILES[:1], fetch=fetch))
    if path.is_dir():
        files = [path / file for file in names.FILES if (path / file).is_file()]
        if not files:
            raise InputError(f"{path}: expected {names.FILES[0]} as transformers saves a SamModel, found no such file")
        path = files[0]
    weights = networks.read(path, KIND)
    if weights.config is not None:
        return weights
    tensors = names.ours(weights.tensors)
    return Weights(weights.where, tensors, names.config_from_shapes(tensors, weights.where))


def _resized(weights: Weights, new: AmodalSamConfig) -> dict[str, Tensor]:
    """Interpolate what depends on the size of the input: the positions, and the tables of the global layers."""
    old, tensors = weights.config, dict(weights.tensors)
    if old.size == new.size:
        return tensors
    try:
        place = tensors["vision_encoder.pos_embed"].float().permute(0, 3, 1, 2)
        place = F.interpolate(place, new.grid, mode="bicubic", align_corners=False)
        tensors["vision_encoder.pos_embed"] = place.permute(0, 2, 3, 1).contiguous()
        for i in old.global_layers if old.relative_positions else ():
            for axis, side in zip("hw", new.grid, strict=True):
                name = f"vision_encoder.layers.{i}.attn.rel_pos_{axis}"
                table = tensors[name].float().T[None]
                tensors[name] = F.interpolate(table, 2 * side - 1, mode="linear")[0].T.contiguous()
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{weights.where}: its positions cannot be brought to {new.size} ({reason})") from None
    return tensors
