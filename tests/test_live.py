"""The page of `samodal run --show`: it streams the newest picture, to this machine alone."""

import io
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from made_up import passing_square
from samodal.cli.app import main
from samodal.drawing.live import LivePage

RED = np.full((40, 60, 3), (200, 20, 20), np.uint8)


@pytest.fixture
def browsers(monkeypatch):
    """The addresses that a browser was told to open, with a display at hand."""
    opened = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    return opened


def next_picture(stream) -> np.ndarray:
    """The next JPEG of a stream of parts."""
    while stream.readline().strip() != b"Content-Type: image/jpeg":
        pass
    stream.readline()
    data = b""
    while not data.endswith(b"\r\n--frame\r\n"):
        data += stream.readline()
    return np.asarray(Image.open(io.BytesIO(data)))


def test_the_page_streams_each_new_picture_and_ends_with_the_run(browsers):
    live = LivePage("<drive>")
    assert browsers == [live.url] and live.url.startswith("http://127.0.0.1:")
    assert "&lt;drive&gt;: live" in urllib.request.urlopen(live.url, timeout=20).read().decode()
    live.show(RED)
    with urllib.request.urlopen(f"{live.url}stream", timeout=20) as stream:
        assert np.abs(next_picture(stream).astype(int) - RED).max() < 12
        live.show(255 - RED)
        assert np.abs(next_picture(stream).astype(int) - (255 - RED)).max() < 12
        live.close()
        assert stream.read().strip() == b""
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(live.url, timeout=5)


def test_a_page_of_others_that_is_led_to_this_address_gets_nothing(browsers):
    live = LivePage("drive")
    for path, host, code in (("", "evil.example:80", 403), ("other", "localhost", 404)):
        request = urllib.request.Request(live.url + path, headers={"Host": host})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=20)
        assert refused.value.code == code
    live.close()


def test_without_a_display_no_browser_is_opened_and_the_address_is_told(browsers, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    live = LivePage("drive")
    live.close()
    assert browsers == [] and f"no display here: open at {live.url}" in capsys.readouterr().out


def test_a_run_that_is_shown_writes_the_same_bytes(browsers, tmp_path, monkeypatch, capsys):
    (tmp_path / "frames").mkdir()
    for seen in passing_square(4)[1]:
        Image.fromarray(seen.frame.image).save(tmp_path / "frames" / f"{seen.frame.t}.png")
    (tmp_path / "mots.txt").write_text("")
    shown = []
    monkeypatch.setattr(LivePage, "show", lambda self, image: shown.append(image.shape))
    command = ["run", str(tmp_path / "frames"), "--vis", f"file:{tmp_path / 'mots.txt'}", "--method", "hull"]
    for name, flags in (("a", []), ("b", ["--show"]), ("c", ["--show", "--no-overlay"])):
        assert main([*command, "--out", str(tmp_path / name), *flags]) == 0, capsys.readouterr().err
    assert len(browsers) == 2 and len(shown) == 8
    assert (tmp_path / "a/frames.jsonl").read_bytes() == (tmp_path / "b/frames.jsonl").read_bytes()
    assert not (tmp_path / "c" / "overlay.mp4").exists()
    assert main([*command, "--out", str(tmp_path / "b")]) == 0 and "is finished" in capsys.readouterr().out


def test_a_data_set_is_not_shown(capsys):
    assert main(["run", "--data", "streetsim:x", "--show"]) == 2
    assert "--show is for a single video" in capsys.readouterr().err
