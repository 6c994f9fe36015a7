"""Reports: what they tell of a run, what they doubt, how large they get, and that no text in them is markup."""

import base64
import gzip
import json
import re
import tracemalloc
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from made_up import square
from samodal.cli import main
from samodal.report.clip import BITS, ReportClip, page_size, pictures_at
from samodal.report.doubts import behind, verdict
from samodal.report.gather import gather, told
from samodal.report.make import _pictures, shown_settings
from samodal.report.outlines import BYTES, PIECE
from samodal.report.page import as_json
from samodal.report.story import HIDDEN, LOST, PARTLY, VISIBLE, Gap, Story, TrackStory
from samodal.results.frames import FrameLines, FramesWriter
from samodal.tracks import FrameResult, Instance, State, VisibleInstance

SIZE = (120, 200)
FRAMES = 30
HOSTILE = "</script><img src=x onerror=alert(1)>\u202e&\"'"


def car(t: int, shift: int = 0) -> np.ndarray:
    return square(10 + 5 * t + shift, 50, side=30, size=SIZE)


WALL = np.zeros(SIZE, bool)
WALL[30:100, 70:130] = True


def passing(
    t: int, wrong: int = 0, category: str = "car", lost_from: int = 99, spread: float | None = None
) -> FrameResult:
    """Car 7 goes behind truck 3: fully in frames 12 to 18, where its mask is `wrong` pixels aside."""
    whole, seen = car(t), car(t) & ~WALL
    truck = Instance(3, "truck", 0.9, State.VISIBLE, WALL, WALL)
    if seen.any():
        state, amodal = State.VISIBLE, whole
    elif t < lost_from:
        state, amodal = State.HIDDEN, car(t, wrong)
    else:
        state, amodal = State.LOST, None
    hidden = Instance(
        7, category, None if amodal is None else 0.8, state, seen if seen.any() else None, amodal,
        frames_since_seen=0 if seen.any() else t - 11, seconds_since_seen=0.0 if seen.any() else (t - 11) / 10,
        centre_spread=None if spread is None or state is not State.HIDDEN else np.array([spread, spread]),
    )  # fmt: skip
    return FrameResult(t, t / 10, (truck, hidden))


