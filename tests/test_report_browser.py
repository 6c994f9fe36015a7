"""Reports in a real browser: load, seek, toggle, click a gap, compare, hostile names."""

import json
import os
import shutil
from pathlib import Path

import pytest

from samodal.cli import main
from test_report import FRAMES, HOSTILE, passing, written

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)"),
]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    folder = written(tmp_path_factory.mktemp("browser") / "run", [passing(t) for t in range(FRAMES)])
    assert main(["report", str(folder)]) == 0
    return folder / "report.html"


@pytest.fixture
def visit(browser):
    """Opens a page, ready; what it asked of a network, and its errors, are gathered in `tab.odd`."""
    tabs = []

    def open_page(path: Path, hash: str = "", **options):
        tab = browser.new_page(**options)
        tab.odd = []
        tab.on("pageerror", lambda error: tab.odd.append(str(error)))
        tab.on("dialog", lambda dialog: tab.odd.append("a dialog"))
        tab.on(
            "request", lambda r: tab.odd.append(r.url) if not r.url.startswith(("file:", "blob:", "data:")) else None
        )
        tab.goto(path.as_uri() + hash)
        tab.wait_for_selector("html[data-ready][data-drawn]")
        until(tab, "document.getElementById('film').readyState >= 2")
        tabs.append(tab)
        return tab

    yield open_page
    odd = [tab.odd for tab in tabs]
    for tab in tabs:
        tab.close()
    assert odd == [[]] * len(odd)


def until(tab, expression: str) -> None:
    """Wait until an expression is true; the page's own policy forbids the tab's way to wait for one."""
    for _ in range(200):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def drawn(tab, frame: int) -> None:
    """Wait until the masks of a frame are drawn on its picture."""
    tab.wait_for_selector(f'html[data-drawn="{frame}"]')
    until(tab, "!document.getElementById('film').seeking")
    tab.wait_for_timeout(60)


def color_at(tab, x: int, y: int) -> list[int]:
    """RGB of the player at a pixel of the frame."""
    return tab.evaluate(
        """([x, y]) => { const c = document.querySelector('.stage canvas'), s = c.width / 200;
        return [...c.getContext('2d').getImageData(x * s, y * s, 1, 1).data].slice(0, 3); }""",
        [x, y],
    )


def test_it_loads_and_answers_the_first_questions(visit, page_file):
    tab = visit(page_file)
    assert tab.inner_text("#title") == "drive"
    assert "2 objects in 30 frames (3.0 s). 1 of them was fully hidden" in tab.inner_text("#lead")
    assert "#7 car, 0.7 s behind #3 truck" in tab.inner_text("#longest")
    assert "mask: believable" in tab.inner_text("#longest")
    assert tab.locator("#rows .row button").all_inner_texts() == ["#7 car", "#3 truck"]


def test_frames_are_found_exactly(visit, page_file):
    tab = visit(page_file)
    for layer in ("visible", "hidden", "outline", "labels"):
        tab.uncheck(f"[data-layer={layer}]")
    for frame in (3, 24, 2):
        tab.evaluate(
            "n => { const p = document.getElementById('place'); p.value = n; p.dispatchEvent(new Event('input')); }",
            frame,
        )
        drawn(tab, frame)
        inside, ahead = color_at(tab, 10 + 5 * frame + 26, 65), color_at(tab, 10 + 5 * frame + 36, 65)
        assert inside[0] > 150 and inside[1] < 110  # the red car
        assert max(ahead) - min(ahead) < 40  # the grey behind it
    assert "t=0.20" in tab.url


def test_layers_change_the_picture(visit, page_file):
    tab = visit(page_file, "#t=1.5")
    drawn(tab, 15)
    before = color_at(tab, 100, 64)
    tab.uncheck("[data-layer=hidden]")
    tab.uncheck("[data-layer=visible]")
    tab.wait_for_timeout(150)
    assert color_at(tab, 100, 64) != before
    tab.uncheck("[data-layer=picture]")
    tab.uncheck("[data-layer=outline]")
    tab.uncheck("[data-layer=labels]")
    tab.wait_for_timeout(150)
    assert color_at(tab, 100, 64) == [0, 0, 0]
    tab.keyboard.press("1")
    tab.wait_for_timeout(150)
    assert color_at(tab, 100, 64)[2] > 100


