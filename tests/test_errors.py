"""What errors show of texts and values from files."""

import pickle
import re
from pathlib import Path

import pytest

from samodal import errors
from samodal.errors import Incomplete, InputError, printable, shown


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\x1b[31mb\x07", r"a\x1b[31mb\x07"),
        ("a\nb\r\tc\x85\u2028", r"a\nb\r\tc\x85\u2028"),
        ("\u202eexe.png\u2066", r"\u202eexe.png\u2066"),
        ("Stra\udcdfe", r"Stra\udcdfe"),
        ("Straße  日本\u3000é 😀 نیم\u200cفاصله", "Straße  日本\u3000é 😀 نیم\u200cفاصله"),
    ],
)
def test_a_text_is_one_line_that_controls_nothing(text, line):
    assert printable(text) == line and printable(line) == line
    assert str(InputError(f"{text}: no")).count("\n") == 0


def test_lines_of_a_message_become_one_and_a_long_one_ends():
    assert str(InputError("a reason \n  in two lines\n")) == "a reason in two lines"
    assert len(str(InputError("x" * 10**6))) == 5001


def test_what_failed_in_part_has_a_line_each_also_from_another_process():
    error = Incomplete("2 failed:", ["a\nb: gone", "c: gone"])
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "2 failed:\n  a\\nb: gone\n  c: gone"


@pytest.mark.parametrize("value", ["x" * 999, [[["x"] * 99] * 99] * 99, [10**5000], {"\x1b": list(range(999))}])
def test_a_value_is_shown_short(value):
    assert len(shown(value)) <= 61 and "\x1b" not in shown(value)


def test_a_page_is_named_where_it_is_of_a_checkout_and_of_a_wheel(tmp_path, monkeypatch):
    assert errors.page("data.md") == "docs/data.md"
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "data.md").touch()
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "errors.py"))
    assert errors.page("data.md") == str(tmp_path / "docs" / "data.md") and errors.page("none.md") == "docs/none.md"


def test_every_page_that_a_message_names_is_in_the_wheel():
    root = Path(__file__).parents[1]
    wheel = (root / "pyproject.toml").read_text(encoding="utf-8")
    for path in (root / "src" / "samodal").rglob("*.py"):
        for name in re.findall(r"(?:page\([\"']|docs/)([\w-]+\.md)", path.read_text(encoding="utf-8")):
            assert f'"docs/{name}"' in wheel and (root / "docs" / name).exists(), f"{path}: {name}"
