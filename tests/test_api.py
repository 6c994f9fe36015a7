"""The way in from Python: what it takes, what it gives, and that its types hold."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import samodal
import samodal.api
from made_up import SIZE, image_of, passing_square, square
from samodal.api import AmodalTracker
from samodal.method.hindsight import Offline
from samodal.method.pipeline import Pipeline
from samodal.method.rules import preset
from samodal.settings import RunSettings
from samodal.trackers.still import Still
from samodal.video import ArrayVideo
from test_pipeline import FrameOracle

ROOT = Path(__file__).parents[1]


class Sighted:
    """A front end that sees the square of each frame, and keeps what it is told."""

    def __init__(self, observed):
        self.by_pixels = {seen.frame.image.tobytes(): seen.visible for seen in observed}
        self.opened, self.learned = [], []

    def open(self, video):
        self.opened.append((video.name, video.size))
        return self

    def step(self, frame, t):
        return self.by_pixels[frame.tobytes()]

    def learn(self, result):
        self.learned.append(result.t)

    def reset(self):
        self.learned = []


def tracker(**options):
    truth, observed = passing_square(20)
    pipeline = Pipeline(FrameOracle(truth, observed), Still(), preset("default"))
    front_end = Sighted(observed)
    return AmodalTracker(pipeline, RunSettings(**options), front_end), front_end, observed


def told(results):
    return [[(i.id, i.state, i.visible, i.amodal, i.score) for i in result] for result in results]


def test_pairs_images_alone_an_opened_video_and_single_steps_give_the_same():
    whole, front_end, observed = tracker()
    images = [seen.frame.image for seen in observed]
    expected = told(whole.stream(((seen.frame.image, seen.visible) for seen in observed), name="clip"))
    assert front_end.opened == []
    assert told(whole.stream(images, name="clip")) == expected
    assert told(whole.stream(ArrayVideo("clip", np.stack(images)))) == expected
    whole.reset("clip")
    assert told(whole.step(image) for image in images) == expected
    assert front_end.opened == [("clip", SIZE)] * 3
    assert front_end.learned == list(range(20)) * 3


def test_a_frame_gives_masks_boxes_and_instances_by_id():
    stream, _, observed = tracker()
    *_, frame = stream.stream([seen.frame.image for seen in observed[:8]])
    assert frame.ids == [7] and len(frame) == 1 and "7" in frame and 8 not in frame
    assert frame["7"] is frame[7] is frame.instances[0]
    assert np.array_equal(frame.image, observed[7].frame.image)
    (amodal,), (visible,), (hidden,) = (frame.masks(kind) for kind in ("amodal", "visible", "hidden"))
    assert np.array_equal(visible, observed[7].visible[0].mask.decode())
    assert np.array_equal(hidden, amodal & ~visible) and hidden.any()
    assert frame.boxes("visible").tolist() == [[38, 20, 50, 36]]
    with pytest.raises(KeyError, match="no instance 9 in frame 7; there are 7"):
        frame[9]
    with pytest.raises(ValueError, match="expected amodal, visible or hidden masks, got 'modal'"):
        frame.masks("modal")


def test_a_refused_frame_can_be_given_again():
    stream, _, observed = tracker()
    image, visible = observed[0].frame.image, observed[0].visible
    stream.step(image, visible)
    with pytest.raises(samodal.InputError, match="uint8 RGB"):
        stream.step(image / 255, visible)
    assert stream.step(image, visible).t == 1


@pytest.mark.parametrize(
    "wrong",
    [
        (None, None),
        (lambda image: image, float("nan")),
        (lambda image: image[:-2], None),
        (lambda image: image / 255, None),
        (lambda image: image[..., 0], None),
        (lambda image: np.dstack([image, image[..., :1]]), None),
    ],
)
def test_a_refused_frame_does_not_reach_the_front_end(wrong):
    stream, front_end, observed = tracker()
    image, (change, time) = observed[0].frame.image, wrong
    stream.step(image)
    front_end.step = None
    with pytest.raises(samodal.InputError):
        stream.step(change and change(image), time=time)
    del front_end.step
    assert stream.step(image).t == 1 and front_end.learned == [0, 1]


def test_a_picture_without_a_pixel_is_refused_before_a_front_end_is_opened():
    stream, front_end, _ = tracker()
    with pytest.raises(samodal.InputError, match="image: 0x0 pixels"):
        stream.step(np.zeros((0, 0, 3), np.uint8))
    assert front_end.opened == []


def test_instances_may_come_one_by_one():
    stream, _, observed = tracker()
    assert stream.step(observed[0].frame.image, iter(observed[0].visible)).ids == [7]


def test_a_new_tracker_draws_the_prompts_of_one_that_was_reset():
    _, observed = passing_square(1)
    made = AmodalTracker(Pipeline(FrameOracle(*passing_square(1)), Still(), preset("paper")), RunSettings())
    new = made.step(observed[0].frame.image, observed[0].visible)
    made.reset()
    again = made.step(observed[0].frame.image, observed[0].visible)
    assert np.array_equal(new.instances[0].points, again.instances[0].points)


def test_with_hindsight_a_stream_is_late_and_has_all_frames_with_their_pictures():
    truth, observed = passing_square(40, step=2)
    method = Pipeline(FrameOracle(truth, observed), Still(), preset("default"))
    expected = list(Offline(method).run("drive", observed))
    late = AmodalTracker(method, RunSettings(offline=True), Sighted(observed))
    given = [(seen.frame.image, seen.visible) for seen in observed]
    found = list(late.stream(given, "drive"))
    assert told(found) == told(expected)
    assert all(np.array_equal(f.image, seen.frame.image) for f, seen in zip(found, observed, strict=True))
    front_end = Sighted(observed)
    found = list(AmodalTracker(method, RunSettings(offline=True), front_end).stream([i for i, _ in given], "drive"))
    assert told(found) == told(expected)
    assert front_end.learned == list(range(40))  # of the causal results, each before the next frame
    with pytest.raises(samodal.InputError, match=r"step: gives a frame at once, .*; use stream"):
        late.step(*given[0])


def test_hindsight_is_refused_for_a_camera():
    stream, _, observed = tracker(offline=True)
    video = ArrayVideo("camera", np.stack([seen.frame.image for seen in observed]), source="/dev/video0")
    video.live = "v4l2"
    with pytest.raises(samodal.InputError, match="/dev/video0: --offline looks back from later frames"):
        next(stream.stream(video))


def test_a_stream_that_another_one_has_cut_short_says_so():
    shared, _, observed = tracker()
    images = [seen.frame.image for seen in observed[:3]]
    first, second = shared.stream(images, name="a"), shared.stream(ArrayVideo("b", np.stack(images)))
    assert [next(first).t, next(first).t, next(second).t] == [0, 1, 0]
    with pytest.raises(samodal.InputError, match="stream 'a': the tracker has begun another video since"):
        next(first)
    assert [result.t for result in second] == [1, 2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": -1}, "seed must be a whole number at least 0, got -1"),
        ({"seed": None}, "seed must be a whole number at least 0, got None"),
        ({"seed": "x"}, "seed must be a whole number at least 0, got 'x'"),
        ({"rules": {1: 2}}, r"rules: expected names with values, .* got \{1: 2\}"),
        ({"rules": ["points"]}, r"rules: expected names with values, .* got \['points'\]"),
        ({"offline": True, "preset": "paper"}, "--offline needs the rules motion: filter"),
        ({"preset": None}, "unknown preset None; known: default, paper, points, released"),
    ],
)
def test_settings_that_cannot_be_meant_are_one_sentence(wrong, message):
    with pytest.raises(samodal.InputError, match=message):
        samodal.load(segmenter=FrameOracle([], []), **wrong)


def test_load_names_the_parts_as_the_command_line_does():
    found = samodal.load(preset="paper", rules={"points": 3}, tracker="still", segmenter=FrameOracle([], []))
    assert found.rules == preset("paper", points=3)
    for wrong, message in [
        ({"preset": "papr"}, "unknown preset 'papr'; did you mean 'paper'"),
        ({"rules": {"unit": True}}, "unknown rule 'unit'; did you mean 'unite'"),
        ({"tracker": "lukas"}, "unknown point tracker 'lukas'"),
        ({"segmenter": "sma"}, "unknown segmenter 'sma'; did you mean 'sam'"),
        ({"weights": "nowhere.pth"}, "nowhere.pth"),
        ({"weights": "streetsim-smal"}, "no such checkpoint.*did you mean 'streetsim-small'"),
        ({"vis": "videmt"}, "unknown front end 'videmt'; did you mean 'videomt'"),
        ({"device": "gpu"}, "--device gpu: expected auto, cpu, cuda, cuda:N, cuda:all or mps"),
        ({"vis": Sighted}, r"front end: expected an object, got the class Sighted; give Sighted\(\)"),
        ({"tracker": object()}, r"point tracker: lacks reset\(\), observe\(frame, t\)"),
    ]:
        with pytest.raises(samodal.InputError, match=message):
            samodal.load(**wrong)


class Blind:
    """A front end whose `step` forgets to return."""

    def open(self, video):
        return self

    def step(self, frame, t):
        pass

    def reset(self):
        pass


def blank(**options):
    return AmodalTracker(Pipeline(FrameOracle([], []), Still(), preset("points")), RunSettings(**options), Blind())


@pytest.mark.parametrize("reassociate", [False, True])
def test_a_front_end_that_gives_none_is_named(reassociate):
    with pytest.raises(samodal.InputError, match=r"Blind\.step at frame 0: expected a list of VisibleInst.*, got None"):
        blank(reassociate=reassociate).step(image_of(0))


def test_what_opens_no_session_is_named():
    front_end = Blind()
    front_end.open = lambda video: None
    stream = AmodalTracker(blank()._pipeline, RunSettings(), front_end)
    with pytest.raises(samodal.InputError, match=r"what Blind\.open gives: lacks step\(frame, t\), reset\(\)"):
        stream.step(image_of(0))


def seen_as(*keys):
    return [samodal.VisibleInstance(key, "car", 0.9, square(10 + 20 * n)) for n, key in enumerate(keys)]


def test_an_id_as_number_and_as_text_is_refused_in_one_frame():
    with pytest.raises(samodal.InputError, match="the id '7' is there twice in one frame, as number and as text"):
        blank().step(image_of(0), seen_as(7, "7"))


def test_an_instance_of_exactly_the_key_comes_before_one_of_its_text():
    both = [samodal.Instance.copied(seen, samodal.State.VISIBLE) for seen in seen_as("7", 7)]
    frame = samodal.FrameResult(0, 0.0, tuple(both))
    assert frame[7] is both[1] and frame["7"] is both[0]


def test_a_result_is_printed_short():
    frame = samodal.FrameResult(3, 0.3, (samodal.Instance.copied(seen_as(7)[0], samodal.State.VISIBLE),))
    assert repr(frame) == "FrameResult(t=3, time=0.3, ids=[7])"


@pytest.mark.parametrize(
    ("time", "message"),
    [
        (4.0, r"time: 4\.0 s comes after 5\.0 s; times must ascend; call reset\(\) before another video"),
        ("now", "time: expected seconds from the start of the video as a number, got 'now'"),
        (float("nan"), "got nan"),
        (True, "got True"),
    ],
)
def test_a_time_that_goes_back_or_is_no_number_is_refused_and_nothing_has_changed(time, message):
    stream, front_end, observed = tracker()
    stream.step(observed[0].frame.image, time=5.0)
    with pytest.raises(samodal.InputError, match=message):
        stream.step(observed[1].frame.image, time=time)
    assert front_end.learned == [0]
    assert [(r.t, r.time) for r in (stream.step(observed[1].frame.image, time=t) for t in (5.0, None))] == [
        (1, 5.0),
        (2, 5.1),
    ]
    stream.reset()
    assert stream.step(observed[0].frame.image, time=4.0).time == 4.0


def test_images_without_times_come_at_the_given_rate():
    stream, _, observed = tracker()
    images = [seen.frame.image for seen in observed[:3]]
    assert [frame.time for frame in stream.stream(images, fps=30.0)] == [0.0, 1 / 30, 2 / 30]
    with pytest.raises(samodal.InputError, match="fps: expected frames a second, a number above 0, got 0"):
        next(stream.stream(images, fps=0))


def test_what_is_no_frame_no_list_and_no_source_is_named():
    stream, _, observed = tracker()
    image, (instance,) = observed[0].frame.image, observed[0].visible
    for call, message in [
        (lambda: stream.step(image, instance), "visible: expected a list of VisibleInstance, got .*; put it in a list"),
        (lambda: list(stream.stream([image, 3])), r"image: expected a NumPy array \(H, W, 3\) uint8 RGB, got int"),
        (lambda: list(stream.stream(5)), "source: expected a video file, a folder, a video, or an iterable.*got int"),
        (
            lambda: list(stream.stream([(image, [], 0.1)])),
            r"expected an image or a pair \(image, visible\), got 3 values",
        ),
        (lambda: stream.step(image).boxes("foo"), "expected amodal, visible or hidden boxes, got 'foo'"),
    ]:
        with pytest.raises(samodal.InputError, match=message):
            call()
        stream.reset()


@pytest.mark.parametrize(
    ("size", "way"), [((120, 60), r"it looks transposed: give mask\.T"), ((30, 60), "bring it to that size")]
)
def test_a_mask_of_another_size_names_the_order_of_axes_and_the_way_out(size, way):
    wrong = samodal.VisibleInstance(7, "car", 0.9, np.ones(size, bool))
    expected = rf"instance 7: its mask is {size[0]}x{size[1]} but the frame 60x120 pixels \(height x width\); {way}"
    with pytest.raises(samodal.InputError, match=expected):
        blank().step(image_of(0), [wrong])


def test_load_says_once_that_the_embedded_weights_know_a_simulator_only(caplog):
    samodal.api._tell.cache_clear()
    for _ in range(2):
        samodal.load(preset="points", tracker="still")
    samodal.load(vis=Blind(), segmenter=FrameOracle([], []))
    (record,) = caplog.records
    assert record.name == "samodal" and "the amodal SAM were trained on StreetSim alone" in record.message
    assert "give weights (" in record.message


def test_every_public_name_is_there_and_an_unknown_one_is_an_attribute_error():
    assert all(getattr(samodal, name) is not None for name in samodal.__all__)
    assert set(dir(samodal)) == set(samodal.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = samodal.lod


USE = """
import numpy as np
import samodal

