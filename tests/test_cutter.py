"""The cutter: crops of boxes, and visible masks that share no pixel."""

import numpy as np
import pytest
import torch

from samodal.frontends.cutter import Box, Cutter, CutterConfig, load, masks, save, visible_masks
from samodal.frontends.cutter.detections import detections
from samodal.frontends.cutter.masks import told
from samodal.masks import Mask
from samodal.segmenters.completion.layers import Crop, filters, shares

SMALL = CutterConfig(size=32, width=8)


def network():
    return Cutter.initialise(SMALL, 0).eval()


def test_a_box_fills_the_pixels_that_it_covers():
    boxes = np.array([(2, 1, 5, 3), (-3, -3, 20, 20), (9, 9, 12, 12), (5, 3, 2, 1)])
    rows, columns = shares(Crop(0, 0, 8), 4, boxes)  # pixels of 2 x 2
    covered = [np.outer(*pair).tolist() for pair in zip(rows, columns, strict=True)]
    assert covered[0] == [[0, 0.5, 0.25, 0], [0, 0.5, 0.25, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert covered[1] == [[1] * 4] * 4 and covered[2] == covered[3] == [[0] * 4] * 4


def test_a_crop_of_the_frames_own_pixels_shows_them_and_what_lies_around():
    frame = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    box, other = Box("car", 1.0, (4, 4, 12, 12)), Box("car", 1.0, (10, 0, 20, 40))
    layers = told(frame, Crop(-2, 2, 32), 32, box, [box, other])
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    shown = layers[:3, :, 2:].transpose(1, 2, 0) * std + mean
    assert shown == pytest.approx(frame[2:34, :30].astype(float), abs=1e-2)
    assert not layers[:3, :, :2].any() and layers[5].mean(0)[:3].tolist() == [0, 0, 1]
    assert layers[3].sum() == 64 and layers[3, 2:10, 6:14].all()
    assert layers[4, :, 12:22].all() and not layers[4, :, :12].any()


def test_no_pixel_belongs_to_two_and_masks_stay_near_their_boxes():
    frame = np.random.default_rng(1).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    boxes = [Box("car", 0.9, (5, 5, 40, 40)), Box("person", 0.8, (20, 10, 50, 55)), Box("car", 0.7, (70, 50, 80, 60))]
    found, expected = visible_masks(network(), frame, boxes)
    total = sum(mask.decode().astype(int) for mask in found)
    assert total.max() <= 1
    assert len(found) == len(expected) == 3 and all(0 <= iou <= 1 for iou in expected)
    for box, mask in zip(boxes, found, strict=True):
        if mask:
            x0, y0, x1, y1 = mask.box
            reach = masks.REACH * 50 + 1
            assert x0 >= box.corners[0] - reach and y1 <= box.corners[3] + reach


def test_a_contested_pixel_is_the_likelier_instances():
    parts = [(0, 0, np.float32([[0.9, 0.6, 0.4]])), (1, 0, np.float32([[0.8, 0.3]]))]
    one, other = masks._shared_out((1, 3), parts)
    assert one.decode().tolist() == [[True, False, False]]
    assert other.decode().tolist() == [[False, True, False]]


def test_many_boxes_go_through_in_parts_with_the_same_result(monkeypatch):
    frame = np.random.default_rng(2).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    boxes = [Box("car", 1.0, (3 * n, 2 * n, 3 * n + 20, 2 * n + 15)) for n in range(9)]
    whole, _ = visible_masks(network(), frame, boxes)
    monkeypatch.setattr(masks, "CHUNK", 2)
    parts, _ = visible_masks(network(), frame, boxes)
    assert [mask.rle for mask in whole] == [mask.rle for mask in parts]
    assert visible_masks(network(), frame, []) == ([], [])


def test_detections_leave_out_what_is_weak_small_or_outside(monkeypatch):
    def whole_boxes(network, frame, boxes):
        masks = [np.zeros(frame.shape[:2], bool) for _ in boxes]
        for mask, box in zip(masks, boxes, strict=True):
            x0, y0, x1, y1 = map(int, box.corners)
            mask[y0:y1, x0:x1] = True
        return [Mask.of(mask) for mask in masks], [0.5] * len(boxes)

    monkeypatch.setattr("samodal.frontends.cutter.detections.visible_masks", whole_boxes)
    frame = np.zeros((40, 40, 3), np.uint8)
    boxes = [Box("car", 0.1, (0, 0, 20, 20)), Box("car", 0.9, (50, 0, 60, 20)), Box("car", 0.9, (5, 5, 30, 30), hint=7)]
    found = detections(network(), frame, boxes, "clip", keep=0.2, area=1, most=5)
    assert [(detection.hint, detection.score, detection.mask.area) for detection in found] == [(7, 0.45, 625)]
    assert detections(network(), frame, boxes, "clip", keep=0.5, area=1, most=5) == []
    assert detections(network(), frame, boxes, "clip", keep=0.2, area=10_000, most=5) == []


def test_weights_come_back_from_a_file(tmp_path):
    save(network(), tmp_path / "c.safetensors")
    back = load(tmp_path / "c.safetensors")
    x, kinds = torch.zeros(1, 6, 32, 32), torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        assert torch.equal(back(x, kinds).visible, network()(x, kinds).visible)


@pytest.mark.parametrize("change", [{"size": 30}, {"norm": "layer"}, {"layers": ("red",)}])
def test_a_config_that_cannot_be_is_refused(change):
    with pytest.raises(ValueError):
        SMALL.replace(**change)


@pytest.mark.parametrize("corners", [(10, 5, 60, 40), (-20, 30, 500, 300), (100, 100, 106, 104)])
def test_colours_of_a_crop_are_sums_over_rows_and_columns(corners):
    frame = np.random.default_rng(1).integers(0, 255, (320, 480, 3)).astype(np.uint8)
    crop, size = Crop.around(corners, 1.4, 16), 48
    step, to = np.float32(crop.side / size), np.arange(size, dtype=np.float32)[:, None]
    down, across = (filters(np.float32(edge), step, to, np.arange(end, dtype=np.float32))
                    for edge, end in ((crop.y, 320), (crop.x, 480)))  # fmt: skip
    wanted = np.einsum("iy,yxc,jx->cij", down, frame.astype(np.float64), across)
    assert masks._pixels(frame, crop, size) == pytest.approx(wanted, abs=1e-2)
