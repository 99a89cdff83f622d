"""What systemd hears, and when the watchdog starves."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.capture.protocol import CaptureState, CaptureStatus
from edge.daemon.watchdog import PublishWatchdog, VisionWatchdog
from emoshift.systemd import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Manager:
    """A service manager's socket."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Everything said since the last call."""
        said = []
        while True:
            try:
                said.append(self._socket.recv(1000).decode())
            except BlockingIOError:
                return said

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A service manager that listens."""
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.close()


def status(state: CaptureState, frames: int = 0) -> CaptureStatus:
    """A camera's state."""
    return CaptureStatus(state=state, reason="unplugged", frames=frames, dropped=0, reopened=0)


OPENING, RUNNING, LOST = CaptureState.OPENING, CaptureState.RUNNING, CaptureState.LOST


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        pytest.param([(OPENING, 0)], [], id="not ready before a frame"),
        pytest.param(
            [(OPENING, 0), (RUNNING, 1), (RUNNING, 2)],
            ["STATUS=watching", "READY=1", "WATCHDOG=1", "WATCHDOG=1"],
            id="ready with the first frame",
        ),
        pytest.param(
            [(LOST, 0)],
            ["STATUS=no camera: unplugged", "READY=1", "WATCHDOG=1"],
            id="ready without a camera, and saying so",
        ),
        pytest.param(
            [(RUNNING, 1), (RUNNING, 1), (RUNNING, 1)],
            ["STATUS=watching", "READY=1", "WATCHDOG=1"],
            id="frozen: starves",
        ),
    ],
)
def test_vision_watchdog(
    manager: Manager, turns: list[tuple[CaptureState, int]], said: list[str]
) -> None:
    """The watchdog is fed while frames advance or the camera is known to be away."""
    notifier = Notifier(manager.path, watchdog_s=0.0)
    watch = VisionWatchdog(notifier)
    for state, frames in turns:
        watch.update(status(state, frames))
    notifier.close()
    assert manager.heard() == said


def test_publish_watchdog(manager: Manager) -> None:
    """The publisher is ready when its loop turns, with or without a broker."""
    notifier = Notifier(manager.path, watchdog_s=60.0)
    watch = PublishWatchdog(notifier)
    for state in ("waiting", "waiting", "online"):
        watch.update(state)
    notifier.stopping()
    notifier.close()
    assert manager.heard() == [
        "STATUS=broker: waiting",
        "READY=1",
        "WATCHDOG=1",
        "STATUS=broker: online",
        "STOPPING=1",
    ]


def test_no_manager() -> None:
    """Without a service manager nothing is said and nothing fails."""
    notifier = Notifier.from_environment({})
    notifier.ready()
    notifier.ping()
    assert notifier.ping_every_s is None
    Notifier("/nowhere/notify").ready()


@pytest.mark.parametrize(
    ("environment", "every_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_interval(environment: dict[str, str], every_s: float | None) -> None:
    """The watchdog is fed three times within its limit, if it is meant for this process."""
    assert Notifier.from_environment(environment).ping_every_s == every_s


@pytest.mark.parametrize(
    ("given", "code", "complaint"),
    [
        pytest.param("not json", 78, "standard input: 1 problem", id="not JSON"),
        pytest.param("[]", 78, "expected a JSON object", id="no object"),
        pytest.param('{"camra": {}}', 78, "did you mean [camera]?", id="unknown table"),
    ],
)
def test_wrong_configuration(given: str, code: int, complaint: str) -> None:
    """A configuration that cannot be used ends a process with its code, in one message."""
    done = subprocess.run(
        [sys.executable, "-m", "edge.daemon.process", "publish"],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_watched_without_a_legal_basis() -> None:
    """The vision process itself demands a stated basis, however it was started."""
    done = subprocess.run(
        [sys.executable, "-m", "edge.daemon.process", "vision"],
        input='{"camera": {"source": "0"}}',
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 78
    assert "device.legal_basis: missing" in done.stderr


def test_journal_priorities() -> None:
    """In the journal every line has its priority, also the further lines of one message."""
    code = (
        "import logging; from emoshift.logs import set_up_logs\n"
        "set_up_logs(logging.INFO)\n"
        "log = logging.getLogger('x'); log.info('a'); log.warning('b\\nc'); log.error('d')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"JOURNAL_STREAM": "8:1", "PATH": ""},
        timeout=60,
    )
    assert done.stderr.splitlines() == ["<6>x: a", "<4>x: b", "<4>    c", "<3>x: d"]
    assert logging.getLogger("x").handlers == []
