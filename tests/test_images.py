import numpy as np
import pytest
import torch

from samodal.images import FrameTransform

RELEASED = FrameTransform()
OURS = FrameTransform((288, 512), pad="patch")
PADDED = FrameTransform((288, 512), pad="full")


@pytest.mark.parametrize(
    ("transform", "frame", "resized", "padded"),
    [
        (RELEASED, (1080, 1920), (576, 1024), (1024, 1024)),
        (RELEASED, (375, 1242), (309, 1024), (1024, 1024)),
        (RELEASED, (1920, 1080), (1024, 576), (1024, 1024)),
        (OURS, (540, 960), (288, 512), (288, 512)),
        (OURS, (375, 1242), (155, 512), (160, 512)),
        (PADDED, (375, 1242), (155, 512), (288, 512)),
        (OURS, (720, 720), (288, 288), (288, 288)),
    ],
)
def test_a_frame_keeps_its_shape_inside_the_input(transform, frame, resized, padded):
    assert transform.resized(frame) == resized
    assert transform.input_size(frame) == padded
    assert transform.pixels(np.zeros((*frame, 3), np.uint8)).shape == (3, *padded)


def test_padding_comes_after_the_normalisation():
    pixels = PADDED.pixels(np.zeros((375, 1242, 3), np.uint8))
    assert (pixels[:, 155:] == 0).all()
    assert pixels[0, 0, 0] == pytest.approx(-123.675 / 58.395)


def test_a_frame_of_the_inputs_own_size_is_not_resampled():
    frame = np.random.default_rng(0).integers(0, 256, (288, 512, 3), dtype=np.uint8)
    wanted = OURS.normalise(torch.from_numpy(frame).permute(2, 0, 1))
    assert torch.equal(OURS.pixels(frame), wanted)


def test_a_whole_batch_normalises_as_its_frames_do():
    frames = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    assert torch.equal(OURS.normalise(frames)[1], OURS.normalise(frames[1].float()))


def test_points_and_boxes_scale_by_the_ratio_of_each_axis():
    xy = OURS.points(np.array([[0, 0], [1242, 375], [621, 100]]), (375, 1242))
    assert xy.dtype == np.float32
    np.testing.assert_allclose(xy, [[0, 0], [512, 155], [256, 100 * 155 / 375]], rtol=1e-6)
    np.testing.assert_allclose(OURS.boxes(np.array([0, 0, 1242, 375]), (375, 1242)), [0, 0, 512, 155])


@pytest.mark.parametrize("transform", [RELEASED, OURS, PADDED])
@pytest.mark.parametrize("frame", [(540, 960), (375, 1242), (270, 200)])
def test_a_mask_survives_the_way_to_a_prompt_and_back(transform, frame):
    mask = np.zeros(frame, bool)
    mask[frame[0] // 3 :, frame[1] // 4 : frame[1] // 2] = True
    prompt = transform.masks_to_prompt(mask)
    assert prompt.shape == (1, *(side // 4 for side in transform.input_size(frame)))
    back = transform.to_frame(prompt, frame)[0].numpy() > 0
    assert (back & mask).sum() / (back | mask).sum() > 0.97


def test_mask_prompts_of_a_stack_are_those_of_its_masks():
    masks = np.zeros((2, 3, 60, 100), bool)
    masks[1, 2, 10:30, 20:50] = True
    prompts = OURS.masks_to_prompt(masks)
    assert prompts.shape == (2, 3, 1, 72, 120)
    assert torch.equal(prompts[1, 2], OURS.masks_to_prompt(masks[1, 2]))
    assert prompts.min() == -8
    assert prompts.max() == 8