def written(folder: Path, results: list[FrameResult], name: str = "drive", pictures: bool = True) -> Path:
    """A run's folder with its frames.jsonl, and the pictures that it was made from."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder.parent / "frames"
    if pictures and not source.exists():
        source.mkdir()
        for t in range(len(results)):
            picture = np.full((*SIZE, 3), 90, np.uint8)
            picture[car(t)] = (200, 60, 60)
            picture[WALL] = (60, 90, 160)
            Image.fromarray(picture).save(source / f"{t:06d}.png")
    with FramesWriter(folder / "frames.jsonl", name, SIZE, {"source": str(source), "fps": 10.0}) as writer:
        for result in results:
            writer.write(result)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = written(tmp_path_factory.mktemp("report") / "run", [passing(t) for t in range(FRAMES)])
    assert main(["report", str(folder)]) == 0
    return folder


def data_of(page: Path) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)[1])


def told_of(results: list[FrameResult], folder: Path):
    gathered = gather(FrameLines(written(folder / "run", results, pictures=False) / "frames.jsonl"), folder / "o")
    return gathered, gathered.doubts.moments()


def test_the_first_screen_answers_who_was_hidden_longest_behind_what_and_whether_the_mask_is_believable(run):
    longest = data_of(run / "report.html")["runs"][0]["longest"]
    assert longest["text"] == "#7 car, 0.7 s behind #3 truck"
    word, why = longest["verdict"]
    assert word == "believable" and why.startswith("When it was seen again, its mask overlapped")
    assert [thumb["word"] for thumb in longest["thumbs"]] == ["before", "here", "after"]
    assert 12 <= longest["frame"] <= 18


def test_time_lines_and_seconds_follow_the_states(run):
    truck, hidden = data_of(run / "report.html")["runs"][0]["tracks"]
    assert truck["runs"] == [[0, FRAMES, VISIBLE]]
    codes = [code for _, count, code in hidden["runs"] for _ in range(count)]
    assert codes[:12].count(PARTLY) > 3 and codes[12:19] == [HIDDEN] * 7 and codes[-1] == VISIBLE
    assert sum(hidden["seconds"]) == pytest.approx(3.0) and hidden["seconds"][HIDDEN] == pytest.approx(0.7)


def test_pairs_say_who_hides_whom_for_how_long_and_when_most(run):
    ((front, back, seconds, frame, share),) = data_of(run / "report.html")["runs"][0]["pairs"]
    assert (front, back, share) == (0, 1, 100) and 0.7 < seconds < 2.0 and 12 <= frame <= 18


def test_outlines_in_the_page_are_the_masks(run):
    text = (run / "report.html").read_text()
    piece = json.loads(gzip.decompress(base64.b64decode(re.search(r'id="outlines-0-0">(.*?)<', text)[1])))
    assert len(piece) == FRAMES
    number, state, whole, part, hiders = piece[15][1]
    assert (number, state, part, hiders) == (1, HIDDEN, [], [[0, 100]])
    ((x, y, *steps),) = whole
    corners = np.cumsum([(x, y), *zip(steps[::2], steps[1::2], strict=True)], axis=0)
    assert (corners.min(axis=0) == [85, 50]).all() and (corners.max(axis=0) == [114, 79]).all()
    assert piece[0][0][3] == 0  # what is wholly visible is not told twice


def test_a_mask_that_nothing_covers_is_doubted(tmp_path):
    _, moments = told_of([passing(t, wrong=-60) for t in range(FRAMES)], tmp_path)
    (moment,) = moments  # its return, too, is odd; one moment of a gap is enough
    odd = "100% of its mask lies where no tracked object could hide it."
    assert moment.text == f"#7 car is said to be hidden, but {odd}"
    assert moment.before == 11


def test_an_object_that_comes_back_elsewhere_is_doubted_with_the_pictures_around_the_gap(tmp_path):
    (moment,) = told_of([passing(t, wrong=-15 * (t > 14)) for t in range(FRAMES)], tmp_path)[1]
    assert moment.text == "#7 car came back elsewhere: its mask overlaps by 33% with the expected one."
    assert (moment.before, moment.frame, moment.after) == (11, 18, 19)


@pytest.mark.parametrize("spread, said", [(4.0, True), (5.0, False)])
def test_what_comes_back_as_far_off_as_was_said_is_not_elsewhere(tmp_path, spread, said):
    """It comes back 15 pixels off in x: within 3.09 spreads of 5 pixels, not within those of 4."""
    _, moments = told_of([passing(t, wrong=-15 * (t > 14), spread=spread) for t in range(FRAMES)], tmp_path)
    assert any("came back elsewhere" in moment.text for moment in moments) == said


@pytest.mark.parametrize("spread, said", [(9.5, False), (10.0, True), (30.0, True)])
def test_a_place_of_which_little_is_known_deserves_a_look(tmp_path, spread, said):
    """A mask of 30 pixels: 3.09 spreads are 29 pixels, and 31, and 93."""
    _, moments = told_of([passing(t, spread=spread) for t in range(FRAMES)], tmp_path)
    assert [m.text for m in moments if m.kind == "wide"] == [
        f"#7 car is hidden, and its place is uncertain: with 90 % it is within {3.09 * spread:.0f} pixels."
    ] * said


@pytest.mark.parametrize("pixels", [0, 12, 20])
def test_what_is_expected_has_moved_on_since_the_last_hidden_mask(pixels):
    """A car that drives 20 pixels a frame comes back where its hidden masks were going, or some pixels before it."""
    story = Story(10.0)
    for t in range(8):
        seen = t < 3 or t == 7
        mask = square(10 + 20 * t - (pixels if t == 7 else 0), 50, side=20, size=SIZE)
        state = State.VISIBLE if seen else State.HIDDEN
        car7 = Instance(7, "car", 0.8, state, mask if seen else None, mask)
        story.add(FrameResult(t, t / 10, (car7,)))
    ((_, gap),) = story.ended
    assert gap.overlap == pytest.approx((20 - pixels) / (20 + pixels)) and gap.off is None


def test_an_object_that_comes_back_where_another_was_expected_may_have_its_id(tmp_path):
    results = []
    for t in range(FRAMES):
        frame = passing(t, wrong=-15)
        twin = Instance(8, "car", 0.8, State.HIDDEN, None, car(t))
        results.append(replace(frame, instances=(*frame.instances, twin)))
    moments = [moment for moment in told_of(results, tmp_path)[1] if moment.kind == "back"]
    assert "but by 100% with that of #8 car. Is the id right?" in moments[0].text


def test_of_a_sound_run_nothing_is_doubted(tmp_path):
    assert told_of([passing(t) for t in range(FRAMES)], tmp_path)[1] == []


def test_a_segmenter_that_expects_little_of_its_mask_and_one_left_aside_are_told(tmp_path):
    results = []
    for t in range(4):
        truck, hidden = passing(t).instances
        unsure = replace(truck, expected_iou=0.3), replace(hidden, state=State.KEPT)
        results.append(FrameResult(t, t / 10, unsure))
    kinds = {(moment.track, moment.kind) for moment in told_of(results, tmp_path)[1]}
    assert kinds == {(0, "low"), (1, "kept")}


def test_who_is_hidden_for_more_than_a_second_is_shown_before_and_after(tmp_path):
    slow = [replace(passing(t), time=t / 5) for t in range(FRAMES)]
    (moment,) = (m for m in told_of(slow, tmp_path)[1] if m.kind == "long")
    assert (moment.before, moment.after) == (11, 19) and 12 <= moment.frame <= 18
    assert moment.text.startswith("#7 car was not seen for 1.4 s behind #3 truck. When it was seen again")


@pytest.mark.parametrize(
    ("covered", "text"),
    [
        (9.0, " behind #3 truck"),
        (2.6, " behind #3 truck"),
        (2.4, ", though next to nothing tracked covered it: the front end may have missed it"),
    ],
)
def test_what_hardly_covers_a_thing_is_not_said_to_hide_it(covered, text):
    """Ten hidden masks, of which others cover so much in sum."""
    gap = Gap(before=0, first=1, last=10, hiders=Counter({0: 0.2}), covered=covered, counted=10)
    assert behind(gap, [TrackStory(0, 3, "truck")]) == text


@pytest.mark.parametrize(
    "gap, word",
    [
        (Gap(0, 1, 5, covered=4.0, counted=5, back=6, overlap=0.8), "believable"),
        (Gap(0, 1, 5, covered=4.0, counted=5, back=6, overlap=0.1), "doubtful"),
        (Gap(0, 1, 5, covered=4.5, counted=5), "plausible"),
        (Gap(0, 1, 5, covered=1.0, counted=5), "doubtful"),
        (Gap(0, 1, 5), "no mask"),
    ],
)
def test_masks_are_believed_by_what_came_after_else_by_what_could_hide_them(gap, word):
    assert verdict(gap)[0] == word


def test_why_a_track_ended_is_told(tmp_path):
    leaving = square(170, 50, 30, SIZE)
    leaving = Instance(1, "car", 1.0, State.VISIBLE, leaving, leaving)
    at_border = [FrameResult(t, t / 10, (leaving,) if t < 2 else ()) for t in range(4)]
    gathered, _ = told_of(at_border, tmp_path / "a")
    assert gathered.story.tracks[0].end == "left the picture at its right border"
    gathered, _ = told_of([passing(t, lost_from=14) for t in range(19)], tmp_path / "b")
    assert [track.end for track in gathered.story.tracks] == ["still visible at the end", "still lost at the end"]
    assert gathered.story.tracks[1].seconds[LOST] == pytest.approx(0.5)


def test_an_id_that_is_used_again_after_a_cut_is_another_object():
    story = Story(10.0)
    for t in range(4):
        story.add(replace(passing(t), cut=t == 2))
    story.end()
    assert [track.id for track in story.tracks] == [3, 7, "3@2", "7@2"]
    assert [track.end for track in story.tracks[:2]] == ["ended by a scene cut"] * 2


def test_texts_from_files_are_never_markup(tmp_path):
    results = [passing(t, category=HOSTILE) for t in range(FRAMES)]
    folder = written(tmp_path / "run", results, name=HOSTILE.replace("/", ""))
    assert main(["report", str(folder)]) == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "<img src" not in text and "\u202e" not in text
    assert data_of(folder / "report.html")["runs"][0]["tracks"][1]["category"] == HOSTILE.replace("\u202e", "\\u202e")
    assert json.loads(as_json(HOSTILE)) == HOSTILE and not set(as_json(HOSTILE)) & set("<>&")


def test_a_password_in_the_address_of_a_stream_is_not_handed_on():
    settings = {"source": "rtsp://me:secret@10.0.0.1/cam", "vis": "detector", "seed": 0}
    assert shown_settings(settings) == [["source", "rtsp://10.0.0.1/cam"], ["vis", "detector"]]


def test_a_page_names_the_settings_that_the_method_takes():
    settings = {"vis": "truth", "preset": "default", "segmenter": "completion", "tracker": "lucas_kanade"}
    for method, names in (
        ("samodal", ["vis", "method", "preset", "segmenter", "tracker"]),
        ("hold-last", ["vis", "method", "preset"]),
        ("copy-visible", ["vis", "method"]),
        ("mine:Method", ["vis", "method", "preset", "segmenter", "tracker"]),
    ):
        assert [name for name, _ in shown_settings(settings | {"method": method})] == names


def test_the_page_asks_no_network_and_runs_no_script_but_its_own(run):
    text = (run / "report.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe-eval" not in policy
    code = re.search(r"<script>(.*)</script>", text, re.S)[1]
    assert len(code) <= 40_000
    assert not re.search(r"https?://|src=\"(?!data)", re.sub(r'id="(video|outlines[^"]*)">[^<]*<', "", text))


def test_a_minute_of_noise_stays_below_20_megabytes(tmp_path):
    rng, seconds = np.random.default_rng(0), 3
    clip = ReportClip(tmp_path / "a.mp4", (540, 960), 15.0)
    for t in range(15 * seconds):
        clip.add(rng.integers(0, 255, (540, 960, 3), np.uint8), t / 15)
    clip.close()
    # Of one minute: the video with twice its rate for the first second, outlines, ten moments of three thumbnails.
    assert clip.path.stat().st_size < 1.2 * BITS / 8 * (seconds + 1)
    assert (BITS / 8 * 62 + BYTES * 60) * 4 / 3 + 10 * 3 * 30_000 < 20e6


def test_large_frames_become_smaller_and_small_ones_stay():
    assert page_size((2160, 3840)) == (540, 960)
    assert page_size((375, 1242)) == (290, 960)
    assert page_size((120, 200)) == (120, 200)


def test_frames_that_are_no_longer_there_are_grey_and_told(tmp_path, capsys):
    folder = written(tmp_path / "run", [passing(t) for t in range(5)], pictures=False)
    assert main(["report", str(folder)]) == 0
    assert "its frames cannot be read" in capsys.readouterr().err and (folder / "report.html").exists()


def test_a_report_made_later_shows_the_frames_of_the_run_where_it_left_out_some(run, tmp_path):
    command = ["run", str(run.parent / "frames"), "--vis", f"{__name__}:Watching", "--method", "copy-visible"]
    assert main([*command, "--frames", "1:20", "--stride", "6", "--out", str(tmp_path / "every-sixth")]) == 0
    lines = FrameLines(tmp_path / "every-sixth" / "frames.jsonl")
    shown = [image[5:] for image in _pictures(lines, None)]
    numbers = [int(name[:6]) for name, _ in lines]
    kept = [np.array(Image.open(run.parent / "frames" / f"{number:06d}.png")) for number in numbers]
    assert numbers == [1, 7, 13, 19] and all((a == b[5:]).all() for a, b in zip(shown, kept, strict=True))


def test_a_stream_is_not_opened_again_for_a_report(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("samodal.report.make.open_video", lambda source: pytest.fail(f"opened {source}"))
    folder = tmp_path / "run"
    with FramesWriter(folder / "frames.jsonl", "live", SIZE, {"source": "rtsp://camera/1", "fps": 10.0}) as writer:
        writer.write(passing(0))
    assert main(["report", str(folder)]) == 0
    assert "rtsp://camera/1: is not on disk" in capsys.readouterr().err


@pytest.mark.parametrize("complete", [True, False])
def test_the_report_of_a_run_that_is_not_finished_says_so(complete, tmp_path, capsys):
    folder = written(tmp_path / "run", [passing(t) for t in range(3)])
    (folder / "run.json").write_text(json.dumps({"complete": complete, "settings": {}}))
    assert main(["report", str(folder)]) == 0
    told = "the run is not finished: these are its frames so far"
    assert (told in capsys.readouterr().err) != complete
    assert (["run", told] in data_of(folder / "report.html")["settings"]) != complete


def test_the_video_can_have_moved(tmp_path, run, capsys):
    folder = written(tmp_path / "run", [passing(t) for t in range(FRAMES)], pictures=False)
    assert main(["report", str(folder), "--video", str(run.parent / "frames")]) == 0
    assert "cannot be read" not in capsys.readouterr().err
    assert main(["report", str(folder), "--video", str(tmp_path / "nothing")]) == 2


def test_each_clip_of_a_data_set_gets_its_page_and_a_folder_without_runs_is_refused(tmp_path, capsys):
    for name in "ab":
        written(tmp_path / "runs" / name, [passing(t) for t in range(3)], pictures=False)
    assert main(["report", str(tmp_path / "runs")]) == 0
    assert all((tmp_path / "runs" / name / "report.html").exists() for name in "ab")
    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert "no frames.jsonl in it" in capsys.readouterr().err


class Watching:
    """A front end that reports what is visible of the car and the truck."""

    def open(self, video):
        return self

    def step(self, frame, t):
        visible = [i for i in passing(t).instances if i.visible]
        return [VisibleInstance(i.id, i.category, i.score, i.visible) for i in visible]

    def reset(self):
        pass


def test_a_run_makes_its_report_unless_it_is_not_wanted_and_is_finished_without_it(run, tmp_path, capsys):
    command = ["run", str(run.parent / "frames"), "--vis", f"{__name__}:Watching", "--method", "hold-last"]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    page = tmp_path / "a" / "report.html"
    assert capsys.readouterr().out.splitlines()[-1] == f"open {page}"
    data = data_of(page)
    assert [track["id"] for track in data["runs"][0]["tracks"]] == ["3", "7"] and len(data["shown"]) == FRAMES
    assert [path.name for path in (tmp_path / "a").iterdir() if path.suffix == ".mp4"] == ["overlay.mp4"]
    page.write_text("made anew later")
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    assert "is finished with these settings already" in capsys.readouterr().out
    for unwanted in ("--no-report", "--no-overlay"):
        assert main([*command, "--frames", "0:3", unwanted, "--out", str(tmp_path / unwanted)]) == 0
        assert not (tmp_path / unwanted / "report.html").exists()
    capsys.readouterr()
    assert main([*command, "--frames", "0:3", "--out", str(tmp_path / "--no-report")]) == 0
    assert f"it has no report.html: samodal report {tmp_path / '--no-report'} makes it" in capsys.readouterr().out


def test_what_the_overlay_shows_is_chosen_and_an_unknown_name_is_refused(run, tmp_path, capsys):
    command = ["run", str(run.parent / "frames"), "--vis", f"{__name__}:Watching", "--method", "copy-visible"]
    command += ["--frames", "0:3", "--no-report", "--out"]
    for draw in ("none", "labels,legend", "whole"):
        assert main([*command, str(tmp_path / draw), "--draw", draw]) == 0
    films = {(tmp_path / draw / "overlay.mp4").read_bytes() for draw in ("none", "labels,legend")}
    assert len(films) == 2
    assert main([*command, str(tmp_path / "x"), "--draw", "lables"]) == 2
    assert "did you mean 'labels'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def compared(run) -> Path:
    other = written(run.parent / "aside", [passing(t, wrong=-60, lost_from=16) for t in range(FRAMES)])
    page = run.parent / "both.html"
    assert main(["compare", str(run), str(other), "--out", str(page)]) == 0
    return page


def test_a_comparison_matches_tracks_and_names_what_differs(compared):
    data = data_of(compared)
    assert [run["label"] for run in data["runs"]] == ["run", "aside"]
    assert sorted(data["matches"]) == [[0, 0], [1, 1]]
    (difference,) = data["differences"]
    assert difference["text"].startswith("#7 car: the whole masks overlap by 0%, and differ for 0.7 s.")
    assert [thumb["word"] for thumb in difference["thumbs"]] == ["A", "B"]


def test_runs_on_other_frames_are_not_compared(run, tmp_path, capsys):
    other = written(tmp_path / "short", [passing(t) for t in range(3)], pictures=False)
    assert main(["compare", str(run), str(other)]) == 2
    assert "give two runs on the same frames" in capsys.readouterr().err
    later = [replace(passing(t), time=5 + t / 10) for t in range(FRAMES)]
    assert main(["compare", str(run), str(written(tmp_path / "later", later, pictures=False))]) == 2
    assert "frame 0 is at 0.000 s in" in capsys.readouterr().err


def test_a_comparison_replaces_nothing_that_it_reads(run, compared, capsys):
    lines = run / "frames.jsonl"
    before = lines.read_bytes()
    assert main(["compare", str(run), str(run.parent / "aside"), "--out", str(lines)]) == 2
    assert "is read by this command" in capsys.readouterr().err and lines.read_bytes() == before


def test_a_run_is_gathered_without_its_frames_at_once(tmp_path):
    """What the report holds of a run that is twice as long is little more: its tracks are long over."""
    peaks = []
    for length in (200, 400):
        folder = written(tmp_path / str(length), [numbered(t) for t in range(length)], pictures=False)
        peaks.append(
            highest(lambda folder=folder: gather(FrameLines(folder / "frames.jsonl"), tmp_path / "outlines"))[0]
        )
    assert peaks[1] - peaks[0] < 200 * 2_000, peaks


def highest(work: Callable[[], Any]) -> tuple[int, Any]:
    """Bytes that some work takes at most, and what it gives."""
    tracemalloc.start()
    try:
        given = work()
        return tracemalloc.get_traced_memory()[1], given
    finally:
        tracemalloc.stop()


def test_outlines_wait_packed_until_their_piece_is_full(tmp_path):
    noise = np.zeros(SIZE, bool)
    noise[10:90, 10:90] = np.random.default_rng(0).random((80, 80)) < 0.5
    peaks = []
    for length in (24, PIECE):
        seen = [FrameResult(t, t / 10, (Instance(1, "car", 0.9, State.VISIBLE, noise, noise),)) for t in range(length)]
        folder = written(tmp_path / str(length), seen, pictures=False)
        lines = FrameLines(folder / "frames.jsonl")
        peaks.append(highest(lambda lines=lines: gather(lines, tmp_path / "outlines"))[0])
    assert peaks[1] - peaks[0] < (PIECE - 24) * 20_000, peaks  # in lists they take 33 kB a frame


def test_the_pictures_of_all_moments_are_not_held_at_once(tmp_path, monkeypatch):
    cars, held, most = range(10), [], []
    with FramesWriter(tmp_path / "frames.jsonl", "drive", SIZE, {"fps": 10.0}) as writer:
        clip = ReportClip(tmp_path / "clip.mp4", SIZE, 10.0)
        for t in range(40):
            states = [State.KEPT if t == 10 + 2 * key else State.VISIBLE for key in cars]
            writer.write(
                FrameResult(t, t / 10, tuple(Instance(k, "car", 0.9, states[k], car(k), car(k)) for k in cars))
            )
            clip.add(np.full((*SIZE, 3), 90, np.uint8), t / 10)
        clip.close()

    def watched(*given):
        for frame, picture in pictures_at(*given):
            held.append(weakref.ref(picture))
            most.append(sum(reference() is not None for reference in held))
            yield frame, picture

    monkeypatch.setattr("samodal.report.gather.pictures_at", watched)
    gathered = gather(FrameLines(tmp_path / "frames.jsonl"), tmp_path / "outlines")
    data = told(gathered, clip.path, clip.shown, "run")
    assert len(data["moments"]) == 10 and len(held) >= 20
    assert max(most) <= 4, most  # before, here and after, while the newest of the moment before is let go


def numbered(t: int) -> FrameResult:
    """A car that is new in each second frame."""
    return FrameResult(t, t / 10, (Instance(t // 2, "car", 0.9, State.VISIBLE, car(t % 20), car(t % 20)),))
