"""What the documentation shows, runs."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from made_up import SIZE, Oracle, passing_square
from samodal.cli.app import main
from samodal.drawing.video import VideoWriter
from samodal.exports.formats import FORMATS
from samodal.making import make_tracker
from samodal.method.pipeline import Pipeline
from samodal.method.prompts.choose import make_selector
from samodal.method.rules import preset
from samodal.results.frames import read_frames
from samodal.tracks import State
from test_architecture import ROOMS
from toy_pages import DOCS, PAGES, README


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", [README, DOCS / "extend.md"])
def test_the_front_end_of_the_documentation_runs_as_it_is_printed(page, tmp_path, monkeypatch):
    (code,) = [b for b in blocks(page, "python") if b.startswith("# my_vis.py")]
    monkeypatch.delitem(sys.modules, "my_vis", raising=False)
    (tmp_path / "my_vis.py").write_text(code)
    (tmp_path / "drive").mkdir()
    image = np.zeros((60, 120, 3), np.uint8)
    image[20:40, 30:70] = 255
    Image.fromarray(image).save(tmp_path / "drive" / "000000.png")
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "out"
    command = ["run", str(tmp_path / "drive"), "--vis", "my_vis:BrightThings", "--out", str(out)]
    assert main([*command, "--method", "copy-visible", "--no-overlay"]) == 0
    (result,) = read_frames(out / "frames.jsonl").results
    assert [(one.id, one.amodal.area) for one in result.instances] == [(1, 800)]


def test_the_snippets_of_the_readme_run_as_they_are_printed(tmp_path, monkeypatch, capsys):
    whole, single = [b for b in blocks(README, "python") if "tracker" in b]
    assert README.read_text(encoding="utf-8").partition("import samodal")[0].count("\n") < 40
    with VideoWriter(tmp_path / "drive.mp4", SIZE, 10.0) as video:
        for seen in passing_square(3)[1]:
            video.write(seen.frame.image, seen.frame.time)
    monkeypatch.chdir(tmp_path)
    seen = passing_square(1)[1][0]
    names = {"camera": [(1.5, seen.frame.image, seen.visible)]}
    exec(whole, names)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[0].isdigit()] == ["0", "1", "2"]
    assert names["boxes"].shape == (len(names["masks"]), 4)
    exec(single, names)
    assert (names["result"].t, names["result"].time, names["result"].ids) == (0, 1.5, [7])
    assert names["result"]["7"].state == State.VISIBLE and names["result"].masks("amodal")[0].shape == SIZE


def test_the_readme_says_below_its_first_snippet_what_the_embedded_weights_know_and_how_long_the_demo_takes():
    below = README.read_text(encoding="utf-8").split("```")[2]
    assert "trained on real streets" in below and "docs/real-video.md" in below
    assert re.search(r"demo takes .* (minutes?|seconds)", below)


def test_the_prompt_selector_of_the_documentation_runs_as_it_is_printed(tmp_path, monkeypatch):
    (code,) = [b for b in blocks(DOCS / "extend.md", "python") if b.startswith("# my_prompts.py")]
    monkeypatch.delitem(sys.modules, "my_prompts", raising=False)
    (tmp_path / "my_prompts.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    (observed,) = passing_square(1)[1]
    mask, image = observed.visible[0].mask, observed.frame.image
    prompt = make_selector("my_prompts:Lowest", 2)(image, mask, [], np.random.default_rng(0))
    assert prompt.points.tolist() == [[10, 35], [11, 35]] and prompt.box.tolist() == [10, 20, 26, 36]
    assert np.array_equal(image[mask.rows, mask.columns][mask.inside], image[mask.decode()])


def test_what_the_scripts_name_below_src_exists():
    for script in (DOCS.parent / "scripts").glob("*.sh"):
        text = script.read_text(encoding="utf-8")
        assert all((DOCS.parent / path).exists() for path in re.findall(r"\bsrc/[\w/.]+", text)), script
        assert "samodal.cli.app" not in text, script


def test_the_point_tracker_of_the_documentation_runs_as_it_is_printed(tmp_path, monkeypatch):
    (code,) = [b for b in blocks(DOCS / "extend.md", "python") if b.startswith("# my_tracker.py")]
    monkeypatch.delitem(sys.modules, "my_tracker", raising=False)
    (tmp_path / "my_tracker.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    rules = preset("default", remember_s=None, border=None, min_visible=None)
    truth, observed = passing_square(frames=24, step=3)
    tracker = make_tracker("my_tracker:Matching")
    pipeline = Pipeline(Oracle([truth]), tracker, rules)
    states = [pipeline.step(one.frame.image, one.visible).instances[0].state for one in observed]
    assert {State.VISIBLE, State.HIDDEN} <= set(states)
    tracker.add("car", np.array([[3 * 23 + 18, 28]]), 23)
    goes_on = make_tracker("my_tracker:Matching")
    goes_on.load_state(tracker.state())
    for each in (tracker, goes_on):
        each.observe(np.roll(observed[-1].frame.image, (2, -7), axis=(0, 1)), 24)
        xy, visible, _ = each.positions()["car"]
        assert (xy.tolist(), visible.tolist()) == ([[3 * 23 + 18 - 7, 30]], [True])


def test_the_readme_shows_runnable_code_within_its_first_25_lines():
    assert any(line.startswith("make demo") for line in README.read_text(encoding="utf-8").splitlines()[:25])


def test_the_pipeline_of_the_documentation_runs_as_it_is_printed(capsys):
    (code,) = [b for b in blocks(DOCS / "extend.md", "python") if "my_stream" in b]
    _, observed = passing_square(3)
    stream = [(one.frame.time, one.frame.image, one.visible) for one in observed]
    exec(code, {"my_stream": lambda: stream})
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    ("page", "blocks"),
    [(DOCS / "reproduce.md", 10), (DOCS / "results.md", 4), (DOCS / "real-video.md", 1), (README, 1)],
)
def test_tables_of_experiments_are_what_was_recorded(page, blocks, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS.parent / "scripts"))
    from fill_tables import filled

    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- end -->") == blocks
    assert filled(page) == text


def test_the_segmenter_of_the_documentation_runs_as_it_is_printed():
    (code,) = [b for b in blocks(DOCS / "extend.md", "python") if b.startswith("# my_amodal.py")]
    names = {}
    exec(code, names)
    rules = preset("default", prompt="box", min_visible=None)
    pipeline = Pipeline(names["FilledBox"](), make_tracker("still"), rules)
    (observed,) = passing_square(1)[1]
    (instance,) = pipeline.step(observed.frame.image, observed.visible).instances
    assert instance.amodal.decode().tolist() == observed.visible[0].mask.decode().tolist()  # a square fills its box


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


CARDS = sorted((DOCS.parent / "src/samodal/weights").glob("*.md"))


@pytest.mark.parametrize("page", [*PAGES, DOCS.parent / "CHANGELOG.md", *CARDS], ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    links = re.findall(r"\]\(((?!http)[^)\s]+)\)", page.read_text(encoding="utf-8"))
    for path, _, anchor in (link.partition("#") for link in links):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_files_that_a_page_names_exist(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    named = {word for span in re.findall(r"`([^`\n]+)`", text) for word in span.split() if word.endswith(".py")}
    folders = ("src", "tests", "scripts", "benchmarks", "examples")
    files = [str(path) for folder in folders for path in (DOCS.parent / folder).rglob("*.py")]
    assert [
        name
        for name in sorted(named - {"my_vis.py"})
        if "*" not in name and not any(f.endswith("/" + name) for f in files)
    ] == []


def test_the_rooms_of_the_architecture_page_are_those_of_the_package_in_their_order():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("## The rooms")[2].partition("\n## ")[0]
    rooms = re.findall(r"^\| `(\w+)(?:\.py|/)` \|", text, re.MULTILINE)
    assert rooms == list(ROOMS)


@pytest.fixture
def drive(tmp_path, monkeypatch):
    """The finished run runs/drive of a square that passes behind a post."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    lines = []
    for seen in passing_square(20)[1]:
        Image.fromarray(seen.frame.image).save(tmp_path / "frames" / f"{seen.frame.name}.png")
        lines += [f"{seen.frame.t} 1007 1 {SIZE[0]} {SIZE[1]} {v.mask.rle.counts}\n" for v in seen.visible]
    (tmp_path / "mots.txt").write_text("".join(lines))
    flags = ["--vis", "file:mots.txt", "--method", "hold-last", "--no-overlay", "--device", "cpu"]
    assert main(["run", "frames", "--out", "runs/drive", *flags, "--save", "cvat"]) == 0
    return tmp_path