def test_a_click_on_a_gap_goes_there_and_the_address_keeps_it(visit, page_file):
    tab = visit(page_file)
    tab.locator(".lane .s2").first.click()
    until(tab, "location.hash.startsWith('#id=7&t=1.')")
    assert 12 <= int(tab.input_value("#place")) <= 18
    assert "chosen" in tab.locator(".row").first.get_attribute("class")
    again = visit(page_file, "#id=7&t=1.5")
    assert again.input_value("#place") == "15" and "chosen" in again.locator(".row").first.get_attribute("class")


def test_hovering_shows_a_thumbnail_of_the_object(visit, page_file):
    tab = visit(page_file)
    tab.locator(".lane .s2").first.hover()
    tab.wait_for_selector("#peek:not([hidden])")
    assert "#7 car: hidden" in tab.inner_text("#peek p")
    until(tab, "document.querySelector('#peek canvas').getContext('2d').getImageData(120, 80, 1, 1).data[3] > 0")


def test_the_keyboard_steps_plays_and_goes_through_the_moments(visit, tmp_path):
    folder = written(tmp_path / "run", [passing(t, wrong=-60) for t in range(FRAMES)])
    assert main(["report", str(folder)]) == 0
    tab = visit(folder / "report.html")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowLeft")
    assert tab.input_value("#place") == "1"
    tab.keyboard.press("j")
    assert 12 <= int(tab.input_value("#place")) <= 18
    assert tab.locator("#moments li.chosen").count() == 1
    tab.keyboard.press("Home")
    tab.keyboard.press(" ")
    until(tab, "Number(document.getElementById('place').value) > 3")


def test_tables_are_sorted_by_a_click_and_downloaded(visit, page_file):
    tab = visit(page_file)
    tab.locator("#table th button", has_text="id").first.click()
    assert tab.locator("#table tbody tr td:first-child").all_inner_texts() == ["3", "7"]
    for kind in ("csv", "json"):
        with tab.expect_download() as waiting:
            tab.click(f"#{kind}")
        text = Path(waiting.value.path()).read_text()
        rows = json.loads(text) if kind == "json" else [line.split(",") for line in text.splitlines()]
        assert (rows[0]["id"], rows[0]["hidden_s"]) == ("7", 0.7) if kind == "json" else rows[1][:2] == ["7", "car"]


def test_on_a_phone_nothing_is_wider_than_the_screen_and_dark_is_dark(visit, page_file):
    tab = visit(page_file, viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 26)"


def test_hostile_names_stay_text(visit, tmp_path):
    folder = written(tmp_path / "run", [passing(t, wrong=-60, category=HOSTILE) for t in range(FRAMES)], name="<b>x")
    assert main(["report", str(folder)]) == 0
    tab = visit(folder / "report.html")
    assert tab.inner_text("#title") == "<b>x" and tab.locator("img[onerror]").count() == 0
    assert "</script><img src=x onerror=alert(1)>" in tab.inner_text("#rows")


def test_a_comparison_shows_both_runs_and_goes_to_where_they_differ(visit, page_file):
    other = written(page_file.parent.parent / "aside", [passing(t, wrong=-60) for t in range(FRAMES)])
    page = page_file.parent.parent / "both.html"
    assert main(["compare", str(page_file.parent), str(other), "--out", str(page)]) == 0
    tab = visit(page)
    assert tab.locator(".stage canvas").count() == 2
    assert tab.locator("#rows .row button").all_inner_texts() == ["A #7 car", "B #7 car", "A #3 truck", "B #3 truck"]
    tab.locator("#moments button").first.click()
    assert 12 <= int(tab.input_value("#place")) <= 18
    assert tab.locator(".row.chosen").count() == 2


def test_where_nothing_is_hidden_and_two_runs_differ_nowhere_the_page_says_so(visit, tmp_path):
    folder = written(tmp_path / "run", [passing(t) for t in range(3)])
    assert main(["compare", str(folder), str(folder), "--out", str(tmp_path / "both.html")]) == 0
    tab = visit(tmp_path / "both.html")
    assert "They differ nowhere by more than a fifth" in tab.inner_text("#look")
    assert "None of them was ever fully hidden." in tab.inner_text("#lead")
