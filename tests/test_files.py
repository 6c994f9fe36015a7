"""Text as other systems write it."""

import json

import numpy as np
import pytest

from samodal.errors import InputError
from samodal.files import read_json, read_text
from samodal.results.open import open_visible
from samodal.rle import Rle
from samodal.video import open_video

CODES = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_byte_order_marks_and_line_ends_make_no_difference(tmp_path, code, end):
    mark = "\ufeff" if code in ("utf-16-le", "utf-16-be") else ""
    (tmp_path / "a.txt").write_bytes(f"{mark}größe 大{end}2{end}".encode(code))
    assert read_text(tmp_path / "a.txt") == "größe 大\n2\n"
    (tmp_path / "a.json").write_bytes((mark + json.dumps({"größe": 2}, ensure_ascii=False) + end).encode(code))
    assert read_json(tmp_path / "a.json") == {"größe": 2}


def test_text_in_an_old_code_says_where_and_what_to_do(tmp_path):
    (tmp_path / "a.txt").write_bytes("größe".encode("latin-1"))
    with pytest.raises(InputError, match="a.txt: expected text, found other bytes at 2; save it as UTF-8"):
        read_text(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_bytes("größe".encode("utf-16")[:-1])
    with pytest.raises(InputError, match="b.txt: expected text, found other bytes"):
        read_text(tmp_path / "b.txt")


def test_results_written_on_windows_are_read(tmp_path):
    mask = Rle.encode(np.array([[True, False], [True, True]]))
    (tmp_path / "a.txt").write_bytes(f"\ufeff0 7 1 2 2 {mask.counts}\r\n1 7 1 2 2 {mask.counts}\r\n".encode())
    (track,) = open_visible(tmp_path / "a.txt", "a", (2, 2), 2).tracks
    assert track.visible == (mask, mask)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b'<?xml version="1.0"?><annotations/>', "XML"),
        (b"\x1f\x8b\x08\0\xff\xff", "an archive"),
        (b"PK\x03\x04\x14\0\xff\xff", "an archive"),
    ],
)
def test_files_that_are_often_taken_for_others_are_told_by_what_they_are(tmp_path, content, kind):
    for name, read in (
        ("labels.json", read_json),
        ("drive.mp4", lambda path: open_video(str(path))),
        ("masks.xml", lambda path: open_visible(path, "drive", (40, 60), 3)),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: .*{kind}"):
            read(tmp_path / name)


def test_lines_of_json_are_not_taken_for_a_file_that_was_cut_off(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(InputError, match="a document on each line"):
        read_json(tmp_path / "a.json")
