"""The outbox in a process of its own: what is handed over is stored, what is forged stays there."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.config import Outbox as OutboxSettings
from edge.daemon.event_store import ANSWER, EventStoreProcess
from edge.outbox.event import TransitionEvent
from edge.outbox.settings import OutboxState
from edge.outbox.store import Outbox
from emoshift.emotions import Emotion
from emoshift.errors import OutboxError
from tests.faults.processes import CHANGE
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence


def settings(folder: Path) -> OutboxSettings:
    return OutboxSettings(path=folder / "outbox" / "outbox.db")


def stored(folder: Path) -> list[str]:
    """Return the tracks of what waits in the outbox."""
    with Outbox.open(folder / "outbox" / "outbox.db", writer=False) as outbox:
        return [row.event.track for row in outbox.peek(limit=1000)]


def changes(*names: str) -> list[TransitionEvent]:
    return [replace(CHANGE, track=name) for name in names]


@pytest.mark.parametrize("before", [None, Emotion.SAD])
def test_an_event_survives_the_way(before: Emotion | None) -> None:
    """What is written for the other process is read there as it was."""
    event = replace(CHANGE, before=before)
    assert TransitionEvent.from_json(event.to_json()) == event


def test_what_is_handed_over_is_stored(tmp_path: Path) -> None:
    """Events in their order, the latest messages and the counts, as with an outbox of its own."""
    with EventStoreProcess(settings(tmp_path)) as store:
        store.append(changes("a", "b"))
        store.append(changes("c"))
        store.flush()
        assert store.put_snapshot("health", '{"a": "\u00fc"}')
        store.expire()
        stats = store.stats()
    assert (stats.depth, stats.stored, stats.state) == (3, 3, OutboxState.READY)
    assert stored(tmp_path) == ["a", "b", "c"]
    with Outbox.open(settings(tmp_path).path, writer=False) as outbox:
        assert [(s.kind, s.body) for s in outbox.snapshots()] == [("health", '{"a": "\u00fc"}')]


def test_an_outbox_that_cannot_be_opened(tmp_path: Path) -> None:
    """Says why, in one line."""
    (tmp_path / "outbox").write_text("a file, no folder")
    with (
        EventStoreProcess(settings(tmp_path)) as store,
        pytest.raises(OutboxError, match=r"outbox\.db: cannot be opened"),
    ):
        store.flush()


def test_a_process_that_cannot_be_started(tmp_path: Path) -> None:
    """One line says so, and the service manager tries again."""
    with pytest.raises(OutboxError, match="cannot be started: No such file"):
        EventStoreProcess(settings(tmp_path), command=[str(tmp_path / "python")])


def test_a_process_that_dies_is_missed(tmp_path: Path) -> None:
    """The next call says so, and what was stored is there."""
    with EventStoreProcess(settings(tmp_path)) as store:
        store.append(changes("a"))
        os.kill(store.pid, signal.SIGTERM)  # ignored: it ends with the vision process
        store.append(changes("b"))
        os.kill(store.pid, signal.SIGKILL)
        with pytest.raises(OutboxError, match="has ended"):
            store.append(changes("c"))
    assert stored(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0" * 10, id="too short"),
        pytest.param(ANSWER.pack(7, 0, *[0] * 6, b""), id="neither done nor not"),
        pytest.param(ANSWER.pack(1, 99, *[0] * 6, b""), id="no state"),
        pytest.param(ANSWER.pack(1, 0, 2**63, *[0] * 5, b""), id="no count"),
        pytest.param(ANSWER.pack(1, 0, *[0] * 6, b"\x1b[2J\nforged"), id="a problem"),
    ],
)
def test_answers_are_checked(tmp_path: Path, answer: bytes) -> None:
    """Whatever the other process answers, it is an answer of the agreed form or an error."""
    code = f"import sys; sys.stdout.buffer.write({ANSWER.pack(1, 0, *[0] * 6, b'') + answer!r})"
    command = [sys.executable, "-c", code]
    with (
        EventStoreProcess(settings(tmp_path), command=command) as store,
        pytest.raises(OutboxError) as caught,
    ):
        store.stats()
    assert str(caught.value).isprintable()


def test_it_dies_with_the_vision_process(tmp_path: Path) -> None:
    """A vision process that is killed leaves nobody behind who writes."""
    code = (
        "import pathlib, sys, time; from edge.config import Outbox;"
        "from edge.daemon.event_store import EventStoreProcess;"
        f"store = EventStoreProcess(Outbox(path=pathlib.Path({str(settings(tmp_path).path)!r})));"
        "store.flush(); print(store.pid, flush=True); time.sleep(100)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as vision:
        assert vision.stdout is not None
        number = int(vision.stdout.readline())
        vision.kill()
    wait_until(lambda: not Path(f"/proc/{number}").exists())


DECIDES = """
import sys
from dataclasses import replace
from pathlib import Path
from edge.config import Outbox
from edge.daemon.event_store import EventStoreProcess
from tests.faults.processes import CHANGE
with EventStoreProcess(Outbox(path=Path(sys.argv[1]))) as store:
    for number in range(10_000):
        name = f"{sys.argv[2]}-{number}"
        store.append([replace(CHANGE, track=name)])
        print(name, flush=True)
