"""Weights of VidEoMT on disk: our own .safetensors, and what transformers loads by folder or hub name."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from samodal.checkpoints import networks
from samodal.checkpoints.hub import Wanted, model_folder
from samodal.errors import InputError
from samodal.frontends.road_users import named
from samodal.frontends.videomt.config import VideomtConfig
from samodal.frontends.videomt.model import Network

EXAMPLE = "tue-mps/videomt-dinov2-small-ytvis2019"
KIND = networks.Kind(
    "videomt",
    VideomtConfig,
    f"no such VidEoMT; give a .safetensors, a folder, embedded weights ({{shipped}}), or a hub name as {EXAMPLE}",
)
WANTED = Wanted("VidEoMT", "videomt", EXAMPLE)
# Of transformers' class alone: its loss, its training and inputs with masked patches.
_UNUSED = ("criterion.empty_weight", "attn_mask_probs", "embeddings.mask_token", "embeddings.position_ids")


def load(path_or_name: str | Path) -> Network:
    """A network in float32 on the CPU.

    Args:
        path_or_name: our .safetensors, the name of weights shipped with this package, a folder as transformers saves
            a VideomtForUniversalSegmentation, or its name on the Hugging Face hub.

    Raises:
        InputError: for a missing file, a repository that is gated or not there, or another architecture.
    """
    name = str(path_or_name)
    path = networks.locate(name, KIND, lambda name: model_folder(name, WANTED))
    if path.is_dir():
        return _from_transformers(model_folder(str(path), WANTED), name)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: expected a .safetensors as `samodal train vis` writes, or a folder of transformers")
    weights = networks.read(path, KIND)
    if weights.config is None:
        raise InputError(
            f"{path}: expected a VidEoMT with its config, found {weights.content()}; for a checkpoint of transformers "
            "give its folder, with config.json in it"
        )
    return _build(weights.config, weights.tensors, weights.where)


def save(network: Network, path: str | Path, half: bool = False, eight: bool = False) -> None:
    """Write a network with its config as .safetensors, in 16 bit where `half`, matrices in 8 bit where `eight`."""
    networks.save(path, KIND, network.config, network.state_dict(), half, eight=eight)


def _from_transformers(folder: Path, name: str) -> Network:
    """A folder with config.json and weights, whatever their number of files."""
    from transformers import VideomtForUniversalSegmentation

    try:
        model, loaded = VideomtForUniversalSegmentation.from_pretrained(folder, output_loading_info=True)
    except ImportError:  # the caller says what to install
        raise
    except Exception as error:  # transformers, torch and safetensors raise anything for damaged files
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{name}: transformers cannot load it ({reason})") from error
    missing = sorted(set(loaded["missing_keys"]) - set(_UNUSED))
    if missing:
        raise InputError(f"{name}: {len(missing)} parameters of VidEoMT are missing, as {missing[0]}; is it damaged?")
    labels = [model.config.id2label[n] for n in range(model.config.num_labels)]
    state = {key: value for key, value in model.state_dict().items() if key not in _UNUSED}
    return _build(config_of(model.config, named(labels, name)), state, name)


def config_of(config, classes: tuple[str, ...]) -> VideomtConfig:
    """The config of transformers' class as ours.

    Raises:
        InputError: for an activation that no released model has.
    """
    if config.hidden_act != "gelu":
        raise InputError(f"a VidEoMT with {config.hidden_act!r} between its layers is not supported, only 'gelu'")
    size, patch = (v if isinstance(v, int) else v[0] for v in (config.image_size, config.patch_size))
    return VideomtConfig(
        classes=classes,
        size=(size, size),
        fit="stretch",
        patch=patch,
        stem="patch",
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        blocks=config.num_blocks,
        heads=config.num_attention_heads,
        queries=config.num_queries,
        registers=config.num_register_tokens,
        upscales=config.num_upscale_blocks,
        mlp=config.mlp_ratio,
        gated=config.use_swiglu_ffn,
        epsilon=config.layer_norm_eps,
    )


def _build(config: VideomtConfig, tensors: dict[str, Tensor], where: str) -> Network:
    return networks.build(lambda: Network(config), tensors, where, "VidEoMT of its config")
