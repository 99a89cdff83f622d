"""Nothing of a marked picture is in what ``edge aim`` serves."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
import segno

from edge.aim.page import Page, View
from edge.aim.report import Outline, Report
from edge.capture.clip import Clip
from edge.commands.aim import CameraProcess, Terminal, aim, is_console
from edge.commands.service import has_service_user
from edge.config import parse_config
from emoshift.errors import UnavailableError
from tests.support.videos import write_clip
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse

HIDDEN = "room 7, 3b, 26 November"
CHROMIUM = shutil.which("chromium")
PLAIN = np.full((360, 640, 3), 120, np.uint8)


def mark(side: int) -> np.ndarray:
    """A QR mark with the secret, in black and white, shape ``(side, side, 3)``."""
    modules = np.array(segno.make(HIDDEN, micro=False).matrix, np.uint8)
    quiet = np.pad(1 - modules, 2, constant_values=1) * 255
    grey = cv2.resize(quiet, (side, side), interpolation=cv2.INTER_NEAREST)
    return np.repeat(grey[:, :, None], 3, axis=2)


def read_mark(image: np.ndarray) -> str:
    return str(cv2.QRCodeDetector().detectAndDecode(image)[0])


@pytest.fixture
def own_account() -> None:
    """The process with the camera runs as whoever runs the tests, and so reads their clips."""
    if has_service_user():
        pytest.skip("root goes on as the user emoshift here, who cannot read the tests' folders")


@pytest.fixture(scope="module")
def marked_clip(tmp_path_factory: pytest.TempPathFactory, demo_clip: Path) -> Path:
    """A woman's face for 20 seconds with a QR mark beside her."""
    pictures = []
    for frame in Clip(demo_clip, max_fps=10).frames():
        image = cv2.resize(frame.image, (640, 360))
        image[8:188, 8:188] = mark(180)
        pictures.append(image)
    assert read_mark(pictures[50]) == HIDDEN  # so that not finding it means something
    return write_clip(tmp_path_factory.mktemp("marked") / "clip.mp4", pictures * 2, fps=10)


def config(clip: Path) -> object:
    return parse_config({"camera": {"source": str(clip)}}, where="test")


@pytest.fixture
def camera(marked_clip: Path) -> Iterator[CameraProcess]:
    """The process with the camera, once it has found the face."""
    view = View(report=Report(state="opening"))
    with closing(CameraProcess(config(marked_clip), view)) as process:
        wait_until(lambda: view.report.faces, timeout_s=60)
        yield process


