"""KINS-car in SAVOS' layout, on a miniature that is written here, and damaged or hostile ones."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import samodal.data.kinscar as kinscar
from samodal.cli.app import main
from samodal.data.open import open_dataset, several
from samodal.data.pickles import read_pickle
from samodal.errors import InputError
from toy_kins import image_entry
from toy_kinscar import FRAMES, OTHER, SIZES, VIDEO, box, found, pickled, seen_by_pointtrack, write_kinscar


def open_toy(data: str):
    return open_dataset(data).video(VIDEO)


def image_of(root: Path, t: int, video: str = VIDEO) -> Path:
    return root / "Kitti" / "raw_video" / video[:10] / video / f"{t:010d}.png"


@pytest.mark.parametrize("generation", ["2020", "old"])
def test_frames_that_are_images_of_kins_have_its_cars_as_truth(tmp_path, generation):
    dataset = open_dataset(write_kinscar(tmp_path, generation=generation))
    assert dataset.sequences == (VIDEO, OTHER) and len(dataset) == 2
    video, other = dataset
    assert (video.number, video.length, video.size, other.size) == (1, FRAMES, (20, 40), (18, 38))
    assert [(f.t, f.time, f.name) for f in video][3] == (3, 0.3, "0000000003.png")
    truth = dataset.truth(VIDEO)
    assert truth.labelled == (1, 3) and other.truth.labelled == (0,)
    assert [(one.id, one.category) for one in truth.tracks] == [(70, "car"), (20, "car")]
    first = truth.tracks[0]
    np.testing.assert_array_equal(first.amodal[1].decode(), box((20, 40), 5, 5, 17, 12))
    np.testing.assert_array_equal(first.visible[1].decode(), box((20, 40), 5, 5, 11, 12))
    assert first.amodal[0] is first.amodal[2] is first.amodal[3] is None
    (car,) = video.frame_truth(3)
    (seen,) = video.frame_visible(3)
    assert (car.id, car.amodal.area, seen.amodal.area) == (20, 84, 42)


def test_frames_without_labels_are_not_taken_for_empty_ones(tmp_path):
    video = open_toy(write_kinscar(tmp_path))
    for read in (video.frame_truth, video.frame_visible):
        with pytest.raises(InputError, match="0000000000.png: no image of KINS, so without labels"):
            read(0)


def test_frames_match_by_content_not_by_length_or_name(tmp_path):
    data = write_kinscar(tmp_path)
    kins = tmp_path / "Kins" / "training" / "image_2" / "000007.png"
    content = bytearray(kins.read_bytes())
    content[-6] ^= 1  # the same length
    kins.write_bytes(content)
    assert open_toy(data).truth.labelled == (3,)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_the_masks_of_pointtrack_are_found(tmp_path, protocol):
    clip = open_toy(write_kinscar(tmp_path, protocol=protocol)).detections
    (track,) = clip.tracks
    assert (track.id, track.category, clip.frames[2]) == (3, "car", "0000000002.png")
    for t in range(FRAMES):
        np.testing.assert_array_equal(track.visible[t].decode(), seen_by_pointtrack(VIDEO, t))
    assert track.amodal == (None,) * FRAMES


def test_keys_may_be_numbers_of_numpy(tmp_path):
    content = {name: {np.int64(3): {np.int32(t): f for t, f in found(name)[3].items()}} for name in SIZES}
    (track,) = open_toy(write_kinscar(tmp_path, content)).detections.tracks
    assert track.id == 3 and all(track.visible)


class Calls:
    """Pickled, a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("hostile", "name"),
    [
        (lambda mark: Calls(Path.touch, mark), "pathlib"),
        (lambda mark: Calls(exec, f"open({str(mark)!r}, 'w')"), "builtins.exec"),
        (lambda mark: Calls(getattr, "", "join"), "builtins.getattr"),
        (lambda mark: np.array([Calls(exec, f"open({str(mark)!r}, 'w')")], object), "builtins.exec"),
    ],
)
def test_a_pickle_that_would_run_code_is_refused_by_name_and_runs_nothing(tmp_path, hostile, name):
    mark = tmp_path / "it_ran"
    content = pickled() | {"extra": hostile(mark)}
    data = write_kinscar(tmp_path / "data", content)
    with pytest.raises(InputError, match=f"test_data.pkl: refused, as it names {name}.* could run code"):
        open_dataset(data)
    assert main(["data", "check", data]) == 1
    assert not mark.exists()
    pickle.loads(pickle.dumps(hostile(mark)))
    assert mark.exists() or name == "builtins.getattr"  # it does run code where it is let


