"""`samodal data check`: what is counted, and that nothing broken escapes it."""

import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from samodal.cli.app import main
from samodal.data.check import OCCLUSIONS, SIZES, check, occlusion_bin, size_bin
from samodal.data.open import open_dataset
from samodal.metrics.profiles import profile_named
from samodal.rle import Rle
from test_datasets_coco import PAGE, example, write
from toy_data import write_toy


def test_the_example_is_whole_and_counted(tmp_path, capsys):
    assert main(["data", "check", write(tmp_path, example())]) == 0
    printed = capsys.readouterr().out.splitlines()[1:]
    assert [line.split(maxsplit=1) for line in printed] == [
        ["holds", "2 clips, 3 frames (3 labelled), 3 instances, 5 masks"],
        ["classes", "car 2, person 1"],
        ["occlusion", "none 2, partial 0, medium 1, heavy 0, extreme 1, fully hidden 1"],
        ["size", "small 5, medium 0, large 0"],
        ["images", "40x60 3"],
        ["odd", "nothing"],
        ["broken", "nothing"],
    ]
    assert "\n".join(printed) in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("rate", "name"),
    [(0, "none"), (0.01, "partial"), (0.25, "partial"), (0.5, "medium"), (0.51, "heavy"), (0.76, "extreme"),
     (0.999, "extreme"), (1, "fully hidden")],
)  # fmt: skip
def test_bins_do_not_overlap(rate, name):
    assert occlusion_bin(rate) == name


def test_the_bins_are_those_of_the_strict_evaluation():
    bins = profile_named("strict").bins
    names = dict(zip(OCCLUSIONS, ("none", "partial", "medium_occlusion", "heavy", "extreme", "hidden"), strict=True))
    for rate in np.linspace(0, 1, 101):
        assert [name for name, key in names.items() if bins[key].occlusion.holds(rate)] == [occlusion_bin(rate)]
    for side in (31, 32, 33, 95, 96, 97):
        mask = Rle.encode(np.ones((side, side)))
        assert next(name for name in SIZES if mask.area <= bins[name].area[1]) == size_bin(mask)


def test_names_from_files_forge_no_line_and_control_no_terminal(tmp_path, capsys):
    content, name = example(), "drive/\x1b]0;owned\x07\r\nbroken nothing.png"
    content["categories"][0]["name"] = "car 9\x1b[8m\n  broken     nothing\u202e"
    content["images"].append(content["images"][0] | {"id": 4, "frame_id": 9, "file_name": name})
    data = write(tmp_path, content)
    (tmp_path / "images" / name).unlink()
    assert main(["data", "check", data]) == 1
    assert main(["run", "--data", data, "--clips", "drive", "--method", "hull", "--out", str(tmp_path / "out")]) == 2
    text = "".join(capsys.readouterr())
    assert not set(text) & {"\x1b", "\x07", "\r", "\u202e"}
    assert [line for line in text.splitlines() if line.lstrip().startswith("broken")] == ["  broken     2 problems"]
    assert r"car 9\x1b[8m\n  broken     nothing\u202e" in text
    assert r"drive/\x1b]0;owned\x07 broken nothing.png: no such" in text


def test_everything_broken_is_told_at_once(tmp_path, capsys):
    content = example()
    content["annotations"][0]["segmentation"] = {"size": [40, 60], "counts": [100, 20]}
    content["annotations"][1]["category_id"] = 9
    content["annotations"][2]["image_id"] = 9
    content["annotations"].append(content["annotations"][4])
    content["images"].append({"id": 4, "file_name": "gone.png", "width": 60, "height": 40})
    data = write(tmp_path, content)
    (tmp_path / "images/gone.png").rename(tmp_path / "images/stray.png")
    Image.new("RGB", (30, 20)).save(tmp_path / "images/yard.png")
    assert main(["data", "check", data]) == 1
    printed = capsys.readouterr().out
    assert "broken     6 problems" in printed
    for problem in (
        "annotation 1: run lengths that do not add up",
        "annotation 2: unknown category_id 9",
        "annotation 3: unknown image_id 9",
        "annotation 5: a second annotation has this id",
        "gone.png: no such image",
        "yard.png: 20x30 (height x width), but the annotations state 40x60",
    ):
        assert printed.count(problem) == 1
    assert "odd        1 image that the annotations do not list" in printed and "stray.png" in printed
    assert "3 clips, 4 frames (4 labelled), 2 instances, 2 masks" in printed
    assert "yard.png" not in " ".join(check(data, pixels=False).problems)


def test_of_many_problems_twenty_are_told_and_the_others_counted(tmp_path, capsys):
    content = example()
    content["annotations"] += [{"id": 100 + n, "image_id": 77} for n in range(23)]
    assert main(["data", "check", write(tmp_path, content)]) == 1
    printed = capsys.readouterr().out
    assert printed.count("unknown image_id 77") == 20 and printed.rstrip().endswith("and 3 more")


def test_two_broken_masks_of_one_frame_and_two_broken_tracks_are_all_told(tmp_path):
    content = example()
    for annotation in content["annotations"][2:4]:
        annotation["segmentation"] = {"size": [40, 60], "counts": [1]}
    content["annotations"].append({**content["annotations"][0], "id": 6})
    content["annotations"].append({**content["annotations"][1], "id": 7})
    problems = " ".join(check(write(tmp_path, content)).problems)
    assert all(f"annotation {n}" in problems for n in (3, 4, 6, 7)) and "annotation 1:" not in problems


