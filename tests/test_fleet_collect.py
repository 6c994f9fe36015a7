"""Summing up many results: the tables, what failed and why, the page, and what it costs."""

import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet_made_up import write_video
from samodal.cli.app import main
from samodal.errors import InputError
from samodal.fleet.collect import collect
from samodal.results.digest import doubts
from test_report_browser import CHROMIUM

pandas = pytest.importorskip("pandas", reason="pandas is not installed (pip install 'samodal[tables]')")
pytest.importorskip("pyarrow", reason="pyarrow is not installed (pip install 'samodal[tables]')")
HOSTILE = '<img src=x onerror=alert(1)>"&'


def track(key, **changes):
    base = {"id": key, "category": "car", "first": 0, "last": 299, "start": 0.0, "end": 29.9, "frames": 300}
    return base | {"visible": 280, "hidden": 20, "kept": 0, "longest_hidden": 0.4, "score": 0.8} | changes


def made_up(out: Path, name: str, tracks=None, **changes) -> None:
    """The folder of a finished result, as far as it is summed up."""
    tracks = [track(1), track(2)] if tracks is None else tracks
    record = {
        "complete": True,
        "settings": {"source": f"/v/{name}.mp4", "vis": "detector", "samodal": "0.1.0", "fps": 10.0},
        "inputs": {"weights": {"digest": "abc"}},
        "outputs": {"frames.jsonl": {"bytes": 1000}, "tracks.json": {"bytes": 500}, "report.html": {"bytes": 100}},
        "summary": {"clip": name, "frames": 300, "tracks": len(tracks), "visible": 560, "amodal": 600, "hidden": 40,
                    "seconds": 60.0},
        "digest": {"seconds": 29.9, "cuts": 0, "instances": tracks},
    }  # fmt: skip
    (out / name).mkdir(parents=True)
    (out / name / "run.json").write_text(json.dumps(record | changes))
    (out / name / "report.html").write_text("<title>the report</title>")