def demand_nothing_of(clip: Path, served: bytes) -> None:
    """No row of the picture, no mark and no picture file is in what was served."""
    assert HIDDEN.encode() not in served
    for start in (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"data:image", b"<img"):
        assert start not in served
    letters = re.sub(rb"[^A-Za-z0-9+/]", b"", served)
    quads = [letters[at : at + (len(letters) - at) // 4 * 4] for at in range(4)]
    forms = [served, *map(base64.b64decode, quads)]  # base64 may begin anywhere
    for frame in list(Clip(clip, max_fps=2).frames())[:20]:
        grey = cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY)
        for size in ((640, 360), (320, 180), (160, 90), (80, 45)):
            for row in cv2.resize(grey, size, interpolation=cv2.INTER_AREA)[:: size[1] // 9]:
                pieces = [row.tobytes()[at : at + 12] for at in range(0, len(row) - 12, 12)]
                pieces += [np.packbits(row > 128).tobytes()]
                for piece in pieces:
                    if len(set(piece)) > 4:  # a flat piece may be anything
                        assert not any(piece in form for form in forms)


def open_page(address: str, *, method: str = "GET") -> HTTPResponse:
    request = urllib.request.Request(address, method=method)  # noqa: S310 - our own page
    return urllib.request.urlopen(request)  # noqa: S310


def fetch(address: str, *, method: str = "GET") -> bytes:
    with open_page(address, method=method) as answer:
        return answer.read()


def test_the_search_finds_what_leaks(marked_clip: Path) -> None:
    """A row of a small grey copy, raw or in base64, does not go unseen."""
    frame = next(iter(Clip(marked_clip, max_fps=2).frames()))
    grey = cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY)
    row = cv2.resize(grey, (160, 90), interpolation=cv2.INTER_AREA)[20].tobytes()
    for leak in (b"{" + row + b"}", base64.b64encode(row)):
        with pytest.raises(AssertionError):
            demand_nothing_of(marked_clip, leak)


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker", "own_account")
def test_shapes_alone(camera: CameraProcess, marked_clip: Path) -> None:
    """The page and its data hold nothing of the marked picture, while a face is drawn."""
    with closing(Page(camera.view, 0)) as page:
        bodies = [fetch(page.address + name) for name in ("", "aim.js", "aim.css")]
        seen = 0
        until_s = time.monotonic() + 5
        while time.monotonic() < until_s:
            bodies.append(fetch(page.address + "state"))
            seen += len(json.loads(bodies[-1])["faces"])
            time.sleep(0.1)
    assert seen > 10
    assert all(json.loads(body)["outline"] is None for body in bodies[3:])
    demand_nothing_of(marked_clip, b"".join(bodies))


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker", "own_account")
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_what_a_browser_shows(camera: CameraProcess, tmp_path: Path) -> None:
    """On the page as it is seen a face is drawn, and no mark can be read."""
    picture = tmp_path / "page.png"
    with closing(Page(camera.view, 0)) as page:
        subprocess.run(
            [
                *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu"),
                *("--window-size=1280,800", "--virtual-time-budget=3000"),
                *(f"--screenshot={picture}", page.address),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
    shown = cv2.imread(str(picture))
    assert read_mark(shown) == ""
    green = (abs(shown.astype(int) - (0x55, 0x7A, 0x0A)).max(axis=2) < 12).sum()
    assert green > 200, "no face is drawn"


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker", "own_account")
def test_an_outline_has_no_face_and_no_mark(camera: CameraProcess, marked_clip: Path) -> None:
    """Asked for, edges are shown: none on the face, and no mark can be read from them."""
    view = camera.view
    camera.ask_outline()
    wait_until(lambda: view.outline)
    outline = view.outline
    assert isinstance(outline, Outline)
    dots = np.unpackbits(np.frombuffer(outline.bits, np.uint8))[: outline.rows * outline.columns]
    dots = dots.reshape(outline.rows, outline.columns)
    assert dots.any()
    face = view.report.faces[0]
    scale = outline.columns / view.report.width
    left, right = (int(scale * x) for x in (face.x, face.x + face.width))
    top, bottom = (int(scale * y) for y in (face.y, face.y + face.height))
    assert not dots[max(top, 0) : bottom, max(left, 0) : right].any()
    for zoom in (1, 4, 8):
        larger = cv2.resize(
            255 * (1 - dots), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST
        )
        assert read_mark(np.repeat(larger[:, :, None], 3, axis=2)) == ""
    demand_nothing_of(marked_clip, view.to_json().encode())
    camera.end_outline()
    wait_until(lambda: view.outline is None, timeout_s=10)


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker", "own_account")
def test_two_pictures_that_differ_only_in_their_mark(tmp_path: Path) -> None:
    """The same numbers are told of both, so nobody can tell the marks apart by them."""
    told = []
    for turned in (False, True):
        image = PLAIN.copy()
        image[90:270, 230:410] = mark(180)[::-1] if turned else mark(180)
        clip = write_clip(tmp_path / f"{turned}.avi", [image] * 30, codec="ffv1", fps=10)
        view = View(report=Report(state="opening"))
        with closing(CameraProcess(config(clip), view)):
            wait_until(lambda view=view: view.report.fps > 0, timeout_s=60)
            report = view.report
        told.append((report.brightness, report.faces, report.seen))
    assert told[0] == told[1]


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker", "own_account")
def test_the_process_with_the_camera_has_no_network(camera: CameraProcess) -> None:
    """It stands behind the same walls as the daemon's, and holds nothing but pipes."""
    status = Path(f"/proc/{camera.pid}/status").read_text()
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    try:
        held = [str(file.readlink()) for file in Path(f"/proc/{camera.pid}/fd").iterdir()]
    except PermissionError:
        pytest.skip("what it holds can be seen by root alone")
    assert [name for name in held if name.startswith("socket:")] == []


def test_the_page_is_hidden_and_local() -> None:
    """It listens on loopback, and without its address there is nothing to be had."""
    with closing(Page(View(report=Report(state="opening")), 0)) as page:
        root = f"http://127.0.0.1:{page.port}/"
        for name in ("", "state", "aim.js", "x" * 22 + "/state", "%00", "../state"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                fetch(root + name)
            assert refused.value.code == 404
            refused.value.close()
        with open_page(page.address) as answer:
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "Access-Control-Allow-Origin" not in answer.headers
        with pytest.raises(ConnectionRefusedError), socket.socket() as other:
            other.connect(("127.0.0.2", page.port))  # answers where all addresses are listened on
        with pytest.raises(UnavailableError, match="--port"):
            Page(View(report=Report(state="opening")), page.port)


@pytest.mark.parametrize(
    ("name", "console"),
    [
        ("/dev/tty1", True),
        ("/dev/ttyS0", True),
        ("/dev/ttyAMA0", True),
        ("/dev/ttyTHS1", True),
        ("/dev/console", True),
        ("/dev/pts/0", False),
        ("/dev/tty", False),
    ],
)
def test_what_counts_as_the_devices_console(name: str, console: bool) -> None:
    """Screen and keyboard, or the serial port; never a pseudo-terminal, as SSH gives one."""
    assert is_console(name) is console


def test_a_page_cannot_ask_where_nobody_can_agree() -> None:
    """Asking does nothing away from the console; there it waits for somebody to agree."""
    for console in (False, True):
        view = View(report=Report(state="running"), console=console)
        with closing(Page(view, 0)) as page:
            fetch(page.address + "outline", method="POST")
            assert json.loads(fetch(page.address + "state"))["outline"] is None
        assert view.asked is console


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker", "own_account")
def test_lines_without_a_terminal(marked_clip: Path) -> None:
    """Where nothing can be drawn, a line a second tells the same; it ends after its time."""
    lines: list[str] = []
    aim(
        config(marked_clip),
        lines.append,
        terminal=Terminal(draws=False, console=False),
        port=None,
        seconds=6,
    )
    assert any("640x360" in line and "1 face" in line for line in lines)


ON_CONSOLE = """
import sys
from edge.commands.aim import Terminal, aim
from edge.config import parse_config
config = parse_config({"camera": {"source": sys.argv[1]}}, where="test")
aim(config, print, terminal=Terminal(draws=True, console=sys.argv[2] == "console"), port=None)
"""


def play(clip: Path, where: str, steps: list[tuple[bytes, bytes]]) -> str:
    """Press each key once something new is to be seen; return all that was shown."""
    leader, follower = pty.openpty()
    shown, looked = b"", 0
    with subprocess.Popen(
        [sys.executable, "-c", ON_CONSOLE, str(clip), where],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "COLUMNS": "100", "LINES": "60"},
    ) as process:
        until_s = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until_s:
            if select.select([leader], [], [], 0.2)[0]:
                shown += os.read(leader, 65536)
            if steps and steps[0][0] in shown[looked:]:
                looked = len(shown)
                os.write(leader, steps.pop(0)[1])
        process.kill()
    while select.select([leader], [], [], 0)[0]:
        shown += os.read(leader, 65536)
    os.close(follower)
    os.close(leader)
    assert steps == [], shown[-500:]
    return shown.decode()


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker", "own_account")
def test_on_a_pseudo_terminal(marked_clip: Path) -> None:
    """It draws, keeps the outline to itself, and leaves the terminal as it was."""
    shown = play(marked_clip, "pseudo", [(b"1 landmarks (L)", b"oyq")])
    assert "needs the device's own console" in shown
    assert "OUTLINE" not in shown
    assert shown.rstrip().endswith("\x1b[?1049l")


@pytest.mark.clip
@pytest.mark.usefixtures("landmarker", "own_account")
def test_on_the_console(marked_clip: Path) -> None:
    """Asked for, an outline needs a yes: after a no there is none, after a yes it can be ended."""
    shown = play(
        marked_clip,
        "console",
        [
            (b"1 landmarks (L)", b"o"),
            (b"y: yes, n: no", b"n"),
            (b"o: outline picture", b"o"),
            (b"y: yes, n: no", b"y"),
            (b"outline for another", b"e"),
            (b"o: outline picture", b"q"),
        ],
    )
    before, _, after = shown.rpartition("y: yes, n: no")
    assert re.search("[\u2801-\u28ff]", before) is None
    assert re.search("[\u2801-\u28ff]", after) is not None
