"""The page of ``edge aim``: on the loopback address alone, behind an address nobody can guess.

It shows what the process with the camera has sent in numbers, drawn as shapes. Another user of this
machine cannot open it without its address, and a page from elsewhere cannot read it.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from edge.aim.report import CELLS_ACROSS, CELLS_DOWN, Report
from edge.aim.verdict import advise, coverage_of, verdict_of
from emoshift.errors import UnavailableError

if TYPE_CHECKING:
    from edge.aim.report import Outline

LOOPBACK: Final = "127.0.0.1"
_FILES: Final = {
    "": ("index.html", "text/html; charset=utf-8"),
    "aim.js": ("aim.js", "text/javascript; charset=utf-8"),
    "aim.css": ("aim.css", "text/css; charset=utf-8"),
}
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(slots=True)
class View:
    """What is shown at the moment; shared by the terminal and the page.

    Attributes:
        report: The newest report.
        outline: The newest outline picture; ``None`` while none are shown.
        console: Whether the command runs on the device's own console, where outlines are agreed to.
        asked: Whether somebody has asked for outlines and nobody has answered yet.
    """

    report: Report
    outline: Outline | None = None
    console: bool = False
    asked: bool = False

    def to_json(self) -> str:
        """Write it for the page."""
        report, outline = self.report, self.outline
        covered = coverage_of(report)
        return json.dumps(
            {
                "state": report.state,
                "width": report.width,
                "height": report.height,
                "brightness": report.brightness,
                "sharpness": report.sharpness,
                "fps": report.fps,
                "faces": [
                    {
                        "x": face.x,
                        "y": face.y,
                        "width": face.width,
                        "height": face.height,
                        "verdict": verdict_of(face).name.lower(),
                    }
                    for face in report.faces
                ],
                "cells": {"across": CELLS_ACROSS, "down": CELLS_DOWN, "seen": list(report.seen)},
                "coverage": None
                if covered is None
                else [covered.left, covered.right, covered.top, covered.bottom],
                "advice": list(advise(report)),
                "console": self.console,
                "asked": self.asked,
                "outline": None
                if outline is None
                else {
                    "seconds_left": outline.seconds_left,
                    "columns": outline.columns,
                    "rows": outline.rows,
                    "bits": base64.b64encode(outline.bits).decode(),
                },
            }
        )


class Page:
    """Serves the page until it is closed.

    Args:
        view: What to show.
        port: On the loopback address; 0 takes any that is free.

    Raises:
        UnavailableError: The port is taken.
    """

    def __init__(self, view: View, port: int) -> None:
        token = secrets.token_urlsafe(16)
        handler = type("_BoundHandler", (_Handler,), {"view": view, "prefix": f"/{token}/"})
        try:
            self._server = ThreadingHTTPServer((LOOPBACK, port), handler)
        except OSError as why:
            raise UnavailableError(
                f"{LOOPBACK}:{port}: {why.strerror}; give another one: --port"
            ) from why
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.address = f"http://{LOOPBACK}:{self.port}/{token}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    view: View
    prefix: str
    server_version = "emoshift"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        name = self._name()
        if name == "state":
            self._answer(self.view.to_json().encode(), "application/json")
        elif name in _FILES:
            file, kind = _FILES[name]
            folder = resources.files("edge.aim") / "page"
            self._answer((folder / file).read_bytes(), kind)
        else:
            self._answer(b"no such page\n", "text/plain", HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        if self._name() != "outline":
            self._answer(b"no such page\n", "text/plain", HTTPStatus.NOT_FOUND)
            return
        # Only asked for here; somebody at the device's console agrees, or nothing happens.
        if self.view.console and self.view.outline is None:
            self.view.asked = True
        self._answer(b"", "text/plain", HTTPStatus.ACCEPTED)

    def _name(self) -> str | None:
        given = self.path.encode()
        prefix = self.prefix.encode()
        if not secrets.compare_digest(given[: len(prefix)], prefix):
            return None
        return self.path[len(prefix) :].partition("?")[0]

    def _answer(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Say nothing: the terminal shows the drawing."""
