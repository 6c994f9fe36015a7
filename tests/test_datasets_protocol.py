"""What every data set is: a kind of one's own needs no more than its frames and labels."""

import json

import numpy as np
import pytest
from PIL import Image

from samodal.data.dataset import Dataset, InstanceTruth, LabelledVideo
from samodal.data.open import KINDS, open_dataset
from samodal.errors import InputError
from samodal.files import inside, read_json, safe_name
from samodal.rle import Rle

WHOLE = Rle.encode(np.ones((4, 6), bool))
LEFT = Rle.encode(np.indices((4, 6))[1] < 2)


class Drive(LabelledVideo):
    """Two frames, numbers 3 and 5: a car, which is hidden completely in the second."""

    size = (4, 6)
    numbers = (3, 5)

    def __init__(self, folder):
        self.name, self.number, self.source = "drive", 1, str(folder)
        self.paths = (folder / "3.png", folder / "5.png")
        for path in self.paths:
            Image.new("RGB", (6, 4)).save(path)

    def frame_truth(self, t):
        return [InstanceTruth(7, "car", WHOLE, LEFT if t == 0 else None)]

    def frame_visible(self, t):
        return [InstanceTruth(7, "car", LEFT, LEFT)] if t == 0 else []


class DriveOfWhatIsVisible(Drive):
    has_amodal = False

    def frame_truth(self, t):
        return LabelledVideo.frame_truth(self, t)


def test_frames_times_and_tracks_follow_from_paths_numbers_and_labels(tmp_path):
    video = Drive(tmp_path)
    assert [(frame.t, frame.time, frame.name) for frame in video] == [(0, 0.0, "3.png"), (1, 0.2, "5.png")]
    (car,) = video.truth.tracks
    assert (car.visible, car.amodal, video.truth.labelled) == ((LEFT, None), (WHOLE, WHOLE), None)
    assert (len(video), video.detections, video.labels(1)[0].amodal) == (2, None, WHOLE)


def test_where_only_what_is_visible_is_known_amodal_columns_are_empty(tmp_path):
    video = DriveOfWhatIsVisible(tmp_path)
    (car,) = video.truth.tracks
    assert (car.visible, car.amodal) == ((LEFT, None), (None, None))
    assert [len(video.labels(t)) for t in range(2)] == [1, 0]
    with pytest.raises(InputError, match="there are no amodal masks"):
        video.frame_truth(0)


def test_broken_labels_of_a_frame_are_reported_and_a_picture_of_another_size_is_refused(tmp_path):
    video, problems = DriveOfWhatIsVisible(tmp_path), []
    video.has_amodal = True
    assert video.labels(0, problems.append) is None and "no amodal masks" in problems[0]
    Image.new("RGB", (6, 5)).save(tmp_path / "5.png")
    with pytest.raises(InputError, match="5.png: 5x6 .* but the sequence begins with 4x6"):
        video.frame(1)


def test_masks_can_be_let_go_and_are_read_again(tmp_path):
    video = Drive(tmp_path)
    before = video.truth
    video.forget()
    assert video.truth is not before and video.truth == before


def test_a_data_set_gives_its_sequences_by_name(tmp_path):
    dataset = Dataset("here", ["drive"], {"drive": Drive(tmp_path)}.__getitem__)
    assert [video.name for video in dataset] == ["drive"] and len(dataset) == 1
    assert dataset.judged("drive") == {"drive": dataset.truth("drive")} and dataset.unlisted() == []
    with pytest.raises(InputError, match="here: no sequence 'walk'; it begins with drive"):
        dataset.video("walk")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/a", "a\\b", "a\0b", "a\nb", "\x1b[8m", "\ud800", "a" * 300, None, 7]
)
def test_a_name_that_leads_out_of_a_folder_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="here: the name .* cannot name a folder"):
        safe_name(name, "here")
    with pytest.raises(InputError, match="cannot name a folder"):
        Dataset("here", [name], {}.__getitem__)
    with pytest.raises(InputError, match="cannot name a folder"):
        inside(tmp_path, name)


@pytest.mark.parametrize(
    "name", ["a", "...", "12:30:45", "Straße 7", "نیم\u200cفاصله", "日本\u3000x", "-rf", "~", "Stra\udcdfe"]
)
def test_a_name_of_any_script_stays_right_below_its_folder(tmp_path, name):
    assert inside(tmp_path, name).parent == tmp_path and inside(tmp_path, name).name == name


def test_every_sequence_of_every_kind_that_needs_no_file_is_of_the_protocol():
    video = open_dataset("chewing-gum:val,1").video("val_00000")
    assert isinstance(video, LabelledVideo) and video.number == 1 and "chewing-gum" in KINDS


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5_000])
def test_json_that_python_cannot_read_is_one_sentence(tmp_path, text):
    path = tmp_path / "deep.json"
    path.write_text(text)
    with pytest.raises(InputError, match="deep.json: no JSON that can be read"):
        read_json(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path)
    path.write_text(json.dumps({"a": 1}))
    assert read_json(path) == {"a": 1}


def test_a_picture_that_claims_more_pixels_than_any_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match="3.png: 24 pixels; the limit is"):
        Drive(tmp_path).frame(0)