"""


def test_what_was_answered_for_survives_every_kill(tmp_path: Path) -> None:
    """A vision process that is killed again and again loses nothing that was answered for.

    Each kill costs the event under way at most; the next process goes on, while somebody
    acknowledges.
    """
    path, answered, waiting = settings(tmp_path).path, [], []
    for run in range(4):
        command = [sys.executable, "-c", DECIDES, str(path), str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as vision:
            assert vision.stdout is not None
            lines = [vision.stdout.readline().strip() for _ in range(10 + 7 * run)]
            vision.kill()
            lines += vision.stdout.read().split()
        answered += lines
        with Outbox.open(path, writer=False) as outbox:
            rows = outbox.peek(limit=5)
            waiting += [row.event.track for row in rows]
            assert outbox.ack([row.id for row in rows])
    waiting += stored(tmp_path)
    assert len(waiting) == len(set(waiting))
    assert set(answered) <= set(waiting)
    assert len(waiting) <= len(answered) + 4
    assert [name for name in waiting if name in set(answered)] == answered


def test_a_forged_file_stays_with_it(tmp_path: Path) -> None:
    """A file with code in its schema, or of noise, is set aside there; events go on."""
    path = settings(tmp_path).path
    for forge in (_forge_trigger, _forge_noise):
        with EventStoreProcess(settings(tmp_path)) as store:
            store.append(changes("a"))
        forge(path)
        with EventStoreProcess(settings(tmp_path)) as store:
            store.append(changes("b"))
            assert store.stats().state is OutboxState.READY
        assert "b" in stored(tmp_path)
        assert not (tmp_path / "outbox" / "pwned").exists()


def _forge_trigger(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TRIGGER forged AFTER INSERT ON queue BEGIN"
            " SELECT writefile('pwned', 'x'); DELETE FROM queue; END"
        )
    db.close()


def _forge_noise(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100:4000] = os.urandom(3900)
    path.write_bytes(content)


PROBE = """
import fcntl, os, socket, subprocess, sys, termios
from pathlib import Path
from edge.daemon.confine import confine
own, other = Path(sys.argv[1]), Path(sys.argv[2])
read, write = os.pipe()
if sys.argv[3] == "confined":
    print(confine(writes=[own, Path("/nowhere")], reads=[Path("/proc")]))
def tried(name, call):
    try:
        call()
        print(name, "done")
    except OSError as why:
        print(name, "refused", why.errno)
tried("own", lambda: (own / "file").write_text("x"))
tried("other", lambda: (other / "file").write_text("x"))
tried("reading", lambda: (other / "there").read_text())
tried("camera", lambda: os.close(os.open("/dev/zero", os.O_RDONLY)))  # stands for any device
tried("ioctl", lambda: fcntl.ioctl(read, termios.FIONREAD, bytes(4)))
tried("network", lambda: socket.socket().close())
tried("program", lambda: subprocess.run(["/bin/true"], check=True))
tried("clock", lambda: Path("/proc/sys/kernel/random/boot_id").read_text())
"""


def probe(folder: Path, how: str) -> dict[str, bool]:
    """Try everything in a process; return what was done."""
    for name in ("own", "other"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "other" / "there").write_text("a secret")
    command: Sequence[str] = [
        *(sys.executable, "-c", PROBE, str(folder / "own"), str(folder / "other"), how)
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    lines = done.stdout.splitlines()
    if how == "confined" and "folders=False" in lines[0]:
        pytest.skip("this kernel has no Landlock")
    return {
        line.split()[0]: line.split()[1] == "done" for line in lines if "Confinement" not in line
    }


def test_it_reaches_no_camera_and_no_program(tmp_path: Path) -> None:
    """Confined, it has its own folder and nothing else; the same tries succeed without that."""
    assert all(probe(tmp_path, "free").values())
    assert probe(tmp_path, "confined") == {
        **dict.fromkeys(("own", "clock"), True),
        **dict.fromkeys(("other", "reading", "camera", "ioctl", "network", "program"), False),
    }


def test_the_vision_process_cannot_open_the_outbox() -> None:
    """Nothing it imports reads an outbox, or any SQLite file."""
    code = "import sys, edge.daemon.vision, edge.daemon.watchdog; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"sqlite3", "edge.outbox.store", "edge.outbox.records"} & {*done.stdout.split()}
