"""A new model learns to answer a point with the shape under it: 32 scenes drawn here, half a minute on one core."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from samodal.segmenters.sam import AmodalSam, AmodalSamConfig
from samodal.training.losses import focal_dice, true_iou

HEIGHT, WIDTH = 96, 160
SCENES, STEPS = 32, 160


@dataclass
class Scenes:
    """images (S, 3, H, W) as the network sees them; owner (S, H, W): 0 ground, 1 the left shape, 2 the right one."""

    images: torch.Tensor
    owner: np.ndarray

    def prompts(self, rows: np.ndarray, each: int, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
        """Points (N, 1, 2) inside shapes, their masks (N, H, W) float, and which of `rows` they belong to (N,)."""
        points, masks, index = [], [], []
        for i in np.repeat(np.arange(len(rows)), each):
            mask = self.owner[rows[i]] == rng.integers(1, 3)
            y, x = rng.choice(np.argwhere(mask))
            points.append([[x, y]])
            masks.append(mask)
            index.append(i)
        return (
            torch.tensor(np.array(points)).float(),
            torch.tensor(np.array(masks)).float(),
            torch.tensor(index),
        )


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A grey ground with a disc or a rectangle of any colour in each half."""
    image, owner = (
        np.full((HEIGHT, WIDTH, 3), rng.integers(90, 110, 3), np.uint8),
        np.zeros((HEIGHT, WIDTH), int),
    )
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for side in (0, 1):
        centre = (rng.uniform(0.2, 0.3) + 0.5 * side) * WIDTH, rng.uniform(0.35, 0.65) * HEIGHT
        radius = rng.uniform(0.2, 0.3) * HEIGHT
        dx, dy = np.abs(x - centre[0]), np.abs(y - centre[1])
        inside = dx**2 + dy**2 < radius**2 if rng.random() < 0.5 else (dx < 1.1 * radius) & (dy < 0.8 * radius)
        image[inside], owner[inside] = rng.integers(0, 256, 3), side + 1
    return image, owner


@pytest.fixture(scope="module")
def model() -> AmodalSam:
    config = AmodalSamConfig.named("tiny").replace(size=(HEIGHT, WIDTH))
    return AmodalSam.initialise(config, seed=0)


@pytest.fixture(scope="module")
def scenes(model) -> Scenes:
    rng = np.random.default_rng(0)
    images, owners = zip(*(draw(rng) for _ in range(SCENES)), strict=True)
    return Scenes(torch.stack([model.transform.pixels(i) for i in images]), np.stack(owners))


@pytest.fixture(scope="module")
def learned(model, scenes) -> AmodalSam:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # layers this small only wait for each other on more
    model.tune("full")
    optimizer = torch.optim.AdamW(model.trainable().values(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=STEPS, pct_start=0.1)
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        rows = rng.choice(SCENES, 8, replace=False)
        points, masks, index = scenes.prompts(rows, 4, rng)
        logits, _ = model.decode(model.embed(scenes.images[rows]), points=points, index=index)
        loss = focal_dice(logits[:, 0], F.avg_pool2d(masks[:, None], 4)[:, 0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.set_num_threads(threads)
    return model.eval()


def answer(model: AmodalSam, images: torch.Tensor, points: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits, _ = model.decode(model.embed(images), points=points, index=index)
        return F.interpolate(logits, images.shape[-2:], mode="bilinear")[:, 0]


def test_a_model_from_scratch_overfits_32_scenes_from_one_point(learned, scenes):
    points, masks, index = scenes.prompts(np.arange(SCENES), 4, np.random.default_rng(7))
    score = true_iou(answer(learned, scenes.images, points, index), masks).mean()
    assert score > 0.8


def test_a_flat_frame_gives_the_same_masks_with_and_without_its_padding(learned, scenes):
    """Though trained on full frames alone: a place has the same code in every grid."""
    points, masks, index = scenes.prompts(np.arange(SCENES), 4, np.random.default_rng(9))
    above = points[:, 0, 1] < 60
    points, masks, index = points[above], masks[above][:, :64], index[above]
    flat = scenes.images[:, :, :64]
    cut = answer(learned, flat, points, index)
    padded = answer(learned, F.pad(flat, (0, 0, 0, HEIGHT - 64)), points, index)[:, :64]
    assert true_iou(cut, (padded > 0).float()).mean() > 0.8
    assert true_iou(cut, masks).mean() > 0.75