def test_a_file_that_is_cut_off_is_the_only_problem(tmp_path, capsys):
    data = write(tmp_path, example())
    path = tmp_path / "labels.json"
    path.write_text(path.read_text()[:-30])
    assert main(["data", "check", data]) == 1
    assert "1 problem\n" in capsys.readouterr().out


def test_the_layout_of_amodalsynthdrive_is_checked_frame_by_frame(tmp_path):
    data = write_toy(tmp_path, sequences=2, frames=3, seed=0)
    whole = check(data)
    assert (whole.clips, whole.frames, whole.labelled, list(whole.problems)) == (2, 6, 6, [])
    # A track is known by its id in a clip: 1 and 3 are cars, 2 a person.
    assert dict(whole.classes) == {"car": 4, "person": 2} and dict(whole.images) == {(128, 224): 6}
    labels = tmp_path / "amodal_instance_seg/front/toy_0000"
    (labels / "front_full_0000_aminseg.json").write_text("{")
    (labels / "front_full_0002_aminseg.json").write_text("{")
    (tmp_path / "images/front/toy_0001/front_full_0001_rgb.jpg").write_bytes(b"no picture")
    broken = check(data)
    assert [path in " ".join(broken.problems) for path in ("0000_aminseg", "0002_aminseg", "0001_rgb")] == [True] * 3
    assert len(broken.problems) == 3 and broken.labelled == 4


def test_frames_without_labels_and_data_where_nothing_is_hidden_are_odd(tmp_path):
    content = example()
    content["annotations"] = content["annotations"][:1]
    assert check(write(tmp_path, content)).odd == [
        "2 labelled frames without an instance",
        "nothing is hidden anywhere: do the labels say what is visible?",
    ]


def test_an_unknown_kind_is_refused(capsys):
    assert main(["data", "check", "coko:a.json,b"]) == 2
    assert "did you mean coco" in capsys.readouterr().err


def test_the_command_alone_names_its_kind(capsys):
    assert main(["data"]) == 2
    assert "'data check'" in capsys.readouterr().err


def test_a_comma_within_a_data_set_separates_none():
    from samodal.data.open import several

    assert several("streetsim:a/b,coco:x.json,images,asd:c") == ["streetsim:a/b", "coco:x.json,images", "asd:c"]


def test_the_help_and_the_documentation_name_every_kind_once(capsys):
    from samodal.data.open import KINDS

    with pytest.raises(SystemExit):
        main(["data", "check", "--help"])
    said = re.sub(r"(?<=-) ", "", " ".join(capsys.readouterr().out.split()))  # lines may end behind a hyphen
    named = re.findall(r"([\w-]+):(?:ROOT|ANN|val;)", said)
    assert sorted(named) == sorted(KINDS)
    page = PAGE.read_text(encoding="utf-8")
    table = page[page.index("## All kinds") : page.index("## AmodalSynthDrive")]
    assert sorted(re.findall(r"^\| `([\w-]+):", table, re.MULTILINE)) == sorted(KINDS)


def test_crowds_are_counted_and_told(tmp_path, capsys):
    content = example()
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"][1].pop("occluders")
    assert check(write(tmp_path, content)).odd == ["1 of 5 masks are crowds (iscrowd 1) and left out"]


def test_where_all_annotations_are_crowds_it_is_said_with_the_way_out(tmp_path, capsys):
    content = example()
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    data = write(tmp_path, content)
    odd, *_ = check(data).odd
    assert odd.startswith("all 5 masks are crowds (iscrowd 1) and left out") and "write iscrowd 0" in odd
    assert "crowds" not in capsys.readouterr().err
    open_dataset(data)
    assert "labels.json" in (warned := capsys.readouterr().err) and "all 5 annotations are crowds" in warned


def test_crowds_of_other_kinds_are_counted(tmp_path):
    from test_datasets_visible_json import write as write_visible
    from test_datasets_visible_json import ytvis
    from toy_kins import write_kins

    (tmp_path / "ytvis").mkdir()
    data = write_visible(tmp_path / "ytvis", "ytvis", ytvis())
    assert "3 of 6 masks are crowds (iscrowd 1) and left out" in check(data).odd
    data = write_kins(tmp_path / "kins", 1, 1)
    path = tmp_path / "kins" / "update_train_2020.json"
    path.write_text(path.read_text().replace('"iscrowd": 0', '"iscrowd": 1', 2))
    assert "2 of 3 masks are crowds (iscrowd 1) and left out" in check(data).odd
    data = write_toy(tmp_path / "asd", 1, 1, 1)
    (path,) = tmp_path.glob("asd/amodal_instance_seg/front/*/*.json")
    path.write_text(path.read_text().replace('"iscrowd":0', '"iscrowd":1', 1))
    assert "1 of 3 masks are crowds (iscrowd 1) and left out" in check(data).odd


def test_pictures_that_claim_to_be_enormous_do_not_end_it(tmp_path):
    data = write(tmp_path, example())
    for name, size in (("drive/000000.png", 60_000), ("yard.png", 2**31 - 1)):
        path = tmp_path / "images" / name
        path.write_bytes(png_of(path.read_bytes(), size))
    problems = list(check(data).problems)
    assert len(problems) == 2 and all("images" in problem for problem in problems)


def png_of(content: bytes, side: int) -> bytes:
    """A PNG whose head claims other sides."""
    head = b"IHDR" + struct.pack(">II", side, side) + content[24:29]
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]
