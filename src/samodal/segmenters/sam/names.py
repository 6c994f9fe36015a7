"""Parameter names of segment-anything and of the released S-AModal, and ours (which are transformers')."""

import re

import torch

from samodal.checkpoints.files import without_prefix
from samodal.errors import InputError
from samodal.segmenters.sam.config import AmodalSamConfig

_RENAMES = [
    (r"^image_encoder\.", "vision_encoder."),
    (r"^vision_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
    (r"^vision_encoder\.blocks\.(\d+)\.norm", r"vision_encoder.layers.\1.layer_norm"),
    (r"^vision_encoder\.blocks\.", "vision_encoder.layers."),
    (r"^vision_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
    (r"^vision_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
    (r"^vision_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
    (r"^vision_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
    (r"^vision_encoder\.prompt_generator\.", "vision_encoder.adapter."),
    (r"pe_layer\.positional_encoding_gaussian_matrix$", "shared_embedding.positional_embedding"),
    (r"^prompt_encoder\.point_embeddings\.", "prompt_encoder.point_embed."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"^(mask_decoder\.transformer\.layers\.\d+)\.norm", r"\1.layer_norm"),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.0\.", r"\1.proj_in."),
    (
        r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.2\.",
        r"\1.proj_out.",
    ),
    (
        r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.1\.",
        r"\1.layers.0.",
    ),
]


FILES = ["model.safetensors", "pytorch_model.bin"]
"""Of a folder as transformers saves a SamModel."""
ROOTS = {"image_encoder", "vision_encoder", "prompt_encoder", "mask_decoder", "shared_image_embedding"}
_FREQUENCIES = "prompt_encoder.shared_embedding.positional_embedding"


def ours(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of segment-anything, of the released S-AModal or of transformers under our names."""
    tensors = without_prefix(tensors, ROOTS)
    # Only then: `layers.0` of a small network inside is another layer in each of the two.
    if any(name.startswith("image_encoder.") for name in tensors):
        # The colours' mean and deviation are settings.
        tensors = {our(name): value for name, value in tensors.items() if name not in ("pixel_mean", "pixel_std")}
    else:
        tensors = dict(tensors)
    shared = tensors.pop("shared_image_embedding.positional_embedding", None)
    return tensors if shared is None else {_FREQUENCIES: shared} | tensors


def our(name: str) -> str:
    """Our name of a parameter of a segment-anything checkpoint."""
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def config_from_shapes(state: dict[str, torch.Tensor], where: str) -> AmodalSamConfig:
    """The config of a square SAM from the shapes of its parameters (our names).

    Raises:
        InputError: where these are no parameters of a SAM.
    """
    needed = (
        "vision_encoder.patch_embed.projection.weight",
        "vision_encoder.pos_embed",
        "vision_encoder.neck.conv1.weight",
    )
    missing = [name for name in needed if name not in state]
    if missing:
        found = ", ".join(list(state)[:3]) or "nothing"
        raise InputError(
            f"{where}: not a SAM checkpoint: expected {missing[0]} (image_encoder… in original files), found {found}"
        )
    try:
        return _config(state)
    except (KeyError, ValueError) as error:
        raise InputError(f"{where}: looks like a SAM but lacks {error}; was it cut or pruned?") from None
    except (IndexError, ArithmeticError):
        raise InputError(f"{where}: looks like a SAM, but its parameters have other shapes; was it changed?") from None


def _config(state: dict[str, torch.Tensor]) -> AmodalSamConfig:
    projection = state["vision_encoder.patch_embed.projection.weight"]
    hidden, patch = projection.shape[0], projection.shape[-1]
    grid = tuple(state["vision_encoder.pos_embed"].shape[1:3])
    layers = _count(state, r"vision_encoder\.layers\.(\d+)\.")
    tables = [state[f"vision_encoder.layers.{i}.attn.rel_pos_h"] for i in range(layers)]
    shortest = min(t.shape[0] for t in tables)
    changes = {}
    generator = state.get("vision_encoder.adapter.embedding_generator.weight")
    if generator is not None:
        changes = {"adapter_reduction": hidden // generator.shape[0], "adapter_order": "released"}
    return AmodalSamConfig(
        size=(grid[0] * patch, grid[1] * patch),
        patch=patch,
        hidden=hidden,
        layers=layers,
        heads=hidden // tables[0].shape[1],
        mlp_ratio=state["vision_encoder.layers.0.mlp.lin1.weight"].shape[0] / hidden,
        window=(shortest + 1) // 2,
        global_layers=tuple(i for i, t in enumerate(tables) if t.shape[0] == 2 * grid[0] - 1),
        out_channels=state["vision_encoder.neck.conv1.weight"].shape[0],
        decoder_layers=_count(state, r"mask_decoder\.transformer\.layers\.(\d+)\."),
        decoder_mlp=state["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0],
        adapters=generator is not None,
        **changes,
    )


def _count(state: dict[str, torch.Tensor], pattern: str) -> int:
    return 1 + max(int(m.group(1)) for m in map(re.compile(pattern).match, state) if m)
