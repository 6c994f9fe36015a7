"""Pictures of a report and of a comparison, taken in a headless browser: desktop, phone, dark, compare.

    python scripts/report_pictures.py REPORT.html COMPARISON.html OUT ['#id=7&t=3.2']

It needs `pip install playwright` and a Chromium: one on the path, or CHROMIUM=/path/to/it.
"""

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def take(browser: Browser, page: Path, out: Path, hash: str = "", at: str = "", **options) -> None:
    """A picture of a page, once it has drawn; `at` is the id of the part that stands at the top."""
    tab = browser.new_page(**options)
    tab.goto(f"{page.resolve().as_uri()}{hash}")
    tab.wait_for_selector("html[data-drawn]")
    while not tab.evaluate("film.readyState >= 2 && !film.seeking"):
        tab.wait_for_timeout(50)
    if at:
        tab.evaluate("id => document.getElementById(id).scrollIntoView({block: 'start'})", at)
    tab.wait_for_timeout(600)
    tab.screenshot(path=str(out), quality=80)
    tab.close()


def main(report: Path, comparison: Path, out: Path, hash: str = "") -> None:
    """Take all pictures; `hash` chooses an object and a time, as #id=7&t=3.2."""
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        take(browser, report, out / "first.jpg", viewport=DESKTOP)
        take(browser, report, out / "player.jpg", hash, at="watch", viewport=DESKTOP)
        take(browser, report, out / "phone.jpg", hash, at="watch", viewport=PHONE, device_scale_factor=2)
        take(browser, report, out / "dark.jpg", hash, at="times", viewport=DESKTOP, color_scheme="dark")
        take(browser, comparison, out / "compare.jpg", viewport={"width": 1280, "height": 1400})
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), *sys.argv[4:])
