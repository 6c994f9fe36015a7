"""Pictures with boxes as training data: what is read, how canvases are made, and that detector and cutter learn."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from samodal.errors import InputError
from samodal.frontends.cutter import CutterConfig
from samodal.frontends.detector import Detector, DetectorConfig, load
from samodal.frontends.detector.model import cells
from samodal.training.cutter.cutter import train as train_cutter
from samodal.training.cutter.draw import Drawer
from samodal.training.cutter.objective import lab
from samodal.training.cutter.settings import CutterSettings
from samodal.training.detector import labels
from samodal.training.detector.detector import train as train_detector
from samodal.training.detector.measure import curves
from samodal.training.detector.objective import assigned, losses, pairwise
from samodal.training.detector.settings import DetectorSettings
from samodal.training.streets.pictures import IGNORED, NONE, load_pictures
from samodal.training.streets.sources import items_of, read_item, rides
from samodal.training.streets.views import Viewer, ViewSettings, within

CLASSES = ("person", "rider", "car", "motorcycle")
RED, GREEN = (220, 30, 30), (30, 200, 60)


def draw(size, *things):
    """A grey picture (height, width) with coloured boxes (x0, y0, x1, y1, colour)."""
    image = np.full((*size, 3), 90, np.uint8)
    for x0, y0, x1, y1, colour in things:
        image[y0:y1, x0:x1] = colour
    return image


@pytest.fixture
def town(tmp_path):
    """Two pictures: a red car with its outline, and a green one with a box alone, beside a crowd."""
    folder = tmp_path / "town"
    (folder / "images").mkdir(parents=True)
    Image.fromarray(draw((60, 100), (20, 20, 60, 50, RED))).save(folder / "images" / "a1.png")
    Image.fromarray(draw((60, 100), (50, 10, 90, 40, GREEN))).save(folder / "images" / "b2.png")
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 2, "bbox": [20, 20, 40, 30],
         "segmentation": [[20, 20, 60, 20, 60, 50, 20, 50]]},
        {"id": 2, "image_id": 2, "category_id": 2, "bbox": [50, 10, 40, 30]},
        {"id": 3, "image_id": 2, "category_id": 2, "bbox": [0, 0, 20, 20], "iscrowd": 1},
    ]  # fmt: skip
    content = {
        "images": [{"id": 1, "file_name": "a1.png"}, {"id": 2, "file_name": "b2.png"}],
        "annotations": annotations, "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}],
    }  # fmt: skip
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder / "annotations.json"


@pytest.fixture
def people(tmp_path):
    """A photo of a person with its mask."""
    for kind in ("images", "masks"):
        (tmp_path / "people" / kind).mkdir(parents=True)
    Image.fromarray(draw((80, 40), (10, 10, 30, 70, (200, 180, 20)))).save(tmp_path / "people/images/p.png")
    mask = np.zeros((80, 40), np.uint8)
    mask[10:70, 10:30] = 255
    Image.fromarray(mask).save(tmp_path / "people/masks/p.png")
    return f"person:{tmp_path / 'people'}"


def pictures(sources, **changes):
    settings = {"every": 1, "side": 100, "held_out": "", "workers": 1, "report": lambda _: None} | changes
    return load_pictures("", sources, CLASSES, **settings)


def test_boxes_polygons_and_what_is_labelled_come_from_coco_form(town):
    first, second = items_of("", 1, f"{town}=car", CLASSES)
    assert first.labelled == {"car"} and first.name == "a1.png"
    _, owners, boxes = read_item(first)
    assert boxes == [("car", 20, 20, 60, 50, 1)]
    assert owners[20:50, 20:60].all() and int(owners.sum()) == pytest.approx(30 * 40, abs=120)
    assert [box[0] for box in read_item(second)[2]] == ["car", "ignored"]
    assert next(items_of("", 1, str(town), CLASSES)).labelled == set(CLASSES)
    assert next(items_of("", 1, f"{town}=", CLASSES)).labelled == set()


@pytest.mark.parametrize(
    "person, rider",
    [((10, 0, 30, 40), True), ((10, 0, 30, 70), False), ((60, 0, 80, 40), False), ((10, 34, 30, 40), False)],
)
def test_who_sits_on_a_two_wheeler_is_a_rider(person, rider):
    assert rides(person, (5, 25, 40, 60)) == rider


def test_photos_of_single_objects_bring_masks_and_label_nothing(people):
    (item,) = items_of("", 1, people, CLASSES)
    image, owners, boxes = read_item(item)
    assert boxes == [("person", 10, 10, 30, 70, 1)] and not item.labelled
    assert image.shape == (80, 40, 3) and owners.sum() == 20 * 60


@pytest.mark.parametrize("source", ["person:nowhere", "nowhere", "missing.json"])
def test_a_source_that_is_none_is_named(source):
    with pytest.raises(InputError, match=source):
        list(items_of("", 1, source, CLASSES))


def test_pictures_are_kept_in_a_file_and_read_from_it(town, people, tmp_path):
    cache = str(tmp_path / "kept.pt")
    learned, held_out = pictures(f"{town}=car,{people}", held_out=r".*2\.png", cache=cache)
    assert (len(learned), len(held_out)) == (2, 1)
    assert learned.content.tolist() == [[60, 100], [80, 40]]
    assert learned.kinds.tolist() == [[2, NONE], [0, NONE]] and held_out.kinds.tolist() == [[2, IGNORED]]
    assert learned.places[:, 0].tolist() == [1, 1] and held_out.places.tolist() == [[0, 0]]
    again, _ = pictures("", cache=f"{cache},{cache}")
    assert len(again) == 4 and torch.equal(again.pixels[:2], learned.pixels)
    with pytest.raises(InputError, match="side was 100 and is 64"):
        pictures("", cache=cache, side=64)


def test_boxes_go_where_their_pixels_go(town):
    """Whatever part of a picture a canvas shows, the coloured pixels fill the box."""
    learned, _ = pictures(f"{town}=car")
    settings = ViewSettings(tiled=0.5, pasted=0.0, grey=0.0)
    viewer = Viewer(learned, torch.ones(2), settings)
    generator = torch.Generator().manual_seed(0)
    canvas = viewer._tiles(24, (64, 96), generator)
    learned_boxes = 0
    for pixels, boxes, kinds in zip(canvas.pixels, canvas.boxes, canvas.kinds, strict=True):
        coloured = (pixels.amax(0) - pixels.amin(0)) > 90
        for (x0, y0, x1, y1), kind in zip(boxes.tolist(), kinds.tolist(), strict=True):
            if kind == 2:
                rows, columns = coloured.any(1).nonzero()[:, 0], coloured.any(0).nonzero()[:, 0]
                found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
                assert np.allclose(found, [x0, y0, x1, y1], atol=2)
                learned_boxes += 1
    assert learned_boxes > 8
    whole = viewer(4, (64, 96), generator)
    assert whole.pixels.shape == (4, 3, 64, 96) and whole.pixels.min() >= 0 and whole.pixels.max() <= 255


def test_what_is_hardly_in_view_is_ignored_and_what_is_not_is_nothing():
    boxes = torch.tensor([[[-50.0, 0, 10, 20], [10, 10, 30, 30], [-20, 0, -5, 20], [0, 0, 40, 3]]])
    cut, kinds = within(boxes, torch.tensor([[2, 2, 2, 2]]), (40, 40))
    assert kinds.tolist() == [[IGNORED, 2, NONE, IGNORED]]
    assert cut[0, 0].tolist() == [0, 0, 10, 20]


def test_a_pasted_person_is_a_box_of_its_own(town, people):
    learned, _ = pictures(f"{town}=car,{people}")
    viewer = Viewer(learned, torch.tensor([1.0, 1.0, 0.0]), ViewSettings(tiled=0.0, pasted=1.0, grey=0.0))
    canvas = viewer(8, (64, 96), torch.Generator().manual_seed(1))
    assert (canvas.kinds == 0).any(1).sum() >= 6


def test_cells_in_the_middle_of_a_box_learn_it_and_cells_outside_learn_none():
    config = DetectorConfig(width=0.125, classes=("person", "car"))
    network = Detector.initialise(config, 0)
    raw = network(torch.zeros(1, 3, 64, 64))
    places, strides = cells(64, 64)
    boxes, kinds = torch.tensor([[[8.0, 8, 40, 40], [0, 0, 0, 0]]]), torch.tensor([[1, NONE]])
    middle = (places + 0.5) * strides
    owner, fit = assigned(raw, boxes, kinds, middle, strides[:, 0])
    assert set(owner[0].tolist()) == {-1, 0}
    learned = middle[owner[0] == 0]
    assert len(learned) <= 10 and ((learned > 8) & (learned < 40)).all()
    assert fit.shape == owner.shape
    values = losses(raw, boxes, torch.tensor([[IGNORED, NONE]]), (64, 64))
    assert values["box"] == 0 and values["class"] == 0 and values["object"] > 0
    away = losses(raw, torch.tensor([[[0.0, 0, 64, 64]]]), torch.tensor([[IGNORED]]), (64, 64))
    assert away["object"] == 0


def test_iou_of_pairs_is_that_of_counted_pixels():
    boxes, others = torch.tensor([[[0.0, 0, 4, 4]]]), torch.tensor([[[2.0, 2, 6, 6], [0, 0, 4, 4], [8, 8, 9, 9]]])
    assert pairwise(boxes, others)[0, 0].tolist() == pytest.approx([4 / 28, 1, 0])


def test_curves_never_fall_and_say_how_many_are_right():
    from samodal.metrics.seen import Seen

    rng, seen = np.random.default_rng(0), Seen()
    for score in rng.random(2000):
        right = rng.random() < score**2
        seen.add([(0, 0, 20, 40)], [score], [(0, 0, 20, 40)] if right else [])
    values = curves({"vehicles": seen}, ("car", "person"))
    car, person = np.array(values[:11]), np.array(values[11:])
    assert (np.diff(car) >= 0).all()
    assert car == pytest.approx(np.linspace(0, 1, 11) ** 2, abs=0.12)
    assert person == pytest.approx(np.linspace(0, 1, 11))


def test_samples_of_the_cutter_show_the_object_where_its_mask_is(town, people):
    learned, _ = pictures(f"{town}=car,{people}")
    drawer = Drawer(learned, CutterConfig(size=32, width=8), CLASSES, (0.0, 0.3, 0.3), hidden=0.0)
    samples = drawer(24, torch.Generator().manual_seed(0))
    assert samples.layers.shape == (24, 6, 32, 32) and samples.masked.any() and not samples.masked.all()
    coloured = (samples.colours.amax(1) - samples.colours.amin(1)) > 90
    for colour, mask in zip(coloured[samples.masked], samples.visible[samples.masked] > 0.5, strict=True):
        assert (colour & mask).sum() > 0.85 * mask.sum()
    assert not samples.visible[~samples.masked].any()
    boxed = ~samples.masked
    assert (coloured & (samples.box > 0.5))[boxed].sum() > 0.9 * coloured[boxed].sum()


def test_lab_of_white_black_and_red_is_that_of_the_standard():
    colours = torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0]]).T[None, :, :, None]
    found = lab(colours)[0, :, :, 0].T.tolist()
    assert found[0] == pytest.approx([100, 0, 0], abs=0.1)
    assert found[1] == pytest.approx([0, 0, 0], abs=0.1)
    assert found[2] == pytest.approx([53.2, 80.1, 67.2], abs=0.5)


@pytest.mark.heavy
def test_a_detector_finds_what_it_was_taught(town, tmp_path):
    out = tmp_path / "out"
    line = train_detector(DetectorSettings(
        pictures=f"{town}=car", classes=",".join(CLASSES), unreported="", out=str(out), steps=30, batch=4,
        size="64x128",
        side=100, held_out_names=r".*2\.png", precision="float32", workers=1, log_every=10, warmup=1,
    ))  # fmt: skip
    assert "after 30 steps" in line
    assert load(out / "detector.safetensors").config.classes == CLASSES
    logged = [json.loads(row) for row in (out / "detector.log.jsonl").read_text().splitlines()]
    assert logged[-1]["loss"] < logged[0]["loss"]
    assert "recall" in (out / "detector.md").read_text()


@pytest.mark.heavy
def test_a_cutter_learns_to_cut(town, people, tmp_path):
    out = tmp_path / "out"
    train_cutter(CutterSettings(
        pictures=f"{town}=car,{people}", classes=",".join(CLASSES), out=str(out), steps=40, batch=8, crop=32, width=8,
        side=100, held_out_names=r"a1\.png", precision="float32", workers=1, log_every=10, warmup=2, photos=0.5,
        boxed=0.5,
    ))  # fmt: skip
    logged = [json.loads(row) for row in (out / "cutter.log.jsonl").read_text().splitlines()]
    assert logged[-1]["dice"] < logged[0]["dice"]
    facts = json.loads((out / "cutter.json").read_text())
    assert facts["metrics"]["held out"]["IoU, car (1)"] > 0.3


def test_what_the_start_finds_of_classes_without_labels_is_learned_or_ignored(town, monkeypatch):
    learned, _ = pictures(f"{town}=car")
    network = Detector.initialise(DetectorConfig(width=0.125, classes=CLASSES), 0).eval()
    found = ([[20.0, 20, 60, 50], [5, 5, 15, 30], [70, 5, 80, 30], [0, 40, 9, 59]], [0, 0, 0, 2], [0.9, 0.8, 0.2, 0.9])
    monkeypatch.setattr(labels, "chosen", lambda *_: tuple(map(np.array, found)))
    first = labels.supplemented(learned, network, sure=0.4, unsure=0.1)
    # The first is the labelled car again, the last a car, of which all are labelled.
    assert [kind for kind in first.kinds[0].tolist() if kind != NONE] == [2, 0, IGNORED]
    assert first.boxes[0, 2].tolist() == [5, 5, 15, 30]
    assert torch.equal(first.kinds[:, : learned.kinds.shape[1]], learned.kinds)