def test_pickles_reach_no_numpy_and_nothing_outside(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([np.arange(3), np.float32(0.5), b"ab", np.array([[True], [False]])]))
    first, *others = read_pickle(path)
    assert (list(first), others[0], others[1], list(others[2])) == ([0, 1, 2], 0.5, b"ab", [True, False])
    assert not isinstance(first, np.ndarray)
    path.write_bytes(b"Pelsewhere\n.")
    with pytest.raises(InputError, match="objects outside itself"):
        read_pickle(path)
    path.write_bytes(pickle.dumps(np.array(["text"])))
    with pytest.raises(InputError, match="numbers alone are read"):
        read_pickle(path)
    path.write_bytes(b"\x82\x01.")  # a name by its number in the registry of extensions
    with pytest.raises(InputError, match="damaged pickle"):
        read_pickle(path)


class Buffer:
    """Is pickled as numpy's array over bytes that other arrays share."""

    def __init__(self, raw: bytes):
        self.raw = raw

    def __reduce__(self):
        make, *_ = np.zeros(0, np.uint8).__reduce__()
        return make, (np.ndarray, (0,), b"b"), (1, (len(self.raw),), np.dtype(np.uint8), False, self.raw)


def threefold(levels: int) -> bytes:
    """A tuple of thrice a tuple of thrice …, as a program of a pickle."""
    return b")" + b"".join(b"q%c0h%ch%ch%c\x87" % ((level,) * 4) for level in range(levels))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Nr\x00\x00\x00\x04.", "object number 67108864 after 1 steps"),  # 1 GB for the numbers before it
        (b"Np99999999\n.", "object number 99999999"),
        (b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.", "nested more than 100 deep"),  # a key: overflows C's stack
        (b"(" * 5000 + b"t" * 5000 + b".", "nested more than 100 deep"),
        (b"\x80\x02}" + threefold(40) + b"K\x01s.", "or into itself"),  # a key: hashed 3 ** 40 times
        (b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b".", "1099511627776 bytes"),
        (b"\x80\x05\x96" + (1 << 33).to_bytes(8, "little") + b".", "8589934592 bytes"),
        (pickle.dumps({1 << 90_000: 2}), "a number of 90001 bits"),
        (pickle.dumps([Buffer(shared) for shared in [bytes(1000)] * 50]), "hold more bytes than the file"),
        (b"\x80\x02t.", "an end without a beginning"),
    ],
)
def test_a_small_pickle_cannot_take_gigabytes_or_end_the_process(tmp_path, content, message):
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.pkl: (damaged|refused).*{message}"):
        read_pickle(tmp_path / "a.pkl")


def test_every_cut_pickle_is_refused(tmp_path):
    whole = pickle.dumps(pickled())
    path = tmp_path / "a.pkl"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="a.pkl: damaged pickle"):
            read_pickle(path)
    with pytest.raises(InputError, match="b.pkl: no such file"):
        read_pickle(tmp_path / "b.pkl")


