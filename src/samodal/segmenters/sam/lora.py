"""Low-rank updates of the encoder's attention (the extra `lora`), for comparison with the adapters."""

import torch
from torch import nn

from samodal.errors import missing_extra

RANK = 8
"""Of the updates, as Hu et al. 2021 take it for RoBERTa."""


def add_lora(model: nn.Module) -> None:
    """Give every attention layer of the image encoder low-rank updates, in place, that start as nothing.

    Raises:
        InputError: where peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise missing_extra("tuning with low-rank updates", "lora") from None
    targets = r"vision_encoder\.layers\.\d+\.attn\.(qkv|proj)"
    inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=targets), model)


def merged_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """The parameters of a model with its low-rank updates, if any, added to what they update."""
    updates = {
        f"{name}.weight": module.get_delta_weight("default").detach()
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight")
    }
    state = {
        name.replace(".base_layer.", "."): value for name, value in model.state_dict().items() if ".lora_" not in name
    }
    return state | {name: state[name] + update for name, update in updates.items()}
