"""Amodal masks learned from visible ones: what is pasted, what is known of it, and that amodal truth is never read."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from samodal.cli.app import parse
from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.images import FrameTransform
from samodal.training.sam.batch import Batch, draw_batch
from samodal.training.sam.cache import Cache, build, open_cache, pack, unpack
from samodal.training.sam.objective import Objective
from samodal.training.sam.paste import Paster, PasteSettings, pasted
from samodal.training.sam.sam import check_settings, train
from samodal.training.sam.settings import TrainSettings
from toy_data import write_toy

TRANSFORM = FrameTransform((64, 112), 16, "patch")
SHAPE = (64, 112)
ALWAYS = PasteSettings(clean=0.0, most=1, side=(1.0, 1.0), across=0.0, below=(0.0, 0.0), least=50)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    write_toy(root / "train", sequences=2, frames=4, seed=0)
    write_toy(root / "val", sequences=1, frames=3, seed=1)
    return root


def quiet(_: str) -> None:
    pass


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def cache_of(frames: list[np.ndarray], masks: list[tuple[int, np.ndarray]]) -> Cache:
    """A cache of (64, 112, 3) pictures and (frame, visible mask) whose amodal masks are poison: everything."""
    count = len(frames)
    sizes = torch.tensor([SHAPE] * count, dtype=torch.int32)
    return Cache(
        frames=torch.from_numpy(np.stack(frames).transpose(0, 3, 1, 2).copy()),
        visible=torch.from_numpy(np.stack([pack(m) for _, m in masks])),
        amodal=torch.full((len(masks), SHAPE[0], SHAPE[1] // 8), 255, dtype=torch.uint8),
        frame=torch.tensor([f for f, _ in masks]),
        occlusion=torch.zeros(len(masks)),
        centre=torch.zeros(len(masks), 2),
        frame_size=sizes,
        content=sizes,
        input_size=sizes,
        counts={"frames": count, "instances": len(masks), "hidden": 0, "too_small": 0},
    )


def two_frames() -> Cache:
    """Frame 0: a small grey box. Frame 1: a red box of 10 x 20, the only thing large enough to be cut out."""
    grey, red = np.full((*SHAPE, 3), 100, np.uint8), np.full((*SHAPE, 3), 30, np.uint8)
    mask = box(20, 10, 30, 30)
    red[mask] = (250, 0, 0)
    return cache_of([grey, red], [(0, box(61, 20, 68, 27)), (1, mask)])


def paste(cache: Cache, frame: int, settings: PasteSettings, seed: int = 0):
    rows = torch.nonzero(cache.frame == frame)[:, 0]
    shown = torch.ones(1, 1, *SHAPE, dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    return Paster(cache, settings)(torch.tensor([frame]), unpack(cache.visible[rows])[None], shown, generator)


def test_what_is_pasted_covers_the_pixels_and_the_visible_mask_and_the_target_is_what_was_visible_before():
    cache = two_frames()
    made = paste(cache, 0, ALWAYS)
    red = (made.pixels[0, 0] > 200) & (made.pixels[0, 2] < 60)
    whole = unpack(cache.visible[0])
    assert torch.equal(made.amodal[0, 0], whole)
    assert torch.equal(made.visible[0, 0], whole & ~made.visible[0, 1])
    assert 0 < made.visible[0, 0].sum() < whole.sum()
    # The same number of pixels as what it stands on, its foot at the same height, its middle at the same column.
    assert int(made.visible[0, 1].sum()) == pytest.approx(49, abs=6)
    rows, columns = torch.nonzero(made.visible[0, 1], as_tuple=True)
    assert rows.max() == 26 and float(columns.float().mean()) == pytest.approx(64, abs=0.6)
    assert (red & ~made.visible[0, 1]).sum() == 0 and (red & made.visible[0, 1]).sum() > 20
    assert (made.pixels[0, :, ~red & ~made.visible[0, 1]] - 100).abs().min() == 0


def test_a_clean_frame_stays_as_it_is():
    cache = two_frames()
    made = paste(cache, 0, PasteSettings(clean=1.0, least=50))
    assert torch.equal(made.pixels[0], cache.frames[0].float())
    assert torch.equal(made.visible[0, 0], unpack(cache.visible[0]))
    assert not made.visible[0, 1].any() and not made.amodal[0, 1].any()


def test_about_the_stated_share_of_frames_is_clean():
    cache, clean = two_frames(), PasteSettings(clean=0.25, least=50)
    untouched = [not paste(cache, 0, clean, seed).visible[0, 1].any() for seed in range(200)]
    assert 0.15 < np.mean(untouched) < 0.4  # some land outside the frame or are too small


def test_pixels_of_other_instances_are_unknown_but_not_those_of_what_was_pasted():
    front, behind = box(40, 20, 60, 40), box(60, 20, 70, 40)
    cache = cache_of([np.full((*SHAPE, 3), 90, np.uint8)], [(0, front), (0, behind)])
    made = paste(cache, 0, ALWAYS)
    assert np.array_equal(made.unknown[0, 0].numpy(), behind)
    assert np.array_equal(made.unknown[0, 1].numpy(), front)
    assert not made.unknown[0, 2].any()


def test_nothing_is_pasted_outside_the_content():
    cache = two_frames()
    shown = torch.zeros(1, 1, *SHAPE, dtype=torch.bool)
    rows = unpack(cache.visible[:1])[None]
    made = Paster(cache, ALWAYS)(torch.tensor([0]), rows, shown, torch.Generator().manual_seed(0))
    assert torch.equal(made.pixels[0], cache.frames[0].float())
    assert torch.equal(made.visible[0, 0], rows[0, 0])


def test_data_without_anything_to_cut_out_is_refused():
    with pytest.raises(InputError, match="no instance has 5000 visible pixels"):
        Paster(two_frames(), PasteSettings(least=5000))


@pytest.mark.parametrize("moved", [False, True])
def test_a_batch_has_the_covered_masks_and_never_the_amodal_ones_of_the_cache(moved):
    from samodal.training.augment import AugmentSettings

    cache = two_frames()
    batch = draw_batch(
        cache, torch.tensor([0]), torch.tensor([[0]]), TRANSFORM, torch.Generator().manual_seed(0),
        augment=AugmentSettings() if moved else None, out=SHAPE, cut=False, min_visible=1, paste=Paster(cache, ALWAYS),
    )  # fmt: skip
    assert batch.visible.shape == batch.amodal.shape == batch.unknown.shape == (2, *SHAPE)
    assert batch.index.tolist() == [0, 0]
    assert not (batch.visible & ~batch.amodal).any()
    assert batch.amodal[0].sum() < 200  # the poisoned one is the whole picture
    if not moved:
        assert torch.equal(batch.amodal[0], unpack(cache.visible[0]))


@pytest.mark.parametrize("loss", ["focal_dice", "released"])
def test_no_part_of_the_loss_counts_unknown_pixels(loss):
    target = torch.zeros(1, *SHAPE, dtype=torch.bool)
    target[0, 16:32, 16:48] = True
    unknown = torch.zeros_like(target)
    unknown[0, 16:32, 48:80] = True
    batch = Batch(torch.zeros(1, 3, *SHAPE), target, target, torch.zeros(1, dtype=torch.int64), unknown=unknown)
    judge = Objective(loss, 1.0 if loss == "focal_dice" else 0.0, "input")

    def judged(into_unknown: float) -> dict:
        logits = torch.full((1, 1, 16, 28), -6.0)
        logits[..., 4:8, 4:12] = 6.0
        logits[..., 5:7, 13:19] = into_unknown  # enlarging smears it no farther than what is unknown
        return judge(logits, torch.full((1, 1), 0.7), target, batch, TRANSFORM)

    apart, over = judged(-6.0), judged(6.0)
    assert float(apart["loss"]) == pytest.approx(float(over["loss"]), rel=1e-5)
    assert float(apart["iou"]) == pytest.approx(float(over["iou"]), rel=1e-5)
    batch.unknown = None
    assert float(judged(6.0)["loss"]) > 1.2 * float(judged(-6.0)["loss"])


def poison(root, to) -> str:
    """A copy of the toy data whose amodal and occlusion masks are gone."""
    shutil.copytree(root, to)
    for path in to.rglob("*_aminseg.json"):
        content = json.loads(path.read_text())
        for entry in content.values():
            entry.pop("bbox", None)
            if entry["occluded"]:
                entry["amodal_mask"] = entry["occlusion_mask"] = {"size": [1, 1], "counts": "broken"}
        path.write_text(json.dumps(content))
    return f"streetsim:{to}"


def test_the_cache_of_data_whose_amodal_masks_are_broken_is_that_of_the_whole_data_without_them(root, tmp_path):
    broken = poison(root / "train", tmp_path / "train")
    with pytest.raises(InputError):
        build(broken, TRANSFORM, min_visible=4, workers=1, report=quiet)
    held = build(broken, TRANSFORM, min_visible=4, amodal=False, workers=1, report=quiet)
    whole = build(f"streetsim:{root}/train", TRANSFORM, min_visible=4, workers=1, report=quiet)
    assert torch.equal(held.visible, whole.visible) and torch.equal(held.frames, whole.frames)
    assert torch.equal(held.amodal, held.visible) and not held.occlusion.any()
    assert whole.occlusion.any()


def test_a_file_prepared_with_amodal_masks_is_not_taken_for_one_without(root, tmp_path):
    data, path = f"streetsim:{root}/train", tmp_path / "cache.pt"
    open_cache(data, TRANSFORM, path=path, min_visible=4, workers=1, report=quiet)
    with pytest.raises(InputError, match="amodal"):
        open_cache(data, TRANSFORM, path=path, min_visible=4, amodal=False, workers=1, report=quiet)


def test_training_and_choosing_run_on_data_whose_amodal_masks_are_broken(root, tmp_path):
    data, val = (poison(root / part, tmp_path / part) for part in ("train", "val"))
    settings = TrainSettings(
        data=data, val=val, out=str(tmp_path / "out"), name="pasted", size="tiny", adapters="fresh", stage="amodal",
        tune="full", prompts="amodal", multimask=0.0, paste_occluders=True, frames=2, instances=3, steps=3, warmup=1,
        precision="float32", device="cpu", workers=1, log_every=1, min_visible=4, validations=1,
    )  # fmt: skip
    outcome = train(settings)
    assert outcome.checkpoint.exists() and outcome.steps == 3
    assert outcome.metrics["val"]["hidden_miou"] is not None


def test_it_is_a_switch_of_the_amodal_stage():
    assert parse(TrainSettings, ["--paste-occluders", "--stage", "amodal"], "samodal train").paste_occluders
    assert parse(TrainSettings, ["--paste_occluders"], "samodal train").paste_occluders
    assert not parse(TrainSettings, ["--no-paste-occluders"], "samodal train").paste_occluders
    with pytest.raises(InputError, match="stage: amodal"):
        check_settings(TrainSettings(data="streetsim:x", steps=1, paste_occluders=True))


def test_validation_data_are_pasted_once_and_alike():
    cache = two_frames()
    again = [pasted(cache, min_visible=1, seed=3) for _ in range(2)]
    assert torch.equal(again[0].frames, again[1].frames) and torch.equal(again[0].visible, again[1].visible)
    seen, whole = unpack(again[0].visible), unpack(again[0].amodal)
    assert not (seen & ~whole).any()
    share = 1 - seen.flatten(1).sum(1) / whole.flatten(1).sum(1)
    assert again[0].occlusion.tolist() == pytest.approx(share.tolist(), abs=1e-6)
    for mask, (x, y) in zip(seen, again[0].centre.long().tolist(), strict=True):
        assert mask[y, x]


def coco(tmp_path, **of_second) -> str:
    image = np.zeros((40, 60, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    square = [[10, 10, 30, 10, 30, 30, 10, 30]]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": square},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 60, 0, 60, 40, 0, 40]], **of_second},
    ]
    images = [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "car"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return f"coco:{tmp_path}/a.json,{tmp_path}"


def test_data_of_your_own_with_visible_masks_alone_are_read_and_amodal_ones_beside_them_are_not(tmp_path):
    data = coco(tmp_path, visible=[[40, 0, 60, 0, 60, 40, 40, 40]])
    first, second = open_dataset(data).video("a").frame_visible(0)
    assert first.visible.area == first.amodal.area == 400
    assert second.visible.area == second.amodal.area == 800


def test_what_is_visible_by_amodal_masks_alone_is_refused(tmp_path):
    with pytest.raises(InputError, match="annotation 2: what is visible of it follows from amodal masks"):
        open_dataset(coco(tmp_path, occluders=[1])).video("a").frame_visible(0)