tracker: samodal.AmodalTracker = samodal.load(preset="paper", rules={"points": 3}, device="cpu")
mask = np.zeros((4, 6), bool)
seen = samodal.VisibleInstance(id=7, category="car", score=None, mask=mask)
result: samodal.FrameResult = tracker.step(np.zeros((4, 6, 3), np.uint8), [seen], time=0.1)
for frame in tracker.stream("drive.mp4"):
    boxes: np.ndarray = frame.boxes("visible")
    area: int = sum(int(mask.sum()) for mask in frame.masks("amodal") if mask is not None)
    state: samodal.State = frame["7"].state
    whole = frame["7"].amodal
    if whole is not None:
        x: int = whole.box[0] + whole.area
prompt = samodal.Prompt(points=[[1, 2]], box=(0, 0, 3, 3), mask=mask, neighbours=[seen.mask])


class Mine:
    def open(self, video: samodal.Video) -> "Mine":
        return self

    def step(self, frame: np.ndarray, t: int) -> list[samodal.VisibleInstance]:
        return []

    def reset(self) -> None: ...


own = samodal.load(vis=Mine(), weights="streetsim-small")
"""


@pytest.mark.heavy
def test_pyright_accepts_the_public_names_and_what_a_user_writes_with_them(tmp_path):
    pyright = [sys.executable, "-m", "pyright"]
    try:
        subprocess.run([*pyright, "--version"], check=True, capture_output=True, timeout=300)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("pyright cannot be run here: it is not installed, or cannot fetch its program")
    (tmp_path / "use.py").write_text(USE)
    (tmp_path / "wrong.py").write_text("import samodal\nsamodal.load(preset=3).step('image')\n")
    public = ["__init__", "api", "errors", "masks", "rle", "tracks", "parts", "video", "build", "registry", "settings"]
    files = [str(ROOT / "src" / "samodal" / name) for name in (*(f"{name}.py" for name in public), "method")]
    config = {"typeCheckingMode": "basic", "include": [*files, "use.py", "wrong.py"]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    command = [*pyright, "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    errors = [d for d in json.loads(done.stdout)["generalDiagnostics"] if d["severity"] == "error"]
    assert len([d for d in errors if d["file"].endswith("wrong.py")]) == 2
    others = [d for d in errors if not d["file"].endswith("wrong.py")]
    assert [f"{d['file']}:{d['range']['start']['line'] + 1}: {d['message']}" for d in others] == []