def of_first(change) -> dict:
    content = pickled()
    change(content[VIDEO])
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "expected SAVOS'"),
        ({"a": [[["x" * 99] * 99] * 99] * 99}, r"a: expected a dict by object, got \[\[\[\.\.\."),
        (of_first(lambda v: v.update({"9" * 5000: {}})), "object '9999.*999' is no number"),
        (pickled() | {f"2011_09_26/{VIDEO}": {}}, "is there twice"),
        (pickled() | {"2011_09_30_drive_0009_sync": {}}, "no video 2011_09_30_drive_0009_sync in any date"),
        (of_first(lambda v: v.update({"3": v[3]})), "object 3 is there twice"),
        (of_first(lambda v: v.update({"x": v[3]})), "object 'x' is no number"),
        (of_first(lambda v: v[3].update({0: {}})), "object 3, t 0: no field 'VM'"),
        (of_first(lambda v: v[3][0].update(VM=[1, 2])), "expected run lengths"),
        (of_first(lambda v: v[3][0]["VM"].update(size=[9, 9])), "the mask is 9x9 but the frame is 20x40"),
        (of_first(lambda v: v[3][0]["VM"].update(size="ab")), "expected run lengths"),
        (of_first(lambda v: v[3][0]["VM"].update(counts=b"\xff")), "object 3, t 0"),
        (of_first(lambda v: v[3].update({9: v[3][0]})), "no image 0000000009.png, but object 3 has a mask in it"),
    ],
)
def test_damaged_content_is_refused(tmp_path, content, message):
    data = write_kinscar(tmp_path, content)
    with pytest.raises(InputError, match=message):
        _ = open_toy(data).detections
    assert main(["data", "check", data]) == 1


def test_a_front_end_without_these_masks_is_told_the_way_out(tmp_path, capsys):
    command = ["run", "--data", f"kins:{tmp_path}", "--vis", "kinscar", "--out", str(tmp_path / "out")]
    from toy_kins import write_kins

    command[2] = write_kins(tmp_path / "kins", 1, seed=1)
    assert main([*command, "--method", "copy-visible", "--no-overlay"]) == 2
    assert "--vis kinscar needs --data kinscar:ROOT/test" in capsys.readouterr().err


def test_missing_parts_are_named(tmp_path):
    data = write_kinscar(tmp_path)
    with pytest.raises(InputError, match="train_data.pkl: no such file"):
        open_dataset(data.replace("/test", "/train"))
    with pytest.raises(InputError, match="expected ROOT/train, ROOT/val or ROOT/test, with ,released-size"):
        open_dataset(f"{data},released")
    kins = tmp_path / "Kins"
    (kins / "training" / "image_2" / "000001.png").unlink()
    with pytest.raises(InputError, match="000001.png: no such image, but update_train_2020.json lists it"):
        open_dataset(data)
    text = (kins / "update_train_2020.json").read_text()
    (kins / "update_train_2020.json").write_text(text[:-9])
    with pytest.raises(InputError, match="not valid JSON"):
        open_dataset(data)
    (kins / "update_train_2020.json").unlink()
    with pytest.raises(InputError, match="neither update_train_2020.json nor instances_train.json"):
        open_dataset(data)


def test_images_that_do_not_fit_are_refused(tmp_path):
    data = write_kinscar(tmp_path)
    Image.fromarray(np.zeros((20, 41, 3), np.uint8)).save(image_of(tmp_path, 2))
    with pytest.raises(InputError, match="0000000002.png: 20x41 .* begins with 20x40"):
        open_toy(data).frame(2)
    image_of(tmp_path, 2).write_bytes(image_of(tmp_path, 1).read_bytes()[:60])
    with pytest.raises(InputError, match="0000000002.png: damaged picture"):
        open_toy(data).frame(2)
    image_of(tmp_path, 2).unlink()
    with pytest.raises(InputError, match="no image 0000000002.png, but object 3 has a mask"):
        _ = open_toy(data).detections


def test_annotations_of_another_size_are_refused(tmp_path):
    images = [image_entry(key, (20, 39)) for key in (1, 2, 5, 7)]
    data = write_kinscar(tmp_path, images=images)
    with pytest.raises(InputError, match=r"20x40 .* its annotations \(000007.png\) are for 20x39"):
        _ = open_toy(data).truth
    assert main(["data", "check", data]) == 1


def test_the_same_picture_twice_in_kins_is_refused(tmp_path):
    data = write_kinscar(tmp_path)
    folder = tmp_path / "Kins" / "training" / "image_2"
    (folder / "000001.png").write_bytes((folder / "000007.png").read_bytes())
    with pytest.raises(InputError, match="000001.png and 000007.png are the same picture"):
        _ = open_toy(data).truth


