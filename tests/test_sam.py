import numpy as np
import pytest
import torch

from samodal.parts import Prompt
from samodal.segmenters.sam import AmodalSam, AmodalSamConfig, SamSegmenter
from samodal.segmenters.sam import segmenter as sam_segmenter
from samodal.segmenters.sam.adapter import Adapter, high_pass

TINY = AmodalSamConfig.named("tiny")


@pytest.fixture(scope="module")
def model() -> AmodalSam:
    return AmodalSam.initialise(TINY, seed=0).eval()


@pytest.fixture(scope="module")
def embedding(model) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode():
        return model.embed(torch.randn(2, 3, *TINY.size, generator=generator))


def released_high_pass(image: torch.Tensor, rate: float) -> torch.Tensor:
    """What SAM-Adapter does, with a Fourier transform."""
    height, width = image.shape[-2:]
    half = [int(side * rate**0.5 / 2) for side in (height, width)]
    keep = torch.ones(height, width)
    rows, columns = (slice(side // 2 - h, side // 2 + h) for side, h in zip((height, width), half, strict=True))
    keep[rows, columns] = 0
    spectrum = torch.fft.fftshift(torch.fft.fft2(image, norm="forward"), dim=(-2, -1)) * keep
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1)), norm="forward").real.abs()


