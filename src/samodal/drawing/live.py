"""A page that shows pictures while they are made, to this machine alone: what `samodal run --show` opens.

OpenCV's windows are not in the headless build that samodal needs, so a browser is the window.
"""

from __future__ import annotations

import os
import sys
import webbrowser
from functools import partial
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread

import cv2
import numpy as np

PAGE = """<!doctype html><meta charset="utf-8"><title>{0}</title>
<style>body {{ margin: 0; background: #15171a; color: #eee; font: 16px system-ui, sans-serif; }}
img {{ display: block; max-width: 100%; max-height: calc(100vh - 3rem); margin: auto; }}
p {{ margin: .6rem 1rem; }}</style>
<p>{0}: live; the picture stands still when the run has ended</p><img src="stream" alt="{0}">"""


class LivePage:
    """Shows the newest picture, in the default browser where there is a display.

    Attributes:
        url: of the page. Through SSH, `ssh -L PORT:127.0.0.1:PORT` brings it to another machine.
    """

    def __init__(self, title: str):
        self._title, self._jpeg, self._count, self._ended, self._news = title, b"", 0, False, Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        Thread(target=self._server.serve_forever, name="live page", daemon=True).start()
        opened = _display() and webbrowser.open(self.url)
        print(f"{'shown' if opened else 'no display here: open'} at {self.url}", flush=True)

    def show(self, image: np.ndarray) -> None:
        """Show a (H, W, 3) uint8 RGB picture; one that nobody fetched yet is replaced."""
        jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
        with self._news:
            self._jpeg, self._count = jpeg, self._count + 1
            self._news.notify_all()

    def close(self) -> None:
        """End the stream, and with it the page's server; the last picture stays in the browser."""
        with self._news:
            self._ended = True
            self._news.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def page(self) -> bytes:
        """The page as HTML."""
        return PAGE.format(escape(self._title)).encode()

    def newer(self, count: int) -> tuple[int, bytes] | None:
        """Wait for a picture newer than the `count`-th; None at the end."""
        with self._news:
            self._news.wait_for(lambda: self._count > count or self._ended)
            return (self._count, self._jpeg) if self._count > count else None


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, live: LivePage, *arguments):
        self._live = live
        super().__init__(*arguments)

    def do_GET(self) -> None:
        if (self.headers["Host"] or "").partition(":")[0] not in ("127.0.0.1", "localhost"):
            self.send_error(403)  # a page of others that was led to this address by its own name
        elif self.path == "/":
            self._begin("text/html; charset=utf-8")
            self.wfile.write(self._live.page())
        elif self.path == "/stream":
            self._begin("multipart/x-mixed-replace; boundary=frame")
            self._stream()
        else:
            self.send_error(404)

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def _stream(self) -> None:
        count = 0
        try:
            while (news := self._live.newer(count)) is not None:
                count, jpeg = news
                # The end of a picture is known by the next boundary: it goes along, or browsers are a picture late.
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg + b"\r\n--frame\r\n\r\n")
        except ConnectionError:  # the page was closed
            pass

    def log_message(self, *_: object) -> None:
        """Print nothing: the terminal is the run's."""


def _display() -> bool:
    """Whether a browser would have a screen; without one a text browser might take the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
