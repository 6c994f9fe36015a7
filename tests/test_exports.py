"""Exports: each is opened by the library that it is made for, and what it cannot hold is told with counts."""

import json
import sys
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from samodal.cli.app import main
from samodal.data.open import open_dataset
from samodal.errors import InputError
from samodal.exports.convert import convert, save
from samodal.exports.formats import FORMATS, wanted
from samodal.exports.from_cvat import read_cvat
from samodal.exports.polygons import drawn, polygons
from samodal.exports.source import of_run
from samodal.masks import Mask
from samodal.metrics.evaluate import ScoringRules, evaluate
from samodal.results.frames import FramesWriter
from samodal.results.kitti_mots import read_kitti_text
from samodal.results.tracks_json import write_tracks_of
from samodal.rle import Rle
from samodal.tracks import FrameResult, Instance, State
from test_architecture import loaded_by

SIZE = (48, 64)


def block(x, y, width, height):
    mask = np.zeros(SIZE, bool)
    mask[y : y + height, x : x + width] = True
    return mask


CAR, POLE = block(10, 10, 24, 12), block(20, 4, 4, 30)
FRAMES = [  # a car behind a pole: in two pieces, then hidden, then gone, then back; a person with a hole
    [("c1", "car", 0.75, "visible", CAR & ~POLE, CAR), (7, "person", None, "visible", POLE, POLE)],
    [("c1", "car", 0.5, "hidden", None, CAR), (7, "person", None, "visible", POLE & ~block(21, 12, 2, 2), POLE)],
    [("c1", "car", None, "lost", None, None), (7, "person", None, "visible", POLE, POLE)],
    [("c1", "car", 0.25, "visible", CAR, CAR), (9, "tuk <&> tuk", 0.5, "visible", CAR, CAR)],
]


def results():
    for t, entries in enumerate(FRAMES):
        yield FrameResult(t, t / 5, tuple(Instance(k, c, s, State(state), v, a) for k, c, s, state, v, a in entries))


@pytest.fixture
def run(tmp_path):
    """The folder of a run on a video: its frames 4, 5, 6, 7."""
    folder, settings = tmp_path / "run", {"fps": 5.0, "source": "drive.mp4"}
    with FramesWriter(folder / "frames.jsonl", "drive", SIZE, settings) as writer:
        for result in results():
            writer.write(result, f"{result.t + 4:06d}")
    named = ((f"{result.t + 4:06d}", result) for result in results())
    write_tracks_of(folder / "tracks.json", "drive", SIZE, named, settings)
    return folder


def made(run, name):
    """What was told, and the place of an export."""
    return "\n".join(save(run, name)), run / "exports" / FORMATS[name].output


def test_coco_is_opened_by_pycocotools_with_whole_masks_and_visible_ones_beside(run):
    told, path = made(run, "coco")
    coco = COCO(path)
    (image,) = coco.loadImgs([5])
    assert (image["file_name"], image["frame_id"], image["height"]) == ("000004.jpg", 4, 48)
    car, person = coco.loadAnns(coco.getAnnIds(imgIds=[5]))
    assert (coco.annToMask(car) == CAR).all() and car["bbox"] == [10, 10, 24, 12] and car["area"] == CAR.sum()
    assert Rle.from_coco(car["visible"], SIZE).area == (CAR & ~POLE).sum()
    assert car["occlude_rate"] == pytest.approx((CAR & POLE).sum() / CAR.sum(), abs=1e-6) and person["score"] is None
    assert {c["name"] for c in coco.loadCats(coco.getCatIds())} == {"car", "person", "tuk <&> tuk"}
    assert "1 instances of frames left out: they are lost" in told


def test_coco_is_read_back_as_a_data_set_with_tracks_and_hidden_instances(run, tmp_path):
    _, path = made(run, "coco")
    (tmp_path / "images").mkdir()
    for n in range(4, 8):
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "images" / f"{n:06d}.jpg")
    video = open_dataset(f"coco:{path},{tmp_path / 'images'}").video("drive")
    truth = video.truth
    car = truth.tracks[0]
    assert (video.fps, len(truth.tracks), car.category) == (5.0, 3, "car")
    assert (car.amodal[1].decode() == CAR).all() and car.visible[1] is None and car.amodal[2] is None