@pytest.mark.parametrize("size", [(16, 16), (32, 48), (15, 22), (1024, 1024)])
@pytest.mark.parametrize("rate", [0.25, 0.1])
def test_the_high_pass_equals_the_fourier_transform(size, rate):
    image = torch.randn(1, 3 if size[0] < 1024 else 1, *size, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(high_pass(image, rate), released_high_pass(image, rate), rtol=0, atol=2e-5)


def test_the_high_pass_of_a_flat_image_is_nothing():
    assert high_pass(torch.full((1, 1, 32, 32), 3.0), 0.25).max() < 1e-5


def test_released_adapters_mix_places_and_ours_do_not():
    patches = torch.randn(1, 2, 3, 8, generator=torch.Generator().manual_seed(0))
    moved = patches.clone()
    moved[0, 1, 2] += 1
    changed = {}
    for order in ("patches", "released"):
        adapter = Adapter(hidden=8, layers=1, patch=4, reduction=2, rate=0.25, order=order)
        image = torch.zeros(1, 3, 8, 12)
        difference = (adapter.features(image, moved) - adapter.features(image, patches)).abs().sum(-1) > 1e-6
        changed[order] = difference[0].nonzero().tolist()
    assert changed["patches"] == [[1, 2]]
    assert len(changed["released"]) > 1


def test_equal_seeds_give_equal_models_whatever_else_is_random():
    torch.manual_seed(5)
    one = AmodalSam.initialise(TINY, seed=3).state_dict()
    before = torch.random.get_rng_state()
    other = AmodalSam.initialise(TINY, seed=3).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(before, torch.random.get_rng_state())
    third = AmodalSam.initialise(TINY, seed=4).state_dict()
    assert not torch.equal(one["vision_encoder.pos_embed"], third["vision_encoder.pos_embed"])


def test_a_new_model_starts_where_it_can_learn():
    model = AmodalSam.initialise(AmodalSamConfig.named("small"), seed=0)
    assert model.prompt_encoder.shared_embedding.positional_embedding.std().item() == pytest.approx(1, abs=0.15)
    assert model.vision_encoder.pos_embed.std().item() == pytest.approx(0.02, rel=0.1)
    assert model.vision_encoder.adapter.shared_mlp.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert model.vision_encoder.adapter.shared_mlp.bias.abs().max() == 0
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(4.8e6, rel=0.02)


def test_five_prompts_together_equal_five_calls(model, embedding):
    points = torch.rand(5, 2, 2, generator=torch.Generator().manual_seed(2)) * 100
    labels = torch.tensor([[1, 0], [1, 1], [0, 1], [1, -1], [1, 1]])
    index = torch.tensor([0, 1, 1, 0, 1])
    with torch.inference_mode():
        logits, iou = model.decode(embedding, points=points, labels=labels, index=index)
        for i in range(5):
            alone = model.decode(embedding[index[i]][None], points=points[i : i + 1], labels=labels[i : i + 1])
            torch.testing.assert_close(logits[i : i + 1], alone[0], rtol=0, atol=1e-5)
            torch.testing.assert_close(iou[i : i + 1], alone[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("kinds", ["p", "b", "m", "pb", "pm", "bm", "pbm"])
def test_any_kinds_of_prompt_go_together(model, embedding, kinds, multimask):
    given = {
        "p": {"points": torch.tensor([[[20.0, 30.0]]] * 3)},
        "b": {"boxes": torch.tensor([[5.0, 5.0, 60.0, 50.0]] * 3)},
        "m": {"masks": torch.zeros(3, 1, 32, 56)},
    }
    prompt = {name: value for kind in kinds for name, value in given[kind].items()}
    with torch.inference_mode():
        logits, iou = model.decode(embedding[:1], **prompt, multimask=multimask)
    assert logits.shape == (3, 3 if multimask else 1, 32, 56)
    assert iou.shape == logits.shape[:2]
    assert torch.isfinite(logits).all()


def test_every_kind_of_prompt_changes_the_mask(model, embedding):
    point = {"points": torch.tensor([[[20.0, 30.0]]])}
    variants = [
        point,
        point | {"labels": torch.tensor([[0]])},
        {"points": torch.tensor([[[90.0, 30.0]]])},
        point | {"boxes": torch.tensor([[5.0, 5.0, 60.0, 50.0]])},
        point | {"masks": torch.full((1, 1, 32, 56), 8.0)},
    ]
    with torch.inference_mode():
        masks = [model.decode(embedding[:1], **v)[0] for v in variants]
    for i, one in enumerate(masks):
        assert all((one - other).abs().max() > 1e-4 for other in masks[:i])


def test_prompts_that_say_nothing_or_belong_to_no_image_are_refused(model, embedding):
    with pytest.raises(ValueError, match="points, a box or a mask"):
        model.decode(embedding)
    with pytest.raises(ValueError, match="index"):
        model.decode(embedding, boxes=torch.zeros(3, 4))


def test_a_smaller_grid_sees_the_same_places_and_distances():
    """Without attention beyond windows that both grids fill, the embedding of the cut image is the cut embedding."""
    config = TINY.replace(global_layers=(), adapters=False, window=4)
    model = AmodalSam.initialise(config, seed=0).eval()
    image = torch.randn(1, 3, 128, 192, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole, cut = model.embed(image), model.embed(image[:, :, :64])
        positions = model.prompt_encoder.positions((8, 12))[:, :, :4]
        assert torch.equal(positions, model.prompt_encoder.positions((4, 12)))
    # The neck's 3x3 convolution looks one patch further.
    torch.testing.assert_close(whole[:, :, :3], cut[:, :, :3], rtol=0, atol=1e-5)


def test_the_table_of_distances_is_cut_in_its_middle(model):
    attention = model.vision_encoder.layers[1].attn
    table = torch.arange(15.0)[:, None]  # distances -7 … 7 of a grid of 8
    found = attention.get_rel_pos(3, 3, table)[..., 0] - 7
    assert found.tolist() == [[0, -1, -2], [1, 0, -1], [2, 1, 0]]


@pytest.mark.parametrize("size", [(130, 224), (144, 224), (64, 240)])
def test_an_input_that_does_not_fit_is_refused(model, size):
    with pytest.raises(ValueError, match=str(size[0])):
        model.embed(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ("mode", "parts"),
    [
        ("adapters", ("vision_encoder.adapter.", "mask_decoder.")),
        ("decoder", ("mask_decoder.",)),
        ("full", ("vision_encoder.", "prompt_encoder.", "mask_decoder.")),
        ("visible", ("vision_encoder.", "prompt_encoder.", "mask_decoder.")),
    ],
)
def test_what_is_trained_gets_a_gradient_and_nothing_else_does(mode, parts):
    model = AmodalSam.initialise(TINY, seed=0)
    model.tune(mode)
    embedding = model.embed(torch.randn(1, 3, 64, 96))
    prompt = {"points": torch.tensor([[[20.0, 30.0], [40.0, 9.0]]]), "labels": torch.tensor([[1, 0]])}
    boxes, masks = torch.tensor([[5.0, 5.0, 60.0, 50.0]]), torch.randn(1, 1, 16, 24)
    for extra in ({}, {"boxes": boxes, "masks": masks}):
        for multimask in (False, True):
            logits, iou = model.decode(embedding, **prompt, **extra, multimask=multimask)
            (logits.square().sum() + iou.square().sum()).backward(retain_graph=True)
    trained = model.trainable()
    expected = {
        name for name, _ in model.named_parameters() if name.startswith(parts) and "positional_embedding" not in name
    }
    assert set(trained) == expected
    silent = [
        name for name, p in model.named_parameters() if (p.grad is not None and p.grad.any()) != (name in trained)
    ]
    # A bias of the keys shifts all scores of a query alike, which softmax does not see.
    assert [name for name in silent if not name.endswith("k_proj.bias")] == []


def test_adapters_can_be_added_to_a_plain_model():
    model = AmodalSam.initialise(TINY.replace(adapters=False), seed=0)
    with pytest.raises(ValueError, match="add_adapters"):
        model.tune("adapters")
    image = torch.randn(1, 3, 64, 96)
    plain = model.embed(image)
    model.add_adapters(seed=1)
    model.tune("adapters")
    assert any(name.startswith("vision_encoder.adapter.") for name in model.trainable())
    assert not torch.equal(plain, model.embed(image))
    with pytest.raises(ValueError, match="already"):
        model.add_adapters(seed=1)


def test_an_unknown_mode_is_refused(model):
    with pytest.raises(ValueError, match="everything"):
        model.tune("everything")


def test_low_rank_updates_start_as_nothing_and_are_trained_with_the_decoder():
    pytest.importorskip("peft")
    model = AmodalSam.initialise(TINY, seed=0)
    image = torch.randn(1, 3, 64, 96)
    before = model.embed(image)
    model.tune("lora")
    torch.testing.assert_close(model.embed(image), before)
    names = set(model.trainable())
    assert any("lora_A" in name for name in names)
    assert all("lora_" in name or name.startswith("mask_decoder.") for name in names)


def test_the_places_of_prompts_stay_exact_under_autocast(model, embedding):
    points = torch.tensor([[[201.0, 77.0]]])
    exact = model.prompt_encoder.shared_embedding(points)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.prompt_encoder.shared_embedding(points), exact)
        logits, _ = model.decode(embedding[:1], points=points)
    assert torch.isfinite(logits.float()).all()


@pytest.fixture(scope="module")
def segmenter(model) -> SamSegmenter:
    return SamSegmenter(model, chunk=2)


def a_frame(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_prompts_of_mixed_shapes_keep_their_order_and_equal_single_calls(segmenter):
    frames = [a_frame((90, 200), 0), a_frame((90, 200), 1)]
    mask = np.zeros((90, 200), bool)
    mask[20:60, 30:90] = True
    prompts = [
        Prompt(points=[[10, 20]]),
        Prompt(points=[[10, 20], [30, 40]], labels=[1, 0]),
        Prompt(box=np.array([5, 6, 70, 80], np.float32)),
        Prompt(points=[[50, 60]], mask=mask),
        Prompt(points=[[50, 60]]),
        Prompt(points=[[150, 60]]),
    ]
    index = [0, 1, 1, 0, 1, 0]
    features = segmenter.encode(frames)
    together = segmenter.decode(features, prompts, index)
    assert together.amodal.shape == (6, 90, 200)
    assert together.iou.shape == (6,)
    for i, prompt in enumerate(prompts):
        alone = segmenter.decode(segmenter.encode([frames[index[i]]]), [prompt], [0])
        torch.testing.assert_close(together.amodal[i], alone.amodal[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(together.iou[i], alone.iou[0], rtol=0, atol=1e-5)


def test_two_runs_give_equal_bytes(segmenter):
    frame, prompts = a_frame((90, 200)), [Prompt(points=[[10 * i, 20]]) for i in range(5)]
    one, other = (segmenter.decode(segmenter.encode([frame]), prompts, [0] * 5) for _ in range(2))
    assert torch.equal(one.amodal, other.amodal)
    assert torch.equal(one.iou, other.iou)


@pytest.mark.parametrize("held", [1, 2, 3, 6])
def test_masks_and_scores_are_the_same_where_the_logits_of_all_prompts_do_not_fit(segmenter, monkeypatch, held):
    frame, mask = a_frame((90, 200)), np.zeros((90, 200), bool)
    mask[20:60, 30:90] = True
    prompts = [Prompt(points=[[30 * i, 20]], mask=mask if i % 2 else None) for i in range(7)]
    whole = segmenter.decode(segmenter.encode([frame]), prompts, [0] * 7)
    monkeypatch.setattr(sam_segmenter, "BUDGET", held * 90 * 200 * 4)
    parts = segmenter.decode(segmenter.encode([frame]), prompts, [0] * 7)
    assert torch.is_tensor(whole.amodal) and not torch.is_tensor(parts.amodal)
    assert 0 < whole.masks()[0].area < 90 * 200
    assert parts.masks() == whole.masks() and torch.equal(parts.iou, whole.iou)


def test_no_prompts_give_no_masks(segmenter):
    decoded = segmenter.decode(segmenter.encode([a_frame((90, 200))]), [], [])
    assert decoded.amodal.shape == (0, 90, 200)
    assert decoded.iou.shape == (0,)


def test_frames_of_the_models_shape_and_flatter_ones_both_run():
    model = AmodalSam.initialise(AmodalSamConfig.named("small"), seed=0)
    segmenter = SamSegmenter(model)
    for size, grid in (((540, 960), (18, 32)), ((375, 1242), (10, 32))):
        features = segmenter.encode([a_frame(size)])
        assert features.main.shape == (1, 128, *grid)
        assert segmenter.decode(features, [Prompt(points=[[200, 100]])], [0]).amodal.shape == (1, *size)
