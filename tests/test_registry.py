"""Parts by name: what is told of them, and how they are made."""

import pytest

from samodal.build import found_device, notices
from samodal.cli.app import parse
from samodal.errors import InputError
from samodal.making import find, make, make_tracker
from samodal.method.prompts.choose import make_selector
from samodal.registry import FILES, FRONT_ENDS, PIXELS, TRACKERS, TRUTH, listing
from samodal.settings import RunSettings
from samodal.trackers.lucas_kanade import LucasKanade
from samodal.trackers.still import Still


def test_every_tracker_is_listed_with_licence_cost_and_needs():
    text = " ".join(listing(TRACKERS).split())
    for name, part in TRACKERS.items():
        assert part.about and part.licence and part.cost and part.needs
        assert all(" ".join(told.split()) in text for told in (name, part.about, part.licence, part.cost, part.needs))


def test_no_line_of_the_listing_is_wider_than_a_terminal_except_for_what_is_copied_whole():
    lines = listing(TRACKERS).splitlines()
    assert all(len(line) <= 79 or "http" in line for line in lines)


def test_help_lists_trackers_and_front_ends(capsys):
    with pytest.raises(SystemExit) as stop:
        parse(RunSettings, ["--help-all"], "samodal run")
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert listing(TRACKERS) in text
    assert listing(FRONT_ENDS) in text


@pytest.mark.parametrize("word", ["list", "help"])
def test_the_trackers_can_be_listed_alone(word, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(RunSettings, ["--tracker", word], "samodal run")
    assert stop.value.code == 0
    assert capsys.readouterr().out == listing(TRACKERS) + "\n"


@pytest.mark.parametrize("name", ["lucas_canade", ""])
def test_a_wrong_or_empty_name_is_one_line_that_tells_how_to_list_them(name, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(RunSettings, ["drive.mp4", "--tracker", name], "samodal run")
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"unknown point tracker {name!r}" in line and line.endswith("(list: --tracker list)")


def test_names_with_an_argument_and_classes_from_elsewhere_pass(tmp_path):
    for name in ("cotracker3:weights.pth", "my_tracker:Mine", "tapir:a,b"):
        assert parse(RunSettings, ["drive.mp4", "--tracker", name], "samodal run").tracker == name


def test_a_tracker_is_made_on_the_device_if_it_has_one(monkeypatch):
    class Told(Still):
        def __init__(self, given, device="cpu"):
            self.given, self.device = given, device

    monkeypatch.setattr("samodal.trackers.still.Told", Told, raising=False)
    made = make_tracker("samodal.trackers.still:Told:weights", "cuda")
    assert (made.given, made.device) == ("weights", "cuda")
    assert isinstance(make_tracker("lucas_kanade", "cuda"), LucasKanade)
    with pytest.raises(InputError, match="unknown point tracker 'lucas'.*did you mean 'lucas_kanade'"):
        make_tracker("lucas")


@pytest.mark.parametrize(
    ("changes", "told"), [({}, True), ({"tracker": "cotracker1:a,b"}, False), ({"preset": "paper"}, False)]
)
def test_the_released_preset_says_once_that_another_tracker_stands_in_for_the_released_one(changes, told):
    text = "\n".join(notices(RunSettings(**({"preset": "released"} | changes))))
    assert text.count("CoTracker v1") == told
    assert ("CC-BY-NC" in text and "git clone" in text and RunSettings.tracker in text) == told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"vis": "centers"}, "front end centers."),
        ({"vis": "truth", "preset": "paper"}, "front end truth and the segmenter sam."),
        ({"method": "copy-visible"}, "method copy-visible."),
    ],
)
def test_parts_that_do_not_know_the_backend_are_told_in_one_line(changes, told):
    lines = notices(RunSettings(**({"video": "a.mp4", "backend": "onnx"} | changes)))
    assert [line for line in lines if "--backend" in line] == (
        [f"--backend onnx changes nothing in the {told}"] if told else []
    )
    assert not any("--backend" in line for line in notices(RunSettings(**({"video": "a.mp4"} | changes))))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"preset": "paper", "tracker": "still", "draw": "none", "graph": True, "segmenter": "sam"}, ""),
        ({"data": "asd:val", "video": None, "workers": 2}, ""),
        ({"method": "hull", "preset": "paper", "tracker": "still"}, "--tracker, --preset."),
        ({"method": "savos", "rules": {"points": 2}, "weights": "streetsim-small"}, "--weights, --rules."),
        ({"overlay": False, "draw": "none", "graph": True, "workers": 2}, "--draw, --graph, --workers."),
    ],
)
def test_settings_that_nothing_of_the_run_takes_are_told_in_one_line(changes, told):
    lines = [line for line in notices(RunSettings(**({"video": "a.mp4"} | changes))) if "effect" in line]
    assert lines == ([f"Without effect in this run: {told}"] if told else [])


