"""``edge aim``: starts the process with the camera and shows what it sends, until it is ended."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import sys
import termios
import textwrap
import threading
import time
import tty
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from edge.aim.page import Page, View
from edge.aim.report import NotOfThisForm, Outline, Report, read_message
from edge.aim.screen import draw, short_line
from edge.aim.vision import ASK_OUTLINE, END_OUTLINE
from edge.daemon.supervisor import config_json
from emoshift.errors import EmoshiftError, UnavailableError, UsageError
from emoshift.logs import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.config import Config

VISION: Final = "emoshift-vision.service"
PORT: Final = 8808

_CONSOLE: Final = re.compile(r"/dev/(console|tty\d+|tty(S|AMA|GS|THS|TCU|mxc|O)\d+|hvc\d+)")
_TURN_S: Final = 0.25
_LINE_EVERY_S: Final = 1.0
_STOP_S: Final = 5.0
_LOUD: Final = "\x1b[?1049h\x1b[?25l"
_QUIET: Final = "\x1b[?25h\x1b[?1049l"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """Where the command runs.

    Attributes:
        draws: Whether it can be drawn on and keys can be read.
        console: Whether it is the device's own console, where somebody stands beside the camera.
    """

    draws: bool
    console: bool

    @classmethod
    def of_this_process(cls) -> Self:
        """Look at standard input and output."""
        draws = sys.stdin.isatty() and sys.stdout.isatty()
        return cls(draws=draws, console=draws and is_console(os.ttyname(sys.stdin.fileno())))


def is_console(name: str) -> bool:
    """Whether a terminal is the device's own screen and keyboard, or its serial port.

    A pseudo-terminal is none: nobody can tell who sits at its other end, and where.
    """
    return _CONSOLE.fullmatch(name) is not None


class CameraProcess:
    """The process with the camera, as its reader sees it: messages come, two requests go.

    Args:
        config: The whole configuration; the broker's secrets are left out.

    Attributes:
        view: Kept up to date with what it sends.
    """

    def __init__(self, config: Config, view: View) -> None:
        self.view = view
        self._said: deque[str] = deque(maxlen=20)
        self._failure: EmoshiftError | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge.aim.vision"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us
        )
        self._tell(config_json(config, secrets=False).encode() + b"\n")
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._threads = [
            threading.Thread(target=work, args=(pipe,), daemon=True)
            for work, pipe in (
                (self._read, self._process.stdout),
                (self._listen, self._process.stderr),
            )
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether messages can still come."""
        return self._threads[0].is_alive()

    def ask_outline(self) -> None:
        """Ask for outlines, for five minutes; somebody at the console must have agreed."""
        self._tell(ASK_OUTLINE)

    def end_outline(self) -> None:
        """End the outlines."""
        self._tell(END_OUTLINE)

    def close(self) -> None:
        """End the process.

        Raises:
            EmoshiftError: It had ended by itself, and not well; with its last line and exit code.
        """
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            code = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for thread in self._threads:
            thread.join(_STOP_S)
        if self._failure is not None:
            raise self._failure
        if code:
            said = self._said[-1] if self._said else f"the process with the camera ended ({code})"
            raise CameraProcessError(said, code)

    def _tell(self, data: bytes) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(data)
                self._process.stdin.flush()

    def _read(self, pipe: BinaryIO) -> None:
        try:
            with pipe:
                while (message := read_message(pipe)) is not None:
                    self._show(message)
        except NotOfThisForm as why:
            self._failure = UnavailableError(
                f"the process with the camera sent what it must not: {why}"
            )
            self._process.kill()
        finally:
            self.view.outline = None

    def _show(self, message: Report | Outline) -> None:
        if isinstance(message, Outline):
            self.view.outline = message
            return
        if not message.outline_s:
            self.view.outline = None
        self.view.report = message

    def _listen(self, pipe: BinaryIO) -> None:
        with pipe:
            for line in pipe:
                text = printable(line.decode("utf-8", "replace").strip())
                self._said.append(text.partition("edge.aim.vision: ")[2] or text)


class CameraProcessError(EmoshiftError):
    """The process with the camera could not go on."""

    def __init__(self, said: str, code: int) -> None:
        super().__init__(said)
        self.exit_code = code if code > 0 else 1  # type: ignore[misc]  # that of the process


