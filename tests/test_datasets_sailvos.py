"""SAIL-VOS in its published layout, on a miniature that is written here: whole videos, and cut into scenes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from damage import change, refusals, twice
from samodal.cli.app import main
from samodal.data.open import open_dataset, several
from samodal.errors import InputError
from samodal.rle import Rle

SIZE = (40, 60)
FIRST, SECOND = "ah_1_mcs_1", "fbi_3_int"
"""A video of 3 frames and one of 1; the first image that the annotations list is a video's fourth."""


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


CAR, WALKER, NOTHING = box(10, 10, 30, 30), box(25, 10, 35, 30), box(0, 0, 0, 0)


def annotation(key: int, image: int, category: int, obj: int, amodal: np.ndarray, visible: np.ndarray) -> dict:
    """One instance with every field of the published files."""
    hidden = amodal & ~visible
    return {
        "id": key, "image_id": image, "category_id": category, "obj_id": obj, "model_id": 676, "iscrowd": 0,
        "bbox": list(Rle.encode(amodal).box), "bbox_visible": list(Rle.encode(visible).box),
        "segmentation": Rle.encode(amodal).to_coco(), "visible_mask": Rle.encode(visible).to_coco(),
        "invisible_mask": Rle.encode(hidden).to_coco(), "area": int(amodal.sum()), "area_visible": int(visible.sum()),
        "occlu_depth": 0, "occlude_rate": 1 - int(visible.sum()) / int(amodal.sum()),
    }  # fmt: skip


def image(key: int, video: str, frame: int) -> dict:
    name = f"{video}/images/{frame + 3:06d}.bmp"
    return {"id": key, "file_name": name, "frame_id": frame, "video_id": 1, "width": 60, "height": 40}


def example() -> dict:
    """A person behind a car, half, wholly and not hidden, in the first video; class numbers with gaps."""
    return {
        "categories": [
            {"id": 1, "name": "person", "supercategory": "person"},
            {"id": 3, "name": "car", "supercategory": "car"},
            {"id": 164, "name": "road barrier", "supercategory": "road barrier"},
        ],
        "videos": [
            {"id": 1, "vid_name": FIRST, "num_frames": 3, "num_objs": 2},
            {"id": 1, "vid_name": SECOND, "num_frames": 1, "num_objs": 1},
        ],
        "images": [*(image(n, FIRST, n) for n in range(3)), image(3, SECOND, 0)],
        "models": [{"id": 676, "category_id": 12, "name": "m"}],
        "annotations": [
            annotation(0, 0, 3, 7, CAR, CAR),
            annotation(1, 0, 1, 2, WALKER, WALKER & ~CAR),
            annotation(2, 1, 1, 2, box(15, 10, 25, 30), NOTHING),
            annotation(3, 2, 1, 2, WALKER, WALKER),
            annotation(4, 3, 164, 2, CAR, CAR),
        ],
    }


def save(path: Path, colour) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*SIZE, 3), colour, np.uint8)).save(path)