def test_front_ends_are_listed_in_groups_with_licence_cost_and_needs(capsys):
    with pytest.raises(SystemExit):
        parse(RunSettings, ["--vis", "list"], "samodal run")
    text = capsys.readouterr().out
    places = [text.index(title) for title in (PIXELS, TRUTH, FILES)]
    assert places == sorted(places) and places[0] == 2
    assert places[0] < text.index("  videomt:") < text.index("  rf_detr:") < places[1] < text.index("  degraded:")
    assert places[2] < text.index("  file:PATH")
    for name, part in FRONT_ENDS.items():
        assert part.group and part.cost and part.needs, name
        assert part.licence or part.group == TRUTH, name


@pytest.mark.parametrize("name", [".a:b", ":x", "a..b:c", "nowhere:x", "os:nothing", "os."])
def test_what_names_no_class_is_refused(name):
    with pytest.raises(InputError, match="point tracker"):
        find(TRACKERS, name, "point tracker")


class Empty:
    """A part without any method."""


class Demanding(Still):
    """A point tracker whose constructor wants what no run has."""

    def __init__(self, patience):
        super().__init__()


@pytest.mark.parametrize(
    ("table", "what", "text", "expected"),
    [
        (FRONT_ENDS, "front end", f"{__name__}:Empty", r"front end .*:Empty: lacks open\(video\); see docs/extend.md"),
        (TRACKERS, "point tracker", f"{__name__}:Empty", r"lacks reset\(\), observe\(frame, t\), add\(key, xy, t\)"),
        (
            TRACKERS,
            "point tracker",
            f"{__name__}:Demanding",
            r"constructor .*'patience'.*may ask for device",
        ),
        (TRACKERS, "point tracker", "samodal.trackers.still:np", "expected a class, found module"),
        (FRONT_ENDS, "front end", "fil:x.json", "unknown front end 'fil'; did you mean 'file'.*PYTHONPATH"),
        (FRONT_ENDS, "front end", "nowhere:Mine", "'nowhere:Mine' cannot be imported .*; is its folder in PYTHONPATH"),
        (
            FRONT_ENDS,
            "front end",
            "no_such_module:Mine",
            "No module named 'no_such_module'.*PYTHONPATH",
        ),
    ],
)
def test_a_part_of_ones_own_that_does_not_fit_is_refused_in_one_sentence(table, what, text, expected):
    with pytest.raises(InputError, match=expected):
        make(table, text, what, {"device": lambda: "cpu"})


def test_a_prompt_selector_of_ones_own_is_refused_where_it_cannot_be_called():
    with pytest.raises(InputError, match=r"prompt selector .*:Empty: lacks __call__\(image, mask, neighbours, rng\)"):
        make_selector(f"{__name__}:Empty", 1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpu", "--device gpu: expected auto, cpu, cuda, cuda:N, cuda:all or mps"),
        ("cuda", "--device cuda: this torch has no CUDA; use auto or cpu"),
        ("cuda:1", "--device cuda:1: this torch has no CUDA; use auto or cpu"),
        ("mps", "--device mps: this torch has no MPS; use auto or cpu"),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_one_sentence(name, expected, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(InputError) as refused:
        found_device(name)
    assert str(refused.value) == expected
    assert found_device("auto") == found_device("cpu") == "cpu"