def test_the_python_of_the_page_about_results_runs_as_it_is_printed(drive, monkeypatch, capsys):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    opened, tracks, tables = blocks(DOCS / "python.md", "python")
    names: dict = {}
    exec(opened, names)
    exec(tracks, names)
    assert names["car"].id == 1007 and names["hidden"].ids == [1007] and names["picture"].shape == (*SIZE, 3)
    assert "Run('frames', 20 frames of 120x60)" in capsys.readouterr().out
    for library in ("pandas", "matplotlib", "supervision"):
        pytest.importorskip(library, reason="pip install 'samodal[tables,supervision]'")
    exec(tables, names)
    assert len(names["table"]) == sum(len(frame) for frame in names["run"]) and len(names["detections"]) == 1


def test_the_way_back_from_cvat_runs_as_it_is_printed(drive):
    (command,) = [b for b in blocks(DOCS / "files.md", "") if "--from cvat" in b]
    (drive / "annotations.xml").write_bytes((drive / "runs" / "drive" / "exports" / "cvat.xml").read_bytes())
    (drive / "frames").rename(drive / "images")
    assert main(command.split()[1:]) == 0
    assert (drive / "labels.json").exists()


def test_the_question_to_a_table_is_answered_as_it_is_printed(drive, capsys):
    for library in ("pyarrow", "duckdb"):
        pytest.importorskip(library, reason="pip install 'samodal[tables]' duckdb")
    assert main(["convert", "runs/drive", "--to", "parquet"]) == 0
    (code,) = blocks(DOCS / "files.md", "python")
    exec(code, {})
    assert "1007" in capsys.readouterr().out


def test_the_table_of_exports_has_every_format_with_its_files():
    page = (DOCS / "files.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*?) \|", page, re.MULTILINE))
    assert list(rows) == list(FORMATS)
    assert all(form.output in rows[name] for name, form in FORMATS.items() if name != "fiftyone")


def test_a_page_that_stands_by_itself_is_linked_as_it_is_and_hides_none_of_the_site(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import conf

    assert not any((DOCS / name).with_suffix(".md").exists() for name in conf.html_extra_path)
    source = [(DOCS / "builder.md").read_text(encoding="utf-8")]
    app = SimpleNamespace(env=SimpleNamespace(doc2path=lambda name: str(DOCS / f"{name}.md")))
    conf.at_home(app, "builder", source)
    assert '<a href="command.html">Open the builder</a>' in source[0]