@pytest.fixture
def out(tmp_path):
    """Two results, a failed one, one half-way, and one that nobody has begun."""
    made_up(tmp_path, "plain")
    made_up(tmp_path, HOSTILE.replace("/", ""), [track(1, longest_hidden=5.0), track(2, frames=2), track(3)])
    for name, reason in (("bad", "/v/bad.mp4: no video"), ("worse", "/v/worse.mp4: no video"), ("odd", "=1+1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "failed.txt").write_text(f"{reason}\nTraceback\n")
    (tmp_path / "half" / "unfinished").mkdir(parents=True)
    (tmp_path / "half" / "unfinished" / "run.json").write_text('{"complete": false, "settings": {"source": "/v/h"}}')
    names = {"plain": "/v/plain.mp4", "bad": "/v/bad.mp4", "worse": "/v/worse.mp4", "later": "/v/later.mp4"}
    (tmp_path / "videos.json").write_text(json.dumps(names))
    return tmp_path


def test_each_video_is_a_row_with_what_it_came_to_or_why_it_did_not(out, capsys):
    assert main(["collect", str(out)]) == 0
    assert "7 videos: 2 done, 3 failed, 1 unfinished, 1 not begun; open " in capsys.readouterr().out
    table = pandas.read_parquet(out / "summary.parquet").set_index("name")
    assert dict(table.status.value_counts()) == {"done": 2, "failed": 3, "unfinished": 1, "not begun": 1}
    plain = table.loc["plain"]
    assert (plain.frames, plain.tracks, plain.frames_per_second, plain.bytes) == (300, 2, 5.0, 1600)
    assert (plain.weights, plain.report) == ("abc", "plain/report.html")
    assert table.loc["bad"].reason == "/v/bad.mp4: no video" and table.loc["later"].source == "/v/later.mp4"
    instances = pandas.read_parquet(out / "instances.parquet")
    assert len(instances) == 5 and set(instances.columns) >= {"video", "id", "category", "longest_hidden", "score"}
    assert instances.groupby("video").frames.max().to_dict()["plain"] == 300
    rows = list(csv.DictReader((out / "failures.csv").open()))
    assert [row["name"] for row in rows] == ["bad", "half", "later", "odd", "worse"]
    assert rows[3]["reason"] == "'=1+1"  # no formula of a spreadsheet


def test_failures_are_grouped_by_reason_and_doubtful_videos_come_first(out):
    collect(str(out))
    text = (out / "summary.html").read_text()
    assert "<b>2</b> no video" in text and "<b>1</b> =…+…" in text
    assert "<img" not in text and "&lt;img src=x onerror=alert(1)&gt;" in text
    looks = text[text.index('id="looks"') : text.index('id="videos"')]
    assert "car 1 hidden for 5.0 s; 1 of 3 ids in 3 frames or fewer" in looks and ">plain<" not in looks
    assert 'href="plain/report.html"' in text and "<script" not in text


def test_doubts_name_what_is_odd_the_largest_first():
    quiet = {"cuts": 0, "instances": [track(1)]}
    assert doubts(quiet, 0) == (0.0, "")
    assert doubts({"cuts": 0, "instances": []}, 0) == (1.0, "no instance in any frame")
    weight, text = doubts({"cuts": 2, "instances": [track(1, kept=150, longest_hidden=9.0)]}, 1)
    assert text.split("; ") == [
        "car 1 hidden for 9.0 s", "50% of the masks left out too much and were not taken", "1 ids merged with others",
        "2 scene cuts",
    ] and weight == pytest.approx(3 + 2 + 1 + 0.4)  # fmt: skip


def test_what_a_run_writes_is_summed_up_and_results_without_numbers_are_read(tmp_path):
    for n in range(2):
        write_video(tmp_path / "v" / f"{n}.mp4", 12, seed=n)
    base = ["run", str(tmp_path / "v"), "--vis", "fleet_made_up:Reds", "--method", "hold-last", "--no-overlay"]
    assert main([*base, "--out", str(tmp_path / "out")]) == 0
    record = json.loads((tmp_path / "out" / "1" / "run.json").read_text())
    counted = len(record.pop("digest")["instances"])
    (tmp_path / "out" / "1" / "run.json").write_text(json.dumps(record))  # as an earlier version wrote it
    collect(str(tmp_path / "out"))
    instances = pandas.read_parquet(tmp_path / "out" / "instances.parquet")
    assert (instances.video == "1").sum() == counted > 0 and (instances.video == "0").sum() > 0
    assert (tmp_path / "out" / "summary.html").read_text().count("report.html") == 0


@pytest.mark.parametrize("name", ["nowhere", "empty", "file"])
def test_a_folder_without_results_is_refused(name, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="no results in it; give the folder"):
        collect(str(tmp_path / name))


def test_damaged_records_cost_their_rows_alone(out):
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"settings": {}, "complete": true}')):
        (out / name).mkdir()
        (out / name / "run.json").write_text(text)
    assert "3 done" in collect(str(out))


MEASURED = """
import sys, time
from pathlib import Path
from samodal.cli.app import main
start = time.perf_counter()
code = main(["collect", sys.argv[1]])
# What the operating system tells through `resource` begins with the memory of the process that started this one.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(code, time.perf_counter() - start, int(peak.split()[1]) / 1e6)
"""


@pytest.mark.heavy
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_thousand_results_are_summed_up_in_seconds_and_little_memory(tmp_path):
    for n in range(1000):
        made_up(tmp_path, f"drive-{n:04d}", [track(k, category="car" if k % 3 else "person") for k in range(60)])
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    code, seconds, gigabytes = map(float, done.stdout.splitlines()[-1].split())
    print(f"collect of 1,000: {seconds:.1f} s, {time.perf_counter() - start:.1f} s with its start, {gigabytes:.2f} GB")
    assert code == 0 and gigabytes < 1
    assert len(pandas.read_parquet(tmp_path / "instances.parquet")) == 60_000
    assert re.search(r"1,000</b> done", (tmp_path / "summary.html").read_text())


@pytest.mark.heavy
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")
def test_the_page_opens_in_a_browser_and_its_links_lead_to_reports(out):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    collect(str(out))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab, odd = browser.new_page(), []
        tab.on("pageerror", lambda error: odd.append(str(error)))
        tab.on("dialog", lambda dialog: odd.append("a dialog"))
        tab.on("console", lambda message: odd.append(message.text))
        tab.on("request", lambda r: odd.append(r.url) if not r.url.startswith("file:") else None)
        tab.goto((out / "summary.html").as_uri())
        assert tab.inner_text("#facts").split("\n")[:4] == ["3", "failed", "2", "done"]
        assert tab.locator("#videos tr").count() == 8 and tab.locator("#reasons details").count() == 2
        assert HOSTILE.replace("/", "") in tab.inner_text("#looks")
        for link in tab.locator("#videos a").all():
            tab.goto((out / "summary.html").as_uri())
            link.click()
            assert tab.title() == "the report"
        browser.close()
    assert odd == []
