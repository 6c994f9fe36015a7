from pathlib import Path

import numpy as np
import pytest
import torch

from samodal.training.losses import focal_dice, iou_loss, released_loss, true_iou

GOLDEN = Path(__file__).parent / "golden" / "samodal_loss_expected.npz"


def test_the_released_loss_and_its_gradient_are_those_of_the_released_code():
    golden = np.load(GOLDEN)
    logits = torch.from_numpy(golden["logits"]).requires_grad_()
    loss = released_loss(logits, torch.from_numpy(golden["targets"]))
    loss.backward()
    assert loss.item() == pytest.approx(float(golden["loss"]), abs=1e-5)
    np.testing.assert_allclose(logits.grad.numpy(), golden["gradient"], rtol=1e-5, atol=1e-8)


def test_focal_and_dice_are_those_of_transformers():
    from transformers.loss.loss_for_object_detection import dice_loss, sigmoid_focal_loss

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 7, generator=generator)
    targets = (torch.rand(3, 5, 7, generator=generator) > 0.6).float()
    flat = logits.flatten(1), targets.flatten(1)
    assert focal_dice(logits, targets, dice_weight=0).mean() == pytest.approx(
        20 * sigmoid_focal_loss(*flat, 3).item(), abs=1e-5
    )
    assert focal_dice(logits, targets, focal_weight=0).mean() == pytest.approx(dice_loss(*flat, 3).item(), abs=1e-6)


def test_the_loss_of_an_instance_does_not_depend_on_the_others():
    logits, targets = torch.linspace(-2, 2, 24).reshape(2, 3, 4), torch.zeros(2, 3, 4)
    targets[1] = 1
    alone = [focal_dice(logits[n : n + 1], targets[n : n + 1]).item() for n in (0, 1)]
    assert focal_dice(logits, targets).tolist() == pytest.approx(alone)


def test_a_right_mask_costs_less_than_a_wrong_one_whatever_its_size():
    targets = torch.zeros(2, 8, 8)
    targets[0, 2, 3] = 1
    targets[1, 1:7, 1:7] = 1
    right, wrong = (20 * targets - 10), (10 - 20 * targets)
    assert (focal_dice(right, targets) < 0.01).all()
    assert (focal_dice(wrong, targets) > 1).all()


def test_the_true_iou_counts_pixels_and_is_one_where_both_are_empty():
    logits = torch.tensor([[[1.0, 1.0, -1.0]], [[-1.0, -1.0, -1.0]]])
    targets = torch.tensor([[[0.0, 1.0, 1.0]], [[0.0, 0.0, 0.0]]])
    assert true_iou(logits, targets).tolist() == pytest.approx([1 / 3, 1])


def test_the_iou_loss_trains_the_score_and_not_the_mask():
    logits = torch.tensor([[[3.0, -3.0]]], requires_grad=True)
    score = torch.tensor([0.25], requires_grad=True)
    loss = iou_loss(score, logits, torch.tensor([[[1.0, 0.0]]]))
    loss.backward()
    assert loss.item() == pytest.approx(0.75**2)
    assert score.grad.item() == pytest.approx(-1.5)
    assert logits.grad is None
