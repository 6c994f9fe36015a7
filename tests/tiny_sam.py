"""A tiny SAM as transformers has it, with random weights."""

import torch


def transformers_sam():
    """Its positions and frequencies are no constants, so that places matter."""
    from transformers import (
        SamConfig,
        SamMaskDecoderConfig,
        SamModel,
        SamPromptEncoderConfig,
        SamVisionConfig,
    )

    vision = SamVisionConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=128, output_channels=32, window_size=3,
        global_attn_indexes=[1], num_pos_feats=16, initializer_range=0.1,
    )  # fmt: skip
    model = SamModel(
        SamConfig(
            vision_config=vision,
            prompt_encoder_config=SamPromptEncoderConfig(hidden_size=32, image_size=128),
            mask_decoder_config=SamMaskDecoderConfig(hidden_size=32, mlp_dim=64, iou_head_hidden_dim=32),
        )
    ).eval()
    torch.nn.init.normal_(model.shared_image_embedding.positional_embedding)
    for layer in model.vision_encoder.layers:
        torch.nn.init.normal_(layer.attn.rel_pos_h, std=0.3)
        torch.nn.init.normal_(layer.attn.rel_pos_w, std=0.3)
    return model