def test_youtube_vis_results_are_scored_against_the_truth_of_the_run(run):
    told, folder = made(run, "youtubevis")
    for kind in ("amodal", "visible"):
        rules = ScoringRules(masks=kind, profile="strict")
        scores = evaluate(str(folder / f"{kind}.json"), str(run / "tracks.json"), rules)
        assert scores["metrics"]["AP"] == 1.0
    (car, person, _) = json.loads((folder / "amodal.json").read_text())
    assert [mask is None for mask in car["segmentations"]] == [False, False, True, False]
    assert car["score"] == 0.5 and person["score"] == 1.0
    assert "1 tracks of amodal masks that get the score 1" in told


def test_mots_text_has_a_pixel_once_and_leaves_out_other_classes_with_their_number(run):
    told, folder = made(run, "mots")
    clip = read_kitti_text(folder / "visible.txt", "drive", SIZE, 8)
    car, person = clip.tracks
    assert (car.id, person.id, car.category) == (1000, 2000, "car")
    assert (car.visible[4].decode() == (CAR & ~POLE)).all() and car.visible[5] is None
    whole = read_kitti_text(folder / "amodal.txt", "drive", SIZE, 8)
    assert (whole.tracks[0].visible[5].decode() == CAR).all()
    assert "1 instances of frames left out: neither car nor person" in told and "masks of amodal.txt overlap" in told


def test_of_two_visible_masks_on_one_pixel_mots_keeps_the_first(tmp_path):
    both = (Instance(1, "car", 1.0, State.VISIBLE, CAR, CAR), Instance(2, "person", 1.0, State.VISIBLE, POLE, POLE))
    with FramesWriter(tmp_path / "frames.jsonl", "a", SIZE) as writer:
        writer.write(FrameResult(0, 0.0, both))
    told, folder = made(tmp_path, "mots")
    first, second = read_kitti_text(folder / "visible.txt", "a", SIZE, 1).tracks
    assert (second.visible[0].decode() == (POLE & ~CAR)).all()
    assert f"{(CAR & POLE).sum()} visible pixels of two instances, which the first alone has" in told


def imported(path):
    """What CVAT's importer makes of a file: of a track of masks the first shape alone, and no track without key frame.

    Returns:
        (label, group, kind of shape, {frame: (attributes, outside)}) of each.
    """
    tracks = []
    for track in ElementTree.parse(path).getroot().iter("track"):
        shapes = [shape for shape in track if shape.attrib["keyframe"] == "1"]
        kind = shapes[0].tag  # an IndexError of the importer, where there is none
        shapes = shapes[:1] if kind == "mask" else shapes
        told = {int(s.attrib["frame"]): (s.attrib, s.attrib.get("outside", "0") == "1") for s in shapes}
        tracks.append((track.attrib["label"], int(track.attrib["group_id"]), kind, told))
    return tracks


@pytest.mark.parametrize("name", ["cvat", "cvat-masks"])
def test_cvat_loses_no_frame_of_a_track_and_finds_what_is_visible_and_whole_in_one_group(name, run):
    _, path = made(run, name)
    frames = {}
    for label, group, kind, shapes in imported(path):
        assert kind == ("polygon" if name == "cvat" else "mask")
        frames.setdefault((label, group), set()).update(frame for frame, (_, out) in shapes.items() if not out)
    assert frames == {
        ("car", 1): {4, 7}, ("car (amodal)", 1): {4, 5, 7}, ("person", 2): {4, 5, 6}, ("person (amodal)", 2): {4, 5, 6},
        ("tuk <&> tuk", 3): {7}, ("tuk <&> tuk (amodal)", 3): {7},
    }  # fmt: skip


def test_cvat_has_the_fields_that_its_documentation_names(run):
    _, path = made(run, "cvat")
    root = ElementTree.parse(path).getroot()
    assert root.tag == "annotations" and root.findtext("version") == "1.1"
    labels = json.loads(path.with_suffix(".labels.json").read_text())
    assert [label["name"] for label in labels] == [e.text for e in root.findall("meta/task/labels/label/name")]
    assert {a["name"]: a["mutable"] for a in labels[0]["attributes"]}["id"] is False
    for shape in root.iter("polygon"):
        assert {"frame", "keyframe", "outside", "occluded", "z_order", "points"} <= shape.attrib.keys()
        assert all(len(n.split(".")[1]) == 2 for pair in shape.attrib["points"].split(";") for n in pair.split(","))
        assert {a.attrib["name"] for a in shape} == {"id", "state", "visible_share", "confidence"}
    # The car leaves in frame 6, and is back in frame 7.
    whole = next(t for t in root.iter("track") if t.attrib["label"] == "car (amodal)")
    assert [(s.attrib["frame"], s.attrib["outside"], s.attrib["occluded"]) for s in whole] == [
        ("4", "0", "1"), ("5", "0", "1"), ("6", "1", "1"), ("7", "0", "0")
    ]  # fmt: skip


