"""The amodal SAM: an image in once, any number of prompts out of its embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import nn
from transformers import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder

from samodal.checkpoints.networks import build
from samodal.errors import InputError
from samodal.images import FrameTransform
from samodal.segmenters.sam import weights
from samodal.segmenters.sam.config import AmodalSamConfig
from samodal.segmenters.sam.encoder import AmodalVisionEncoder, new_adapter
from samodal.segmenters.sam.lora import add_lora, merged_state
from samodal.segmenters.sam.prompt_encoder import PromptEncoder

Mode = Literal["visible", "full", "adapters", "decoder", "lora"]


class AmodalSam(nn.Module):
    """A Segment Anything model whose image encoder may have adapters (paper, supplement A).

    Make one with `initialise` or `from_checkpoint`. Parameter names are those of transformers' `SamModel`, and
    `vision_encoder.adapter.*` as the released code names them.

    Attributes:
        config: what it is built from.
        source: the checkpoint it came from, None for a new one.
    """

    def __init__(self, config: AmodalSamConfig):
        super().__init__()
        self.config = config
        self.source: str | None = None
        self.vision_encoder = AmodalVisionEncoder(config)
        self.prompt_encoder = PromptEncoder(config)
        self.mask_decoder = SamMaskDecoder(_decoder_config(config))

    @property
    def transform(self) -> FrameTransform:
        """The preparation of frames that belongs to this model."""
        return self.config.transform

    def embed(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Encode images, differentiably.

        Args:
            pixel_values: (B, 3, H, W) float, as `transform.pixels` makes them; H and W are multiples of the patch
                and at most `config.size`.

        Returns:
            (B, C, h, w) with h = H / patch and w = W / patch.

        Raises:
            ValueError: for an image of another size.
        """
        sides = zip(pixel_values.shape[-2:], self.config.size, strict=True)
        if any(side % self.config.patch or side > largest for side, largest in sides):
            raise ValueError(
                f"an input of {tuple(pixel_values.shape[-2:])} does not fit a model of {self.config.size} with patches "
                f"of {self.config.patch} (height, width); prepare frames with model.transform.pixels"
            )
        return self.vision_encoder(pixel_values)

    def decode(
        self,
        embedding: torch.Tensor,
        points: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
        index: torch.Tensor | None = None,
        multimask: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict the masks of N prompts, differentiably; every kind of prompt may be absent, not all.

        Args:
            embedding: (B, C, h, w) of `embed`.
            points: (N, K, 2) x and y in input pixels.
            labels: (N, K), 1 on the instance, 0 off it, -1 no point; all 1 where absent.
            boxes: (N, 4) x0, y0, x1, y1 in input pixels.
            masks: (N, 1, 4h, 4w) logits, as `transform.masks_to_prompt` makes them.
            index: (N,) long, the image of each prompt; absent: all of one image (B = 1), or one each (B = N).
            multimask: give SAM's three masks of an ambiguous prompt instead of a single mask.

        Returns:
            logits (N, M, 4h, 4w) and the predicted IoU (N, M), not clipped; M is 1, or 3 with multimask.
        """
        given = next((p for p in (points, boxes, masks) if p is not None), None)
        if given is None:
            raise ValueError("a prompt needs points, a box or a mask")
        count = given.shape[0]
        if index is not None:
            embedding = embedding[index]
        elif embedding.shape[0] != count:
            if embedding.shape[0] != 1:
                raise ValueError(f"{count} prompts on {embedding.shape[0]} images need `index`")
            embedding = embedding.expand(count, -1, -1, -1)
        if points is not None and labels is None:
            labels = torch.ones(points.shape[:2], dtype=torch.long, device=points.device)
        grid = (embedding.shape[-2], embedding.shape[-1])
        sparse, dense = self.prompt_encoder(points, labels, boxes, masks, count, grid)
        inputs = {
            "image_embeddings": embedding,
            "image_positional_embeddings": self.prompt_encoder.positions(grid),
            "sparse_prompt_embeddings": sparse[:, None],
            "dense_prompt_embeddings": dense,
        }
        kind = self.mask_decoder.iou_token.weight.dtype
        inputs = {name: value.to(kind) for name, value in inputs.items()}
        logits, iou = self.mask_decoder(**inputs, multimask_output=multimask)
        return logits[:, 0], iou[:, 0]

    def tune(self, mode: Mode) -> None:
        """Choose what is trained; everything else is frozen.

        Args:
            mode: "adapters", adapters and mask decoder (the paper) · "decoder", the mask decoder alone (what the
                released optimisers receive) · "full" or "visible", everything · "lora", low-rank updates of the
                encoder's attention and the mask decoder. The Fourier frequencies are never trained.

        Raises:
            ValueError: for "adapters" on a model without any; see `add_adapters`.
        """
        if mode == "lora":
            add_lora(self)
            self._train_only("lora_", "mask_decoder.")
        elif mode in ("full", "visible"):
            self._train_only("")
        elif mode == "adapters":
            if not self.config.adapters:
                raise ValueError("this model has no adapters; call add_adapters(seed) first")
            self._train_only("vision_encoder.adapter.", "mask_decoder.")
        elif mode == "decoder":
            self._train_only("mask_decoder.")
        else:
            raise ValueError(f"no tuning mode {mode!r}; there are visible, full, adapters, decoder, lora")

    def _train_only(self, *parts: str) -> None:
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(any(p in name for p in parts) and "positional_embedding" not in name)

    def trainable(self) -> dict[str, nn.Parameter]:
        """What an optimiser must receive, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    @classmethod
    def initialise(cls, config: AmodalSamConfig, seed: int) -> AmodalSam:
        """A model with random weights that can learn; equal for equal seeds, whatever else drew random numbers.

        transformers' own defaults cannot learn point prompts: its `SamModel` draws the Fourier frequencies with std
        hidden / 2 instead of 1. Prompt encoder and mask decoder start as segment-anything starts them.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(config)
            encoder = model.vision_encoder
            with torch.no_grad():
                nn.init.trunc_normal_(encoder.pos_embed, std=0.02)
                for module in encoder.layers.modules():
                    if isinstance(module, nn.Linear):
                        nn.init.xavier_uniform_(module.weight)
                        nn.init.zeros_(module.bias)
                projection = encoder.patch_embed.projection
                nn.init.xavier_uniform_(projection.weight.view(config.hidden, -1))
                nn.init.zeros_(projection.bias)
                if encoder.adapter is not None:
                    encoder.adapter.initialise()
        return model

    def add_adapters(self, seed: int, reduction: int | None = None) -> None:
        """Attach fresh adapters to a model without any, in place."""
        if self.config.adapters:
            raise ValueError("this model has adapters already")
        changes = {} if reduction is None else {"adapter_reduction": reduction}
        self.config = self.config.replace(adapters=True, **changes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            adapter = new_adapter(self.config)
            adapter.initialise()
        place = self.vision_encoder.pos_embed
        self.vision_encoder.adapter = adapter.to(place.device, place.dtype)

    def remove_adapters(self) -> None:
        """Take off the adapters, if there are some, in place: the frozen encoder alone is left."""
        self.config = self.config.replace(adapters=False)
        self.vision_encoder.adapter = None

    def save(
        self,
        path: str | Path,
        only: Literal["delta"] | None = None,
        half: bool = False,
        base: str | None = None,
    ):
        """Write a .safetensors file with the config inside.

        Args:
            path: ends in .safetensors.
            only: "delta" writes what differs from the base, with its name and checksums.
            half: 16-bit (float16) values.
            base: what a delta is added to, anything that `from_checkpoint` takes; where absent, what the model was
                loaded from.

        Low-rank updates are added to what they update.

        Raises:
            InputError: for another ending, or a delta of a model that came from nowhere.
        """
        if only not in (None, "delta"):
            raise ValueError(f'only is None or "delta", got {only!r}')
        if only is None:
            base = None
        elif (base := base or self.source) is None:
            raise InputError("a delta needs a base: save the whole model, or say which checkpoint it starts from")
        weights.save(path, self.config, merged_state(self), half, base)

    @classmethod
    def from_checkpoint(
        cls, path_or_name: str | Path, size: tuple[int, int] | None = None, fetch: bool = True
    ) -> AmodalSam:
        """Load an amodal SAM, or a plain SAM (without adapters), in float32 on the CPU.

        Args:
            path_or_name: our .safetensors (a whole model, or a delta that names its base), a .pth of segment-anything
                or of the released S-AModal, a folder as transformers saves a SamModel, the name of weights shipped
                with this package ("streetsim-small"), or a name on the Hugging Face hub ("facebook/sam-vit-base").
            size: (H, W) of another model input; positions are interpolated to it.
            fetch: whether a hub name may be downloaded.

        Raises:
            InputError: where there is no such file or it holds no SAM; says what was expected and found.
        """
        name = str(path_or_name)
        config, tensors = weights.read(name, size, fetch)
        model = build(lambda: cls(config), tensors, name, "an amodal SAM of its config")
        model.source = name
        return model


def _decoder_config(config: AmodalSamConfig) -> SamMaskDecoderConfig:
    parts = SamMaskDecoderConfig(
        hidden_size=config.out_channels,
        mlp_dim=config.decoder_mlp,
        num_hidden_layers=config.decoder_layers,
        num_attention_heads=config.decoder_heads,
        iou_head_hidden_dim=config.out_channels,
        # segment-anything's norms in the decoder are torch's default; transformers has 1e-6.
        layer_norm_eps=1e-5,
    )
    parts._attn_implementation = "sdpa"
    return parts
