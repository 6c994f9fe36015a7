"""The amodal SAM in a hurry against the plain one. Here without a GPU: all that is different but the graphs."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import samodal
from samodal.cli import main
from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.images import FrameTransform, resized
from samodal.masks import Mask
from samodal.parts import Prompt
from samodal.segmenters.ahead import EncodingAhead
from samodal.segmenters.sam import AmodalSam, AmodalSamConfig, SamSegmenter, load_segmenter
from samodal.segmenters.sam.compiled import CompiledSamSegmenter, edges_of, filled_up

CLIP = Path(samodal.__file__).parent / "clip"


@pytest.mark.parametrize(("before", "after"), [((108, 192), (58, 102)), ((37, 50), (74, 100)), ((60, 90), (30, 45))])
def test_frames_are_resized_as_pillow_does(before, after):
    frames = np.random.default_rng(0).integers(0, 256, (2, *before, 3), dtype=np.uint8)
    wanted = [np.array(Image.fromarray(f).resize(after[::-1], Image.Resampling.BILINEAR)) for f in frames]
    assert np.array_equal(resized(torch.from_numpy(frames), after).numpy(), np.stack(wanted))


@pytest.mark.parametrize("pad", ["full", "patch", "black"])
def test_frames_on_a_device_are_prepared_as_single_ones_are(pad):
    transform = FrameTransform((96, 160), 16, pad)
    frames = np.random.default_rng(0).integers(0, 256, (2, 108, 192, 3), dtype=np.uint8)
    wanted = torch.stack([transform.pixels(frame) for frame in frames])
    assert torch.equal(transform.pixels_of(torch.from_numpy(frames)), wanted)


@pytest.fixture(scope="module")
def drive() -> list[tuple[np.ndarray, list[Prompt]]]:
    """Frames of the embedded clips, each with a prompt for every visible instance."""
    seen, random = [], np.random.default_rng(0)
    for video in open_dataset(f"streetsim:{CLIP}"):
        for t in range(4, len(video), 8):
            masks = [Mask.of(i.visible) for i in video.frame_truth(t) if i.visible is not None]
            prompts = [Prompt(points=mask.pixels_at(random.integers(0, mask.area, 1))) for mask in masks]
            seen.append((video.frame(t).image, prompts))
    return seen


@pytest.fixture(scope="module")
def trained() -> AmodalSam:
    return AmodalSam.from_checkpoint("streetsim-small").eval()


def said(segmenter, drive) -> list[tuple[Mask, float]]:
    """The answer to every prompt."""
    answers = []
    for image, prompts in drive:
        decoded = segmenter.decode(segmenter.encode([image]), prompts, [0] * len(prompts))
        answers += zip(decoded.masks(), decoded.scores(), strict=True)
    return answers


def test_relative_positions_as_channels_change_nothing(trained):
    folded, pixels = copy.deepcopy(trained), torch.randn(1, 3, 160, 512, generator=torch.Generator().manual_seed(0))
    folded.vision_encoder.fold()
    with torch.inference_mode():
        torch.testing.assert_close(folded.embed(pixels), trained.embed(pixels), rtol=0, atol=2e-5)


def test_in_float32_a_mask_differs_at_most_where_its_logits_are_next_to_0(trained, drive):
    plain, fast = SamSegmenter(trained), fast_segmenter(trained, torch.float32)
    for image, prompts in drive:
        index = [0] * len(prompts)
        logits = plain.decode(plain.encode([image]), prompts, index).amodal.numpy()
        masks = fast.decode(fast.encode([image]), prompts, index).masks()
        for values, mask in zip(logits, masks, strict=True):
            different = (values > 0) != mask.decode()
            assert np.abs(values[different]).max(initial=0) < 1e-3


def test_in_float16_masks_are_all_but_the_same(trained, drive):
    pairs = list(zip(said(SamSegmenter(trained), drive), said(fast_segmenter(trained), drive), strict=True))
    assert np.mean([plain.iou(fast) >= 0.99 for (plain, _), (fast, _) in pairs if plain.area]) >= 0.99
    assert max(abs(plain - fast) for (_, plain), (_, fast) in pairs) < 0.01


def test_frames_encoded_ahead_give_what_single_ones_give(trained, drive):
    alone, ahead = (fast_segmenter(trained, torch.float32) for _ in range(2))
    assert isinstance(ahead, EncodingAhead)
    ahead.batch = 3
    for start in range(0, len(drive), 3):
        ahead.encode_ahead([image for image, _ in drive[start : start + 3]])
    assert said(ahead, drive) == [(mask, pytest.approx(score, abs=1e-5)) for mask, score in said(alone, drive)]


def test_frames_that_are_asked_about_together_give_what_single_ones_give(trained, drive):
    segmenter, (images, prompts) = fast_segmenter(trained, torch.float32), zip(*drive[:3], strict=True)
    segmenter.batch = 4
    segmenter.encode_ahead(images)
    features = segmenter.encode(images)
    assert len(features.main) == 4 and segmenter._ahead == {}  # taken from there, with what filled up
    index = [n for n, own in enumerate(prompts) for _ in own]
    decoded = segmenter.decode(features, sum(prompts, []), index)
    alone = said(fast_segmenter(trained, torch.float32), drive[:3])
    assert list(zip(decoded.masks(), decoded.scores(), strict=True)) == [
        (mask, pytest.approx(score, abs=1e-5)) for mask, score in alone
    ]


def test_a_network_that_needs_larger_numbers_than_float16_has_is_refused(drive):
    model = AmodalSam.initialise(AmodalSamConfig.named("tiny"), 0)
    torch.nn.init.constant_(model.vision_encoder.neck.layer_norm2.weight, 1e6)
    segmenter, (image, prompts) = fast_segmenter(model), drive[0]
    with pytest.raises(InputError, match="beyond torch.float16; use --backend torch"):
        segmenter.decode(segmenter.encode([image]), prompts, [0] * len(prompts))


def test_frames_that_nobody_asks_for_are_let_go():
    segmenter = fast_segmenter(AmodalSam.initialise(AmodalSamConfig.named("tiny"), 0))
    segmenter.batch = 1
    for _ in range(70):
        segmenter.encode_ahead([np.zeros((32, 48, 3), np.uint8)])
    assert len(segmenter._ahead) == 64


def test_prompts_are_filled_up_with_the_last_one():
    assert filled_up([4]) == [4, 4]
    assert filled_up([1, 2, 3]) == [1, 2, 3, 3]
    assert len(filled_up(list(range(17)))) == 24


def test_edges_are_told_mask_by_mask():
    changes = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.bool)
    assert [edges.tolist() for edges in edges_of(changes)] == [[1, 3], [], [0, 1]]


def test_prompts_of_several_frames_and_kinds_are_answered_in_their_order(trained, drive):
    (one, prompts), (two, others) = drive[:2]
    box = Prompt(points=others[0].points, box=np.array([10, 10, 60, 50], np.float32))
    plain, fast = SamSegmenter(trained), fast_segmenter(trained, torch.float32)
    asked, index = [others[0], prompts[0], box, prompts[1]], [1, 0, 1, 0]
    wanted, found = (s.decode(s.encode([one, two]), asked, index) for s in (plain, fast))
    assert found.masks() == wanted.masks()
    assert found.scores() == pytest.approx(wanted.scores(), abs=1e-5)


def test_the_backend_is_refused_without_a_gpu():
    with pytest.raises(InputError, match="--backend compiled needs an NVIDIA GPU, and the device is cpu"):
        load_segmenter(weights="streetsim-small", device="cpu", backend="compiled")


def fast_segmenter(model: AmodalSam, precision: torch.dtype = torch.float16) -> CompiledSamSegmenter:
    return CompiledSamSegmenter(copy.deepcopy(model), "cpu", precision=precision, compiled=False)


def test_warming_up_says_what_is_done():
    steps = list(fast_segmenter(AmodalSam.initialise(AmodalSamConfig.named("tiny"), 0)).warm((32, 48), 2))
    assert steps == ["encoder, frame by frame", "encoder, 4 frames at once", "decoder", "decoder, 4 frames at once"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--height", "8"], "height and width must be 16 or more"),
        (["--device", "cpu"], "--backend compiled needs an NVIDIA GPU, and the device is cpu"),
    ],
)
def test_warming_up_refuses_what_it_cannot_do(given, message, capsys):
    assert main(["warmup", *given]) == 2
    assert message in capsys.readouterr().err


def test_a_segmenter_that_compiles_nothing_is_named(monkeypatch, capsys):
    monkeypatch.setattr("samodal.build.segmenter_of", lambda *_: object())
    assert main(["warmup", "--segmenter", "completion"]) == 2
    assert "the segmenter completion has nothing to compile" in capsys.readouterr().err