def test_masks_come_back_from_cvat_exactly_and_polygons_nearly_with_ids_states_and_scores(run):
    told, path = made(run, "cvat")
    for name, least in (("cvat-masks", 1.0), ("cvat", 0.9)):
        again = dict(read_cvat(made(run, name)[1], fps=5).read())
        assert list(again) == [f"{n:06d}" for n in range(4, 8)]
        for result in results():
            back = again[f"{result.t + 4:06d}"]
            wanted_ids = [i.id for i in result if i.amodal is not None]
            assert sorted(map(str, back.ids)) == sorted(map(str, wanted_ids))
            for key in wanted_ids:
                a, b = result[key], back[key]
                assert (b.category, b.state, b.score, b.id) == (a.category, a.state, a.score, a.id)
                assert a.amodal.iou(b.amodal) >= least
                assert (a.visible is None) == (b.visible is None)
                assert a.visible is None or a.visible.iou(b.visible) >= least
    pixels = sum(mask.sum() for entries in FRAMES for *_, v, a in entries for mask in (v, a) if mask is not None)
    assert f"4 of {pixels:,} pixels that polygons have too many or too few" in told  # the hole


def test_a_polygon_that_was_corrected_in_cvat_comes_back_as_coco(run, tmp_path, capsys):
    _, path = made(run, "cvat")
    tree = ElementTree.parse(path)
    whole = next(t for t in tree.getroot().iter("track") if t.attrib["label"] == "car (amodal)")
    whole[1].attrib["points"] = "10,10;40,10;40,22;10,22"
    tree.write(tmp_path / "corrected.xml")
    (tmp_path / "images").mkdir()
    for n in range(8):
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "images" / f"shot_{n}.png")
    to = tmp_path / "labels.json"
    flags = ["--from", "cvat", "--to", f"coco:{to}", "--images", str(tmp_path / "images"), "--fps", "5"]
    assert main(["convert", str(tmp_path / "corrected.xml"), *flags]) == 0
    assert f"coco: {to}" in capsys.readouterr().out
    truth = open_dataset(f"coco:{to},{tmp_path / 'images'}").video("drive").truth
    assert (truth.frames[1], truth.tracks[0].amodal[1].area) == ("shot_5.png", 30 * 12)


def test_frames_that_cvat_interpolates_and_those_that_nobody_looked_at_are_left_out_and_told(tmp_path):
    with FramesWriter(tmp_path / "frames.jsonl", "a", SIZE, {"stride": 2}) as writer:
        for t in range(3):
            writer.write(FrameResult(t, t / 5, (Instance(1, "car", 1.0, State.VISIBLE, CAR, CAR),)), f"{6 + 2 * t:06d}")
    source = read_cvat(made(tmp_path, "cvat")[1])
    assert [name for name, _ in source.read()] == ["000006", "000008", "000010"]
    assert source.notes == ("2 frames between key frames left out: export them from CVAT, which interpolates them",)


