"""The command builder of the docs: each choice is one that `samodal run` takes, and the command is what was chosen."""

import re
import shlex
from pathlib import Path

import pytest

from samodal.cli.app import parse
from samodal.exports.formats import FORMATS
from samodal.making import split
from samodal.method.rules import PRESETS
from samodal.registry import FRONT_ENDS, METHODS
from samodal.settings import RunSettings
from test_report_browser import browser, pytestmark, visit  # noqa: F401

PAGE = Path(__file__).parents[1] / "docs" / "command.html"


@pytest.fixture
def tab(browser):  # noqa: F811
    tab = browser.new_page(viewport={"width": 360, "height": 740})
    tab.goto(PAGE.as_uri())
    yield tab
    tab.close()


def settings_of(tab) -> RunSettings:
    """What the shown command means to `samodal run`."""
    program, command, *rest = shlex.split(tab.inner_text("#command"))
    assert (program, command) == ("samodal", "run")
    return parse(RunSettings, rest, "samodal run")


def test_the_first_command_is_that_of_the_readme_and_the_page_fits_a_phone(tab):
    assert tab.inner_text("#command") == "samodal run drive.mp4"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_every_choice_is_one_that_run_takes(tab):
    for field in ("vis", "method", "preset", "device"):
        for n in range(tab.locator(f"select[name={field}] option").count()):
            tab.select_option(f"select[name={field}]", index=n)
            settings = settings_of(tab)
            assert settings.preset in PRESETS and settings.method in METHODS
            assert settings.vis is None or split(settings.vis, FRONT_ENDS)[0] in FRONT_ENDS
    boxes = tab.locator("#save input")
    assert [boxes.nth(n).get_attribute("value") for n in range(boxes.count())] == list(FORMATS)


def test_the_command_says_what_was_chosen_also_with_odd_names(tab):
    tab.fill("[name=video]", "my drive's $(first).mp4")
    assert tab.locator("#argument-row").is_hidden()
    tab.select_option("[name=vis]", "boxes:")
    tab.fill("[name=argument]", "my tracks.txt")
    for name, value in (
        ("classes", "car, person"),
        ("conf", "0.3"),
        ("frames", "0:100"),
        ("stride", "3"),
        ("fps", "25"),
    ):
        tab.fill(f"[name={name}]", value)
    for name in ("reassociate", "offline", "overlay", "overwrite"):
        tab.check(f"[name={name}]")
    tab.check("#save [value=cvat]")
    tab.check("#save [value=coco]")
    tab.fill("[name=out]", "runs/my run")
    tab.click("#copy")
    tab.wait_for_selector("#note:not(:empty)")
    assert settings_of(tab) == RunSettings(
        video="my drive's $(first).mp4", vis="boxes:my tracks.txt", reassociate=True, fps=25.0, classes="car, person",
        offline=True, conf=0.3, frames="0:100", stride=3, save="coco,cvat", out=Path("runs/my run"), overlay=False,
        overwrite=True,
    )  # fmt: skip


def test_the_page_asks_no_network():
    text = PAGE.read_text(encoding="utf-8")
    assert "default-src 'none'" in text and not re.search(r"(src|href)=", text)