def write(root: Path, content: dict, name: str = "valid.json", suffix: str = ".bmp", colours=None) -> str:
    """The file and its images, and one that it does not list; gives what `open_dataset` takes."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(content))
    for n, one in enumerate(content["images"]):
        save((root / one["file_name"]).with_suffix(suffix), colours[n] if colours else 20 * n)
    save(root / FIRST / "images" / "000002.bmp", 0)
    return f"sailvos:{root}/val"


def test_a_video_has_its_images_and_both_masks_and_identities_of_its_own(tmp_path):
    dataset = open_dataset(write(tmp_path, example()))
    assert dataset.sequences == (FIRST, SECOND)
    video = dataset.video(FIRST)
    assert (video.length, video.size, video.fps, video.has_amodal) == (3, SIZE, 10.0, True)
    assert [(f.t, f.time, f.name, int(f.image[0, 0, 0])) for f in video] == [
        (0, 0.0, "000003.bmp", 0),
        (1, 0.1, "000004.bmp", 20),
        (2, 0.2, "000005.bmp", 40),
    ]
    car, walker = video.truth.tracks
    assert (car.id, car.category, walker.id, walker.category) == (7, "car", 2, "person")
    np.testing.assert_array_equal(walker.amodal[0].decode(), WALKER)
    np.testing.assert_array_equal(walker.visible[0].decode(), WALKER & ~CAR)
    assert [walker.occlusion(t) for t in range(3)] == [0.5, 1.0, 0.0] and walker.visible[1] is None
    assert (car.amodal[1], video.truth.labelled) == (None, None)
    (barrier,) = dataset.truth(SECOND).tracks
    assert (barrier.id, barrier.category) == (2, "road barrier")


def test_the_visible_masks_alone_are_read_without_the_amodal_ones(tmp_path):
    content = example()
    for one in content["annotations"]:
        one["segmentation"] = {"size": list(SIZE), "counts": "wrong"}
    video = open_dataset(write(tmp_path, content)).video(FIRST)
    assert [[one.id for one in video.frame_visible(t)] for t in range(3)] == [[7, 2], [], [2]]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_images_may_have_been_converted(tmp_path, suffix):
    video = open_dataset(write(tmp_path, example(), suffix=suffix)).video(FIRST)
    assert [frame.name for frame in video] == [f"00000{n}{suffix}" for n in (3, 4, 5)]


def test_annotations_and_images_may_lie_elsewhere(tmp_path):
    data = write(tmp_path, example(), name="annotations/valid.json")
    assert len(open_dataset(data)) == 2
    assert len(open_dataset(f"sailvos:{tmp_path}/annotations/valid.json")) == 2
    for name in (FIRST, SECOND):
        (tmp_path / "val").mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / "val" / name)
    assert open_dataset(data).video(SECOND).frame(0).image.shape == (*SIZE, 3)


def test_a_copy_of_vatrack_is_read_too(tmp_path):
    content = example()
    for one, video in zip(content["images"], (1, 1, 1, 2), strict=True):
        one["file_name"] = one["file_name"].replace("/images", f"__{2 if video == 1 else 0}/images")
        one["video_id"] = video
    for one in content["annotations"]:
        one |= {"instance_id": 50 + one["obj_id"], "video_id": 1}
    dataset = open_dataset(write(tmp_path, content))
    assert dataset.sequences == (f"{FIRST}__2", f"{SECOND}__0")
    assert [one.id for one in dataset.truth(f"{FIRST}__2").tracks] == [7, 2]


WRONG = [
    (
        change("annotations", 0, "segmentation", "size", [60, 40]),
        r"annotation 0, segmentation: the mask is 60x40",
    ),
    (
        change("annotations", 1, "visible_mask", "size", [60, 40]),
        r"annotation 1, visible_mask: the mask is 60x40",
    ),
    (change("annotations", 1, "visible_mask", None), "annotation 1: visible_mask is null"),
    (change("annotations", 0, "segmentation", [{"size": [40, 60]}] * 2), "annotation 0, segmentation: expected run"),
    (lambda content: content["annotations"][1].pop("visible_mask"), "annotation 1: no field 'visible_mask'"),
    (lambda content: content["annotations"][1].pop("obj_id"), "annotation 1: no field 'obj_id'"),
    (lambda content: content["annotations"][1].pop("segmentation"), "annotation 1: no field 'segmentation'"),
    (change("annotations", 1, "obj_id", 7), f"annotation 1: a second annotation of track 7 in {FIRST}/images/000003"),
    (change("annotations", 2, "category_id", 3), "annotation 2: track 2 is a car here but a person before"),
    (change("annotations", 0, "category_id", 12), r"annotation 0: unknown category_id 12"),
    (change("annotations", 0, "image_id", 9), "annotation 0: unknown image_id 9"),
    (change("images", 1, "frame_id", 0), f"video {FIRST}: two images have the frame_id 0"),
    (change("images", 1, "width", 61), r"annotation 2, segmentation: the mask is 40x60 but the frame is"),
    (twice("annotations"), "annotation 0: a second annotation has this id"),
    (twice("images"), "image 0: the id or its file"),
    (change("images", 3, "file_name", "000003.bmp"), "image 3: file_name '000003.bmp' has no folder"),
    (lambda content: content.pop("annotations"), "no list 'annotations' in it"),
]


@pytest.mark.parametrize(("break_it", "message"), WRONG)
def test_what_does_not_fit_is_refused_when_it_is_opened(tmp_path, break_it, message):
    content = example()
    write(tmp_path, content)
    break_it(content)
    (tmp_path / "valid.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        open_dataset(f"sailvos:{tmp_path}/val")
    assert main(["data", "check", f"sailvos:{tmp_path}/val"]) == 1


def test_no_damage_ends_in_anything_but_a_refusal(tmp_path):
    whole = example()
    whole["annotations"], whole["images"] = whole["annotations"][1:3], whole["images"][:2]
    assert refusals(write(tmp_path, whole), tmp_path / "valid.json", whole) > 200


def test_broken_run_lengths_and_exchanged_masks_are_refused_when_drawn(tmp_path):
    content = example()
    content["annotations"][0]["visible_mask"]["counts"] = content["annotations"][0]["visible_mask"]["counts"][:-3]
    one = content["annotations"][4]
    one["segmentation"], one["visible_mask"] = Rle.encode(WALKER).to_coco(), Rle.encode(CAR).to_coco()
    dataset = open_dataset(write(tmp_path, content))
    with pytest.raises(InputError, match="annotation 0, visible: run lengths that do not add up to 40x60"):
        dataset.truth(FIRST)
    with pytest.raises(InputError, match="annotation 4: most of its visible mask lies outside its amodal one"):
        dataset.truth(SECOND)


def test_missing_cut_off_and_resized_files_are_refused(tmp_path):
    data = write(tmp_path, example())
    save(tmp_path / SECOND / "images" / "000003.bmp", 0)
    path = tmp_path / FIRST / "images" / "000004.bmp"
    path.write_bytes(path.read_bytes()[:100])
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / FIRST / "images" / "000005.bmp")
    video = open_dataset(data).video(FIRST)
    with pytest.raises(InputError, match="000004.bmp: damaged"):
        video.frame(1)
    with pytest.raises(InputError, match="000005.bmp: 20x30 .*annotations state 40x60"):
        video.frame(2)
    path.unlink()
    with pytest.raises(InputError, match="000004.bmp: no such image, but the annotations list it"):
        open_dataset(data)
    text = (tmp_path / "valid.json").read_text()
    (tmp_path / "valid.json").write_text(text[:-100])
    with pytest.raises(InputError, match="valid.json: not valid JSON .*cut off"):
        open_dataset(data)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("train", "no train.json in it or in its folder annotations"),
        ("test", "expected ROOT/train or ROOT/val"),
        ("none.json", "none.json: no such file"),
    ],
)
def test_a_split_that_is_not_there_is_refused(tmp_path, split, message):
    write(tmp_path, example())
    with pytest.raises(InputError, match=message):
        open_dataset(f"sailvos:{tmp_path}/{split}")


def test_annotations_without_any_folder_of_images_are_refused(tmp_path):
    (tmp_path / "valid.json").write_text(json.dumps(example()))
    with pytest.raises(InputError, match=f"no folder {FIRST} in it"):
        open_dataset(f"sailvos:{tmp_path}/val")


def test_data_check_counts_and_finds_nothing_odd_in_images_that_are_not_listed(tmp_path, capsys):
    assert main(["data", "check", write(tmp_path, example())]) == 0
    said = capsys.readouterr().out
    assert "2 clips, 4 frames (4 labelled), 3 instances, 5 masks" in said
    assert "none 3, partial 0, medium 1, heavy 0, extreme 0, fully hidden 1" in said
    assert "odd        nothing" in said


def test_running_and_evaluating_find_every_instance(tmp_path, capsys):
    data, out = write(tmp_path, example()), tmp_path / "out"
    assert main(["run", "--data", data, "--method", "copy-visible", "--no-overlay", "--out", str(out)]) == 0
    command = ["evaluate", str(out), "--truth", data, "--profile", "strict", "--json", str(tmp_path / "scores.json")]
    assert main(command) == 0
    metrics = json.loads((tmp_path / "scores.json").read_text())["metrics"]["image"]
    assert metrics["miou"] == pytest.approx((1 + 0.5 + 0 + 1 + 1) / 5)


def long(frames: int) -> dict:
    """One video of so many frames, a car in each."""
    content = example()
    content["images"] = [image(n, FIRST, n) for n in range(frames)]
    content["annotations"] = [annotation(n, n, 3, 7, CAR, CAR) for n in range(frames)]
    return content


def scenes(data: str) -> dict[str, list[str]]:
    return {video.name: [name[:6] for name in video.frame_names] for video in open_dataset(data)}


def stems(first: int, end: int) -> list[str]:
    """File names of the frames from one to another, whose numbers are larger by 3."""
    return [f"{n + 3:06d}" for n in range(first, end)]


def test_the_published_structure_cuts_where_it_is_there(tmp_path):
    data = write(tmp_path, long(9)).replace("sailvos:", "sailvos-cut:")
    structure = {
        FIRST: ["000002.bmp", "000000.bmp", "000001.bmp"],  # what is left of the video: no scene
        f"{FIRST}__4": ["000005.bmp", "000003.bmp", "000004.bmp", "000006.bmp"],
        f"{FIRST}__6": [],
        f"{FIRST}__8": [f"{name}.bmp" for name in stems(4, 9)],
        "of_the_other_split__3": ["000003.bmp"],
    }
    (tmp_path / "sailvos_cut_structure.json").write_text(json.dumps(structure))
    assert scenes(data) == {f"{FIRST}__4": stems(0, 4), f"{FIRST}__8": stems(4, 9)}
    second = open_dataset(data).video(f"{FIRST}__8")
    assert [frame.time for frame in second][:2] == [0.0, 0.1]
    assert [(one.id, len(one.amodal)) for one in second.truth.tracks] == [(7, 5)]
    assert main(["data", "check", data]) == 0


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        ({f"{FIRST}__/../../elsewhere": ["000003.bmp"]}, "the name .*elsewhere' cannot name a folder"),
        ({f"{FIRST}__4": ["000003.bmp", "000099.bmp"]}, "scene ah_1_mcs_1__4 has frame 000099, but the annotations do"),
        (
            {f"{FIRST}__4": ["000003.bmp"], f"{FIRST}__8": ["000003.bmp"]},
            "scene .*__8 has frame 000003, which is in another",
        ),
        ({FIRST: ["000003.bmp"]}, "no scene of video ah_1_mcs_1"),
        ({f"{FIRST}__4": "000003.bmp"}, "expected an object of lists"),
        ([], "expected an object of lists"),
    ],
)
def test_a_structure_of_other_videos_is_refused(tmp_path, structure, message):
    data = write(tmp_path, long(9)).replace("sailvos:", "sailvos-cut:")
    path = tmp_path / "sailvos_cut_structure.json"
    path.write_text(json.dumps(structure))
    with pytest.raises(InputError, match=f"{path}: {message}"):
        open_dataset(data)
    path.write_text(json.dumps(structure)[:-1])
    with pytest.raises(InputError, match="cut off"):
        open_dataset(data)


def cut_at(changes: dict[int, tuple[int, int, int]], frames: int, tmp_path: Path) -> dict[str, list[str]]:
    """The scenes of a black video that takes another colour at some frames."""
    colours, colour = [], (0, 0, 0)
    for n in range(frames):
        colour = changes.get(n, colour)
        colours.append(colour)
    return scenes(write(tmp_path, long(frames), colours=colours).replace("sailvos:", "sailvos-cut:"))


def test_without_a_structure_scenes_begin_where_colours_change(tmp_path):
    # From grey 0 to 81 the value changes by 81, hue and saturation by nothing: 27 on average.
    found = cut_at({8: (81, 81, 81), 14: (0, 0, 0)}, 21, tmp_path)
    assert found == {f"{FIRST}__8": stems(0, 8), f"{FIRST}__14": stems(8, 14), f"{FIRST}__20": stems(14, 21)}


def test_a_smaller_change_is_no_cut(tmp_path):
    assert cut_at({8: (80, 80, 80)}, 20, tmp_path) == {f"{FIRST}__19": stems(0, 20)}


def test_hues_are_those_of_the_published_threshold():
    from samodal.data.sailvos import _colours

    # Hue 3 of 180, but 117 where red is taken for blue, as VATrack's converter does.
    assert _colours(np.array([[[200, 30, 10]]], np.uint8)).tolist() == [[[117, 242, 200]]]


def test_cuts_are_five_frames_apart_and_more_than_five_from_the_end(tmp_path):
    white, black = (255, 255, 255), (0, 0, 0)
    # Frame 4 is too near the beginning, 9 too near the cut at 5, and 14 (of 20) is just far enough from the end.
    found = cut_at({4: white, 5: black, 9: white, 13: black, 14: white}, 21, tmp_path)
    assert list(found) == [f"{FIRST}__13", f"{FIRST}__20", f"{FIRST}__5"] and found[f"{FIRST}__20"] == stems(13, 21)
    end = tmp_path / "end"
    assert list(cut_at({14: white}, 20, end)) == [f"{FIRST}__19"]  # five frames are left behind it
    assert list(cut_at({14: white}, 21, tmp_path / "far")) == [f"{FIRST}__14", f"{FIRST}__20"]


def test_cuts_that_were_found_are_kept_and_read_again(tmp_path, capsys):
    found = cut_at({8: (255, 255, 255)}, 20, tmp_path)
    kept = json.loads((tmp_path / "valid_cut_structure.json").read_text())
    assert kept == {name: [f"{one}.bmp" for one in files] for name, files in found.items()} and len(kept) == 2
    data = f"sailvos-cut:{tmp_path}/val"
    for path in (tmp_path / FIRST / "images").glob("*.bmp"):
        save(path, 7)  # without any cut
    assert scenes(data) == found
    assert several(f"sailvos:a/train,{data},coco-vid:a.json,b") == ["sailvos:a/train", data, "coco-vid:a.json,b"]


def test_cutting_refuses_damaged_images_and_keeps_nothing(tmp_path):
    write(tmp_path, long(9))
    (tmp_path / FIRST / "images" / "000007.bmp").write_bytes(b"BM")
    with pytest.raises(InputError, match="000007.bmp: damaged"):
        open_dataset(f"sailvos-cut:{tmp_path}/val")
    assert not list(tmp_path.glob("*structure*"))


def test_a_sam_learns_from_scenes(tmp_path, capsys, one_thread):
    pytest.importorskip("accelerate")
    from samodal.training.recipes import load_recipe
    from samodal.training.sam.sam import train

    write(tmp_path, long(2))
    settings = load_recipe(
        "kins-paper", data=f"sailvos-cut:{tmp_path}/val", val=f"sailvos:{tmp_path}/val", init="", adapters="keep",
        size="tiny", epochs=0.0, steps=1, validations=1, out=str(tmp_path / "out"), workers=1, device="cpu",
    )  # fmt: skip
    outcome = train(settings)
    assert outcome.steps == 1 and outcome.checkpoint.exists()
