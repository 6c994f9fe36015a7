"""The released model computes what the released code computes, from a checkpoint with its names."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from samodal.parts import Prompt
from samodal.segmenters.sam import AmodalSam, SamSegmenter

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))
from fill import fill, load_keys  # noqa: E402

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in fill(load_keys("samodal_vit_b")).items()}


def loaded(weights: dict[str, torch.Tensor], path: Path) -> AmodalSam:
    torch.save(weights, path)
    model = AmodalSam.from_checkpoint(path)
    path.unlink()  # 375 MB
    return model


@pytest.fixture(scope="module")
def released(weights, tmp_path_factory) -> AmodalSam:
    return loaded(weights, tmp_path_factory.mktemp("released") / "net_best.pth")


@pytest.fixture(scope="module")
def embedding(released) -> torch.Tensor:
    with torch.inference_mode():
        return released.embed(released.transform.pixels(picture("samodal_vit_b"))[None])


def picture(name: str) -> np.ndarray:
    return np.array(Image.open(GOLDEN / f"{name}_input.webp").convert("RGB"))


def expected(name: str) -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / f"{name}.npz"))


def close(found, wanted, tolerance: float = TOLERANCE) -> None:
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=0, atol=tolerance)


def test_the_embedding_of_a_plain_sam_checkpoint_is_that_of_the_encoder_without_adapters(weights, tmp_path):
    plain = {name: value for name, value in weights.items() if "prompt_generator" not in name}
    model = loaded(plain, tmp_path / "sam_vit_b_01ec64.pth")
    assert not model.config.adapters
    with torch.inference_mode():
        found = model.embed(model.transform.pixels(picture("samodal_vit_b"))[None])
    close(found[0, ::32], expected("samodal_vit_b_embeddings")["embedding_without_adapters_every_32nd_channel"])


def test_the_embedding_with_adapters_is_the_released_one(released, embedding):
    assert (released.config.adapter_reduction, released.config.global_layers) == (32, (2, 5, 8, 11))
    close(embedding[0, ::32], expected("samodal_vit_b_embeddings")["embedding_every_32nd_channel"])


@pytest.mark.parametrize("prompt", ["one_point", "four_points"])
def test_masks_and_scores_of_points_are_the_released_ones(released, embedding, prompt):
    wanted = expected("samodal_vit_b_masks")
    points, labels = (torch.from_numpy(wanted[f"{prompt}_{part}"])[None] for part in ("xy", "labels"))
    with torch.inference_mode():
        logits, iou = released.decode(embedding, points=points, labels=labels)
    close(logits[0, 0, ::2, ::2], wanted[f"{prompt}_low_res_mask_every_2nd_pixel"])
    close(iou, wanted[f"{prompt}_iou"])


def test_mask_and_score_of_a_box_are_the_released_ones(released, embedding):
    wanted = expected("samodal_vit_b_masks")
    with torch.inference_mode():
        logits, iou = released.decode(embedding, boxes=torch.from_numpy(wanted["box_xyxy"]))
    close(logits[0, 0, ::2, ::2], wanted["box_low_res_mask_every_2nd_pixel"])
    close(iou, wanted["box_iou"])


def test_the_three_masks_of_points_and_a_mask_are_the_released_ones(released, embedding):
    wanted = expected("samodal_vit_b_masks")
    points, labels = (torch.from_numpy(wanted[f"four_points_{part}"])[None] for part in ("xy", "labels"))
    masks = torch.full((1, 1, 256, 256), -3.0)
    masks[:, :, 60:100, 70:130] = 3
    with torch.inference_mode():
        logits, iou = released.decode(embedding, points=points, labels=labels, masks=masks, multimask=True)
    close(logits[0, :, ::2, ::2], wanted["mask_prompt_low_res_masks_every_2nd_pixel"])
    close(iou, wanted["mask_prompt_iou"])


@pytest.mark.parametrize("size", ["1080x1920", "375x1242"])
def test_the_final_mask_of_a_full_size_frame_is_the_released_one(released, size):
    frame, wanted = picture(f"samodal_vit_b_{size}"), expected(f"samodal_vit_b_{size}_expected")
    segmenter = SamSegmenter(released)
    decoded = segmenter.decode(segmenter.encode([frame]), [Prompt(points=wanted["points_xy"])], [0])
    shape = tuple(wanted["mask_shape"])
    mask = np.unpackbits(wanted["mask"], count=shape[0] * shape[1]).reshape(shape).astype(bool)
    agreement = ((decoded.amodal[0] > 0).numpy() == mask).mean()
    assert agreement >= 0.999, f"{agreement:.4%} of the pixels agree"
    close(decoded.amodal[0, ::8, ::8], wanted["logits_every_8th_pixel"])
    close(decoded.iou, wanted["iou"][0])