def test_data_check_counts_labelled_frames(tmp_path, capsys):
    assert main(["data", "check", write_kinscar(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "2 clips, 8 frames (3 labelled), 3 instances, 3 masks" in said
    assert "5 frames without labels" in said and "18x38 4" in said


def scores_of(tmp_path: Path, data: str, vis: str) -> dict:
    out, scores = tmp_path / vis, tmp_path / f"{vis}.json"
    run = ["run", "--data", data, "--vis", vis, "--method", "copy-visible", "--out", str(out), "--no-overlay"]
    assert main(run) == 0
    assert len((out / VIDEO / "frames.jsonl").read_text().splitlines()) == 1 + FRAMES  # all frames, not the labelled
    assert main(["evaluate", str(out), "--truth", data, "--masks", "visible", "--json", str(scores)]) == 0
    return json.loads(scores.read_text())


@pytest.mark.parametrize("vis", ["truth", "kinscar"])
def test_runs_on_all_frames_are_scored_on_the_labelled_ones_at_native_size(tmp_path, vis):
    scores = scores_of(tmp_path, write_kinscar(tmp_path / "data"), vis)
    assert scores["metrics"]["AP"] == 1.0
    assert (scores["counts"]["frames"], scores["counts"]["instances"]) == (3, 3)


def test_released_size_resizes_and_never_matches_other_native_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr(kinscar, "RELEASED_SIZE", (20, 40))
    data = f"{write_kinscar(tmp_path / 'data')},released-size"
    dataset = open_dataset(data)
    other = dataset.video(OTHER)
    assert other.size == (20, 40) and other.frame(0).image.shape == (20, 40, 3)
    assert other.truth.tracks[0].amodal[0].size == other.detections.tracks[0].visible[0].size == (20, 40)
    assert dataset.judged(VIDEO).keys() == {VIDEO}
    judged = dataset.judged(OTHER)
    assert judged[OTHER].tracks == () and judged[OTHER].size == (20, 40)
    assert judged[f"{OTHER}@native"].tracks[0].amodal[0].size == (18, 38)
    scores = scores_of(tmp_path, data, "kinscar")
    # Two of three found, and a false one of equal score between them: COCO's AP is the mean over 101 recalls.
    assert scores["counts"]["instances"] == 3 and scores["counts"]["detections"] == 3
    assert 0.4 < scores["metrics"]["AP50"] < 0.68


def test_the_option_is_no_data_set_of_its_own():
    assert several("kinscar:a/test,released-size,kins:b/val") == ["kinscar:a/test,released-size", "kins:b/val"]


def test_a_video_travels_to_another_process_with_its_own_labels_alone(tmp_path):
    video = open_toy(write_kinscar(tmp_path))
    copy = pickle.loads(pickle.dumps(video))
    assert copy._kins is None
    assert copy.truth.labelled == (1, 3) and copy.frame_truth(1)[0].amodal == video.frame_truth(1)[0].amodal


def test_videos_without_a_match_count_for_nothing_and_only_images_are_scored(tmp_path, capsys):
    data = write_kinscar(tmp_path / "data")
    (tmp_path / "data" / "Kins" / "training" / "image_2" / "000005.png").write_bytes(b"another")
    out, scores = tmp_path / "out", tmp_path / "scores.json"
    run = ["run", "--data", data, "--vis", "kinscar", "--method", "hull", "--out", str(out), "--no-overlay"]
    assert main(run) == 0
    assert main(["evaluate", str(out), "--truth", data, "--json", str(scores)]) == 0
    content = json.loads(scores.read_text())
    assert content["counts"]["instances"] == content["counts"]["detections"] == 2
    # Amodal 12 x 7 of each car, of which PointTrack saw 6 x 7. Its one track is paired in both frames.
    assert (content["level"], content["metrics"]["miou"]) == ("image", 0.5)
    assert main(["evaluate", str(out), "--truth", data, "--level", "video"]) == 2
    assert "give --level image" in capsys.readouterr().err
