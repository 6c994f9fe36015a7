"""Random SAM 2 and SAM 3 video models in the smallest size that transformers builds, saved as folders."""

from pathlib import Path

import torch

SIZE = 64
WIDTH = 128  # the memory attention of transformers takes memories of 64 channels, and wants more in the image
MEMORY = {
    "memory_attention_hidden_size": WIDTH, "memory_attention_num_layers": 1,
    "memory_attention_feed_forward_hidden_size": 32, "memory_attention_rope_feat_sizes": [4, 4],
    "memory_encoder_hidden_size": WIDTH, "memory_encoder_output_channels": WIDTH // 2,
    "mask_downsampler_embed_dim": WIDTH, "memory_fuser_embed_dim": WIDTH, "memory_fuser_intermediate_dim": 32,
}  # fmt: skip
DECODER = {"hidden_size": WIDTH, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}


def sam2_video(folder: Path, objects_are_seen: bool = True) -> Path:
    """A SAM 2 for frames of 64x64, whose object score says that everything prompted is in every frame, or nothing."""
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VideoModel, Sam2VisionConfig

    torch.manual_seed(0)
    backbone = Sam2HieraDetConfig(
        hidden_size=8, image_size=[SIZE, SIZE], blocks_per_stage=[1, 1, 2, 1], embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1] * 4, window_size_per_stage=[4, 4, 4, 2], global_attention_blocks=[3],
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=WIDTH,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )  # fmt: skip
    config = Sam2VideoConfig(
        vision_config=vision, prompt_encoder_config={"hidden_size": WIDTH, "image_size": SIZE},
        mask_decoder_config=DECODER, image_size=SIZE, **MEMORY,
    )  # fmt: skip
    model = Sam2VideoModel(config)
    told(model.mask_decoder, objects_are_seen)
    model.save_pretrained(folder)
    return folder


def sam3_video(folder: Path, words=("car", "person", "truck"), **limits) -> Path:
    """A SAM 3 for frames of 56x56 with a tokenizer of a few words; `limits` are those of `Sam3VideoConfig`."""
    from transformers import Sam3VideoConfig, Sam3VideoModel

    torch.manual_seed(0)
    backbone = {
        "model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 56, "patch_size": 14, "window_size": 2, "global_attn_indexes": [1],
        "pretrain_image_size": 56,
    }  # fmt: skip
    vision = {
        "model_type": "sam3_vision_model", "backbone_config": backbone, "fpn_hidden_size": WIDTH,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    }  # fmt: skip
    small = {"hidden_size": WIDTH, "num_attention_heads": 2, "intermediate_size": 32, "num_layers": 1}
    text = {
        "model_type": "clip_text_model", "vocab_size": 600, "hidden_size": 32, "intermediate_size": 32,
        "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32, "projection_dim": 32,
        "hidden_act": "gelu", "eos_token_id": 1, "bos_token_id": 0,
    }  # fmt: skip
    detector = {
        "model_type": "sam3", "vision_config": vision, "text_config": text, "geometry_encoder_config": small,
        "detr_encoder_config": small, "detr_decoder_config": {**small, "num_queries": 4},
        "mask_decoder_config": {"hidden_size": WIDTH, "num_attention_heads": 2},
    }  # fmt: skip
    tracker = {
        "model_type": "sam3_tracker_video", "vision_config": vision,
        "prompt_encoder_config": {"hidden_size": WIDTH, "image_size": 56}, "mask_decoder_config": DECODER,
        "image_size": 56, **MEMORY,
    }  # fmt: skip
    limits = {"score_threshold_detection": 0.0, "new_det_thresh": 0.0, "det_nms_thresh": 0.5, **limits}
    config = Sam3VideoConfig(detector_config=detector, tracker_config=tracker, low_res_mask_size=16, **limits)
    model = Sam3VideoModel(config)
    told(model.tracker_model.mask_decoder, True)
    model.save_pretrained(folder)
    tokenizer(words).save_pretrained(folder)
    return folder


def told(decoder, seen: bool) -> None:
    """Make a mask decoder say of every object that it is in the frame, or of none."""
    with torch.no_grad():
        last = decoder.pred_obj_score_head.proj_out
        last.weight.zero_()
        last.bias.fill_(5.0 if seen else -5.0)


def tokenizer(words):
    from transformers import CLIPTokenizer

    letters = sorted(set("".join(words)))
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return CLIPTokenizer(vocab={token: n for n, token in enumerate(tokens)}, merges=[])