def test_cvat_for_images_other_xml_and_what_is_cut_off_are_refused_in_a_line(run, tmp_path):
    _, path = made(run, "cvat")
    whole = path.read_text()
    for text, message in (
        ("<annotations><image id='0'/></annotations>", "export the task as CVAT for video"),
        ("<osm/>", "expected annotations of CVAT, found <osm>"),
        (whole[: len(whole) // 2], "was the file cut off"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotations>&x;</annotations>', "declares a document type"),
        (whole.replace('frame="5"', 'frame="x"', 1), "frame must be"),
        (whole.replace('points="', 'points="nan,1;', 1), "expected coordinates"),
        (whole.replace("<height>48</height>", ""), "height must be"),
    ):
        (tmp_path / "a.xml").write_text(text)
        with pytest.raises(InputError, match=message):
            read_cvat(tmp_path / "a.xml")


def test_label_studio_gets_boxes_that_end_where_nothing_is(run):
    told, path = made(run, "labelstudio")
    ((task),) = json.loads(path.read_text())
    regions = {region["id"]: region for region in task["predictions"][0]["result"]}
    value = regions["amodal-1"]["value"]
    assert task["data"] == {"video": "drive.mp4"} and value["labels"] == ["car (amodal)"]
    first, second, third = value["sequence"]
    assert (first["frame"], first["enabled"], second["enabled"], third["frame"]) == (5, True, False, 8)
    assert first["x"] == pytest.approx(100 * 10 / 64) and first["height"] == pytest.approx(25)
    configuration = ElementTree.parse(path.with_suffix(".config.xml")).getroot()
    assert configuration.find("VideoRectangle").attrib == {"name": "box", "toName": "video"}
    assert "car (amodal)" in [label.attrib["value"] for label in configuration.iter("Label")]
    assert "13 masks of which the boxes alone are in it" in told


def test_pictures_hold_numbers_of_visible_instances_and_each_whole_mask(run):
    _, folder = made(run, "png")
    about = json.loads((folder / "about.json").read_text())
    assert about["tracks"]["1"] == {"id": "c1", "class": "car"} and about["size"] == [48, 64]
    numbers = np.array(Image.open(folder / "visible" / "000004.png"))
    assert numbers.dtype == np.uint16 and ((numbers == 1) == (CAR & ~POLE)).all() and ((numbers == 2) == POLE).all()
    assert (np.array(Image.open(folder / "amodal" / "00001" / "000005.png")) == CAR).all()


def test_text_has_a_class_a_polygon_a_score_and_an_id_in_each_line(run):
    told, folder = made(run, "savetxt")
    assert (folder / "classes.txt").read_text().splitlines()[0] == "car"
    line = (folder / "amodal" / "000005.txt").read_text().splitlines()[0].split()
    outline = np.array(line[1:-2], float).reshape(-1, 2) * (64, 48)
    assert (line[0], line[-2:]) == ("0", ["0.5", "1"])
    assert (drawn([outline], SIZE).decode() == CAR).all()
    assert "whole masks that get the score 1" in told and "largest parts alone" in told
    assert len((folder / "visible" / "000006.txt").read_text().splitlines()) == 1


def test_a_table_is_read_by_arrow_pandas_and_duckdb(run):
    pytest.importorskip("pyarrow", reason="pip install 'samodal[tables]'")
    from pyarrow import parquet

    told, path = made(run, "parquet")
    table = parquet.read_table(path)
    first = table.slice(0, 1).to_pylist()[0]
    assert told == f"parquet: {path}" and table.num_rows == 8
    assert (first["id"], first["frame"], first["state"], first["hidden_by"]) == ("c1", 4, "visible", ["7"])
    mask = Rle.from_coco({"size": [first["height"], first["width"]], "counts": first["amodal_rle"]}, SIZE)
    assert (mask.decode() == CAR).all()
    assert json.loads(table.schema.metadata[b"samodal"])["settings"]["source"] == "drive.mp4"
    lost = table.to_pylist()[4]
    assert lost["state"] == "lost" and lost["amodal_rle"] is None and lost["visible_share"] is None
    pandas = pytest.importorskip("pandas", reason="pip install 'samodal[tables]'")
    frame = pandas.read_parquet(path)
    assert frame.groupby("id", observed=True).size().to_dict() == {"7": 3, "9": 1, "c1": 4}
    duckdb = pytest.importorskip("duckdb", reason="pip install duckdb")
    hidden = duckdb.sql(f"select count(*) from '{path}' where visible_share < 0.5").fetchall()
    assert hidden == [(1,)]


def test_fiftyone_gets_a_data_set_with_the_detections_of_each_frame(run, monkeypatch):
    made_sets = {}

    class Fields(dict):
        def __init__(self, **fields):
            super().__init__(fields)
            self.frames = {}

    class DataSet:
        def __init__(self, name, persistent):
            made_sets[name] = self

        def add_sample(self, sample):
            self.sample = sample

    kinds = dict.fromkeys(("Sample", "Frame", "Detection", "Detections"), Fields)
    module = types.SimpleNamespace(Dataset=DataSet, dataset_exists=lambda name: name == "taken", **kinds)
    monkeypatch.setitem(sys.modules, "fiftyone", module)
    module.__spec__ = types.SimpleNamespace()
    told = "\n".join(save(run, "fiftyone"))
    frames = made_sets["samodal-drive"].sample.frames
    car = frames[5]["visible"]["detections"][0]
    assert (car["label"], car["index"], car["mask"].shape) == ("car", 1, (12, 24)) and "samodal-drive" in told
    assert list(frames) == [5, 6, 7, 8] and len(frames[6]["visible"]["detections"]) == 1
    with pytest.raises(InputError, match="has a data set 'taken' already"):
        list(save(run, "fiftyone:taken"))


def test_polygons_run_along_the_edges_of_pixels_and_are_drawn_as_the_same_mask():
    rng = np.random.default_rng(3)
    for _ in range(30):
        noise = rng.random((8, 10)).repeat(4, 0).repeat(4, 1) > 0.4
        noise[:, :4] = noise[:4] = False
        mask = Mask.of(noise)
        parts = polygons(mask)
        filled = drawn(parts, mask.size).decode()
        assert (filled & noise).sum() == noise.sum()  # nothing is cut off; what is more are holes
    assert [part.tolist() for part in polygons(Mask.of(block(3, 5, 2, 4)))] == [[[3, 5], [3, 9], [5, 9], [5, 5]]]


def test_a_format_that_is_not_known_or_not_installed_is_refused_before_anything_is_written(monkeypatch, run, capsys):
    assert [name for name, _ in wanted("coco:a,b.json,mots,cvat-masks")] == ["coco", "mots", "cvat-masks"]
    assert wanted("coco:a,b.json,mots")[0][1] == Path("a,b.json")
    monkeypatch.setattr("samodal.exports.formats.find_spec", lambda name: None)
    for to, message in (
        ("cocoo", "unknown format 'cocoo'; did you mean 'coco'"),
        ("coco:a.json,cvt", "unknown format 'cvt' after coco; did you mean 'cvat'"),
        ("coco:a.json,mot:x.txt", "unknown format 'mot' after coco; did you mean 'mots'"),
        ("coco,coco", "format 'coco' is there twice"),
        ("parquet", "pip install 'samodal[tables]'"),
        ("fiftyone", "pip install fiftyone"),
    ):
        assert main(["convert", str(run), "--to", to]) == 2
        assert message in capsys.readouterr().err
    assert not (run / "exports").exists()
    with pytest.raises(SystemExit):
        main(["convert", "--to", "list", str(run)])
    assert "CVAT for video" in capsys.readouterr().out


def test_an_export_that_is_there_is_replaced_where_that_is_asked_for_alone(run, capsys):
    for flags, code in (([], 0), ([], 2), (["--overwrite"], 0)):
        assert main(["convert", str(run), "--to", "mots,coco", *flags]) == code
    assert "is there already; give another path, or --overwrite" in capsys.readouterr().err


def test_a_folder_of_something_else_and_what_is_read_are_never_replaced(run, tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.jpg").touch()
    with pytest.raises(InputError, match="is a folder of something else"):
        list(convert(run, f"png:{tmp_path / 'holiday'}", overwrite=True))
    with pytest.raises(InputError, match="is read by this command"):
        list(convert(run, f"coco:{run / 'frames.jsonl'}", overwrite=True))
    assert (tmp_path / "holiday" / "beach.jpg").exists()


def test_an_export_of_a_run_replaces_neither_its_results_nor_its_video_nor_another_export(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    Path("drive.mp4").write_bytes(b"the video")
    before = {path: path.read_bytes() for path in (Path("drive.mp4"), run / "frames.jsonl", run / "tracks.json")}
    for place in before:
        for write in (lambda to: save(run, to), lambda to: convert(run, to, overwrite=True)):
            with pytest.raises(InputError, match="would be replaced"):
                list(write(f"coco:{place}"))
    with pytest.raises(InputError, match="is given for coco and for labelstudio"):
        list(convert(run, "coco:both.json,labelstudio:./both.json"))
    assert {path: path.read_bytes() for path in before} == before and not Path("both.json").exists()


def test_a_run_is_not_begun_whose_exports_would_replace_its_video(tmp_path, capsys):
    video = tmp_path / "drive.mp4"
    video.write_bytes(b"the video")
    assert main(["run", str(video), "--out", str(tmp_path / "run"), "--save", f"coco:{video}"]) == 2
    assert "would be replaced" in capsys.readouterr().err and video.read_bytes() == b"the video"


def test_the_runs_of_several_clips_are_converted_each_in_its_folder(run, tmp_path):
    run.rename(tmp_path / "all")
    (tmp_path / "all" / "other").mkdir()
    (tmp_path / "all" / "frames.jsonl").rename(tmp_path / "all" / "other" / "frames.jsonl")
    list(convert(tmp_path / "all", "coco"))
    assert (tmp_path / "all" / "other" / "exports" / "coco.json").exists()


def test_a_run_that_is_not_finished_says_so(run, tmp_path):
    (run / "run.json").write_text('{"complete": false}')
    told = "\n".join(save(run, "coco"))
    assert "the run is not finished: these are its frames so far" in told
    (run / "unfinished").mkdir()
    (run / "frames.jsonl").rename(run / "unfinished" / "frames.jsonl")
    with pytest.raises(InputError, match="is not finished; run the same command again, or give .*unfinished"):
        list(save(run, "coco"))


def test_converting_a_run_loads_no_model(run):
    code = f"from samodal.cli.app import main; main(['convert', {str(run)!r}, '--to', 'coco,cvat,mots,png,savetxt'])"
    loaded = loaded_by(code)
    assert "samodal" in loaded and not loaded & {"torch", "transformers", "av"}


def test_an_export_that_fails_leaves_the_older_one(run, monkeypatch):
    _, folder = made(run, "mots")
    before = (folder / "visible.txt").read_bytes()
    lines = (run / "frames.jsonl").read_text().splitlines()
    (run / "frames.jsonl").write_text("\n".join([*lines[:3], "{broken", *lines[4:]]) + "\n")
    with pytest.raises(InputError, match="frames.jsonl, line 4"):
        made(run, "mots")
    assert (folder / "visible.txt").read_bytes() == before
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mots"]


def test_names_that_no_utf_8_can_hold_are_escaped_in_a_table(tmp_path):
    pytest.importorskip("pyarrow", reason="pip install 'samodal[tables]'")
    from pyarrow import parquet

    with FramesWriter(tmp_path / "frames.jsonl", "clip \ud800", SIZE) as writer:
        writer.write(FrameResult(0, 0.0, (Instance("a\udfff", "car \ud800", 1.0, State.VISIBLE, CAR, CAR),)))
    (row,) = parquet.read_table(made(tmp_path, "parquet")[1]).to_pylist()
    assert (row["video"], row["id"], row["category"]) == ("clip \\ud800", "a\\udfff", "car \\ud800")


def test_labels_for_cvat_have_the_names_of_its_tracks(tmp_path):
    with FramesWriter(tmp_path / "frames.jsonl", "clip", SIZE) as writer:
        writer.write(FrameResult(0, 0.0, (Instance(1, "car \x1b[31m", 1.0, State.VISIBLE, CAR, CAR),)))
    _, path = made(tmp_path, "cvat")
    names = [label["name"] for label in json.loads(path.with_suffix(".labels.json").read_text())]
    assert [track.get("label") for track in ElementTree.parse(path).iter("track")] == names


def test_a_file_of_cvat_without_a_shape_is_refused_with_what_it_lacks(tmp_path):
    with FramesWriter(tmp_path / "frames.jsonl", "clip", SIZE) as writer:
        writer.write(FrameResult(0, 0.0, ()))
    _, path = made(tmp_path, "cvat")
    with pytest.raises(InputError, match="cvat.xml: no track in it has a shape"):
        list(convert(path, "coco", "cvat"))


def test_an_id_used_again_after_a_cut_is_another_track_in_every_format(tmp_path):
    with FramesWriter(tmp_path / "frames.jsonl", "a", SIZE) as writer:
        for t, cut in ((0, False), (1, True)):
            writer.write(FrameResult(t, t / 10, (Instance(5, "car", 1.0, State.VISIBLE, CAR, CAR),), cut))
    assert list(of_run(tmp_path).contents.tracks) == [5, "5@1"]
    _, path = made(tmp_path, "coco")
    assert [entry["track_id"] for entry in json.loads(path.read_text())["annotations"]] == [1, 2]