def aim(
    config: Config,
    write: Callable[[str], None],
    *,
    terminal: Terminal,
    port: int | None = PORT,
    seconds: float | None = None,
) -> None:
    """Show what the camera sees until ``q``, Ctrl-C, the end of a clip, or some time is over.

    Args:
        config: The whole configuration.
        write: Prints one line.
        terminal: What can be drawn, and whether outlines may be agreed to.
        port: For the page; ``None`` for no page.
        seconds: Ends after this time; ``None`` for never.

    Raises:
        EmoshiftError: The camera cannot be used, or the port is taken.
    """
    view = View(report=Report(state="opening"), console=terminal.console)
    with contextlib.ExitStack() as stack:
        notes = []
        if port is not None:
            page = stack.enter_context(contextlib.closing(Page(view, port)))
            notes = [f"page: {page.address}", _tunnel(page.port)]
            for note in notes:
                write(note)
        camera = stack.enter_context(contextlib.closing(CameraProcess(config, view)))
        until_s = float("inf") if seconds is None else time.monotonic() + seconds
        with contextlib.suppress(KeyboardInterrupt):
            if terminal.draws:
                _show_drawing(camera, notes, until_s)
            else:
                _show_lines(camera, write, until_s)


def _tunnel(port: int) -> str:
    host = os.uname().nodename
    return (
        f"from another machine: ssh -L {port}:127.0.0.1:{port} {host}, then open the same address"
    )


def _show_lines(camera: CameraProcess, write: Callable[[str], None], until_s: float) -> None:
    while camera.running and time.monotonic() < until_s:
        time.sleep(min(_LINE_EVERY_S, max(0.0, until_s - time.monotonic())))
        write(short_line(camera.view.report))


def _show_drawing(camera: CameraProcess, notes: list[str], until_s: float) -> None:
    keys = sys.stdin.fileno()
    before = termios.tcgetattr(keys)
    sys.stdout.write(_LOUD)
    try:
        tty.setcbreak(keys)
        while camera.running and time.monotonic() < until_s:
            lines = [*draw(camera.view.report, camera.view.outline), *notes, _prompt(camera.view)]
            _put(lines)
            if not select.select([keys], [], [], _TURN_S)[0]:
                continue
            if not _press(camera, os.read(keys, 1).lower()):
                return
    finally:
        sys.stdout.write(_QUIET)
        sys.stdout.flush()
        termios.tcsetattr(keys, termios.TCSADRAIN, before)


def _put(lines: list[str]) -> None:
    """Draw the screen anew, without a flicker, and no more than fits."""
    size = shutil.get_terminal_size()
    # What is to be read goes before what is drawn, where there is no room for both.
    wrapped = [part for line in lines for part in textwrap.wrap(line, size.columns) or [line]]
    shown = wrapped[-max(1, size.lines - 1) :]
    sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in shown) + "\x1b[J")
    sys.stdout.flush()


def _prompt(view: View) -> str:
    if view.asked:
        return (
            "Show an OUTLINE PICTURE of the room for five minutes (edges only, faces left out)?"
            " Tell everybody in view. y: yes, n: no"
        )
    if view.outline is not None:
        return f"outline for another {view.outline.seconds_left} s; e: end it, q: quit"
    if view.console:
        return "o: outline picture (edges only, faces left out), q: quit"
    return "q: quit (an outline picture needs the device's own console)"


def _press(camera: CameraProcess, key: bytes) -> bool:
    """Do what a key asks for; false to end."""
    view = camera.view
    if view.asked and key in {b"y", b"n"}:
        view.asked = False
        if key == b"y" and view.console:
            camera.ask_outline()
    elif key == b"o" and view.console and view.outline is None:
        view.asked = True
    elif key == b"e":
        camera.end_outline()
    return key not in {b"q", b""}


@contextlib.contextmanager
def camera_from_service(
    log: Callable[[str], None], *, agreed: Callable[[], bool]
) -> Iterator[None]:
    """Stop the service that holds the camera for the length of a block, and start it again.

    Args:
        log: Gets one line for each thing done.
        agreed: Asks whether it may be stopped.

    Raises:
        UsageError: It runs, and may not be stopped by this user or for this reason.
    """
    systemctl = shutil.which("systemctl") or "/usr/bin/systemctl"
    if (
        not Path("/run/systemd/system").is_dir()
        or subprocess.run([systemctl, "is-active", "--quiet", VISION], check=False).returncode
    ):
        yield
        return
    if os.geteuid() != 0:
        raise UsageError(f"{VISION} holds the camera; run: sudo edge aim")
    if not agreed():
        raise UsageError(f"{VISION} holds the camera; it must stop for as long as edge aim runs")
    subprocess.run([systemctl, "stop", VISION], check=True)
    log(f"stopped {VISION}; it is started again afterwards")
    try:
        yield
    finally:
        subprocess.run([systemctl, "start", "--no-block", VISION], check=False)
        log(f"started {VISION} again")
