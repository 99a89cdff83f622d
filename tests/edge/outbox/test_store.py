"""The outbox: numbering, order, limits, damage, a full disk, and two processes at once."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.outbox.event_file import EventFile
from edge.outbox.given_numbers import numbers_path, read_numbers
from edge.outbox.records import COLUMNS, StoredEvent, checksum
from edge.outbox.settings import Limits, OutboxState
from edge.outbox.store import Outbox
from emoshift.clock import boot_session
from emoshift.errors import OutboxError
from tests.support.clocks import SetClock
from tests.support.events import CHANGE, changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


ROOT = Path(__file__).parents[3]


def tracks(rows: Sequence[StoredEvent]) -> list[str]:
    return [row.event.track for row in rows]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "outbox.db"


def test_numbers_are_given_at_commit(path: Path) -> None:
    """Numbers start at one and have no gap, however the events are batched."""
    with Outbox.open(path, writer=True) as outbox:
        stored = outbox.append(changes(2)) + outbox.flush() + outbox.append(changes(3, start=2))
        assert [event.seq for event in stored] == [1, 2, 3, 4, 5]
        assert tracks(outbox.peek()) == ["t0", "t1", "t2", "t3", "t4"]
        assert [row.event for row in outbox.peek()] == stored


def test_a_restart_numbers_anew(path: Path) -> None:
    """Every writer has a boot id of its own, and what the one before stored comes first."""
    with Outbox.open(path, writer=True) as first:
        first.append(changes(1))
    with Outbox.open(path, writer=True) as second:
        second.append(changes(1, start=1))
        rows = second.peek()
    assert tracks(rows) == ["t0", "t1"]
    assert [row.event.seq for row in rows] == [1, 1]
    assert rows[0].event.boot_id != rows[1].event.boot_id


@settings(deadline=None, max_examples=40)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["put", "ack", "reopen"]), st.integers(0, 7)), max_size=25
    )
)
def test_it_is_a_queue(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Whatever is put comes out once, in order, over any mixture of puts, acks and restarts."""
    path = tmp_path_factory.mktemp("queue") / "outbox.db"
    outbox, model, made = Outbox.open(path, writer=True), [], 0
    for step, size in steps:
        if step == "put":
            outbox.append(changes(size, start=made))
            model += [f"t{made + i}" for i in range(size)]
            made += size
        elif step == "ack":
            outbox.ack([row.id for row in outbox.peek(limit=size)])
            model = model[size:]
        else:
            outbox.close()
            outbox = Outbox.open(path, writer=True)
        assert tracks(outbox.peek(limit=1000)) == model
        assert outbox.stats().depth == len(model)
    outbox.close()


def test_the_other_side_learns_of_changes(path: Path) -> None:
    """`changed` is true once for each time the other side has committed, never for oneself."""
    with Outbox.open(path, writer=True) as writer, Outbox.open(path, writer=False) as reader:
        assert reader.changed()
        assert not reader.changed()
        writer.append(changes(1))
        assert reader.changed()
        assert not reader.changed()
        reader.ack([row.id for row in reader.peek()])
        assert not reader.changed()
        assert writer.stats().depth == 0


def test_peek_goes_on_after_a_cursor(path: Path) -> None:
    """A cursor stays valid when everything before it has been acknowledged."""
    with Outbox.open(path, writer=True) as outbox:
        outbox.append(changes(3))
        last = outbox.peek()[-1].id
        outbox.ack([row.id for row in outbox.peek()])
        assert outbox.peek() == []
        outbox.append(changes(1, start=3))
        assert tracks(outbox.peek(after=last)) == ["t3"]


def test_snapshots_keep_the_latest(path: Path) -> None:
    """Of each kind only the latest word is kept, and its version grows."""
    with Outbox.open(path, writer=True) as writer, Outbox.open(path, writer=False) as reader:
        writer.put_snapshot("health", "1")
        writer.put_snapshot("health", "2")
        writer.put_snapshot("class", "3")
        assert reader.changed()
        found = {s.kind: (s.body, s.version) for s in reader.snapshots()}
    assert found == {"health": ("2", 2), "class": ("3", 1)}


def test_sessions_grow(path: Path) -> None:
    """Session numbers grow over restarts, clock steps and the loss of the file."""
    clock = SetClock(utc_s=1000.0)
    with Outbox.open(path, writer=False, clock=clock) as outbox:
        numbers = [outbox.next_session(), outbox.next_session()]
    clock.utc_s = 10.0
    with Outbox.open(path, writer=False, clock=clock) as outbox:
        numbers.append(outbox.next_session())
    path.unlink()
    clock.utc_s = 2000.0
    with Outbox.open(path, writer=False, clock=clock) as outbox:
        numbers.append(outbox.next_session())
    assert numbers == [1000, 1001, 1002, 2000]


def test_too_large(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond its size the oldest events go, are counted and reported; the rest is unharmed."""
    limits = Limits(max_bytes=200_000)
    with Outbox.open(path, limits, writer=True) as outbox:
        for start in range(0, 2000, 100):
            outbox.append(changes(100, start=start))
        kept, stats = tracks(outbox.peek(limit=5000)), outbox.stats()
    assert stats.depth == len(kept)
    assert stats.depth + stats.dropped == 2000
    assert 200 < stats.depth < 600
    assert kept == [f"t{i}" for i in range(stats.dropped, 2000)]
    assert "oldest events dropped" in caplog.text
    assert path.stat().st_size < 400_000


@pytest.mark.parametrize(
    ("monotonic_s", "utc_s", "synced", "kept"),
    [
        pytest.param(50.0, 50.0, True, 2, id="young"),
        pytest.param(101.0, 101.0, True, 1, id="too old"),
        pytest.param(50.0, 1e9, True, 2, id="clock set forward"),
        pytest.param(101.0, -1e9, True, 1, id="clock set back"),
        pytest.param(101.0, 0.0, False, 1, id="never set"),
    ],
)
def test_too_old(path: Path, monotonic_s: float, utc_s: float, synced: bool, kept: int) -> None:
    """Within one run of the kernel age is what the monotonic clock says, whatever dates say."""
    clock = SetClock()
    with Outbox.open(path, Limits(max_age_s=100.0), writer=True, clock=clock) as outbox:
        outbox.append(changes(1))
        clock.monotonic_s += monotonic_s
        clock.utc_s += utc_s
        clock.synced = synced
        outbox.append(changes(1, start=1))
        assert outbox.stats().depth == kept


def of_another_kernel(path: Path) -> None:
    """Let every row say that it was stored before a reboot."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as raw:
        rows = raw.execute(f"SELECT {COLUMNS} FROM queue").fetchall()
        for number, *values in rows:
            values[3] = "another"
            raw.execute(
                "UPDATE queue SET kernel = ?, crc = ? WHERE id = ?",
                ("another", checksum(number, *values[:-1]), number),
            )


@pytest.mark.parametrize(
    ("then", "now", "kept"),
    [
        pytest.param(True, True, 1, id="both clocks set"),
        pytest.param(False, True, 2, id="not set then"),
        pytest.param(True, False, 2, id="not set now"),
    ],
)
def test_too_old_after_a_reboot(path: Path, then: bool, now: bool, kept: int) -> None:
    """Across reboots only dates of clocks that were set can make an event old."""
    clock = SetClock(synced=then)
    with Outbox.open(path, Limits(max_age_s=100.0), writer=True, clock=clock) as outbox:
        outbox.append(changes(1))
        of_another_kernel(path)
        clock.utc_s += 101.0
        clock.synced = now
        outbox.append(changes(1, start=1))
        assert outbox.stats().depth == kept


def fill(path: Path, count: int = 300) -> None:
    with Outbox.open(path, writer=True) as outbox:
        outbox.append(changes(count))


def noise(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 9000] = random.Random(1).randbytes(9000)
    path.write_bytes(data)


DAMAGE = [
    pytest.param(lambda p: p.write_bytes(os.urandom(50_000)), id="all noise"),
    pytest.param(noise, id="noise in the middle"),
    pytest.param(lambda p: os.truncate(p, p.stat().st_size // 2), id="cut in half"),
    pytest.param(lambda p: os.truncate(p, 1000), id="cut in the first page"),
    pytest.param(lambda p: p.write_bytes(b"SQLite format 3\0" + b"\0" * 4080), id="empty header"),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_found_at_start(
    path: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged file is set aside and reported, what is readable comes over, work goes on."""
    fill(path)
    damage(path)
    with Outbox.open(path, writer=True) as outbox:
        rescued = tracks(outbox.peek(limit=1000))
        stored = outbox.append(changes(1, start=300))
        assert tracks(outbox.peek(limit=1000)) == [*rescued, "t300"]
    assert stored[0].seq == 1
    assert set(rescued) <= {f"t{i}" for i in range(300)}
    assert rescued == sorted(rescued, key=lambda t: int(t[1:]))
    assert "was damaged: set aside as outbox.db.damaged-" in caplog.text
    assert f"{len(rescued)} events carried over, {300 - len(rescued)} lost" in caplog.text
    assert len(list(path.parent.glob("*.damaged-*"))) == 1


def test_noise_in_the_middle_spares_both_ends(path: Path) -> None:
    """Events before and after the damaged pages are carried over."""
    fill(path)
    noise(path)
    with Outbox.open(path, writer=True) as outbox:
        rescued = tracks(outbox.peek(limit=1000))
    assert {"t0", "t299"} <= set(rescued)
    assert len(rescued) > 150


def test_emptied_file_is_no_damage(path: Path) -> None:
    """A file cut to nothing is an empty outbox; numbers never repeat."""
    fill(path, 3)
    os.truncate(path, 0)
    with Outbox.open(path, writer=True) as outbox:
        assert outbox.peek() == []
        assert [event.seq for event in outbox.append(changes(2))] == [1, 2]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_while_both_sides_run(path: Path, damage: Callable[[Path], object]) -> None:
    """Damage under two running sides ends with both on one sound file and later events flow."""
    writer, reader = Outbox.open(path, writer=True), Outbox.open(path, writer=False)
    done = threading.Event()

    def tend() -> None:
        while not done.wait(0.005):
            reader.changed()

    helper = threading.Thread(target=tend)
    try:
        writer.append(changes(300))
        raw = sqlite3.connect(path)
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw.close()
        damage(path)
        helper.start()
        numbers = []
        for i in range(40):
            numbers += [event.seq for event in writer.append(changes(10, start=1000 + 10 * i))]
        writer.close()
        writer = Outbox.open(path, writer=True)  # looks at every page
        numbers_after = [event.seq for event in writer.append(changes(1, start=5000))]
    finally:
        done.set()
        helper.join()
    assert numbers == sorted(set(numbers))
    assert numbers_after == [1]
    assert tracks(reader.peek(limit=9999))[-1] == "t5000"
    writer.close()
    reader.close()


def test_deleted_while_open(path: Path) -> None:
    """A file deleted under a running writer is replaced, and numbers go on."""
    with Outbox.open(path, writer=True) as outbox:
        outbox.append(changes(2))
        for file in path.parent.iterdir():
            file.unlink()
        assert [event.seq for event in outbox.append(changes(2))] == [3, 4]
        assert path.exists()


def test_only_the_newest_damaged_files_are_kept(path: Path) -> None:
    """Damaged files do not fill the disk."""
    for _ in range(4):
        fill(path, 3)
        path.write_bytes(b"x" * 5000)
    fill(path, 3)
    assert len(list(path.parent.glob("*.damaged-*"))) == 2


def test_a_changed_record_is_given_up(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A record whose text is not what was written is dropped, counted, and holds up nothing."""
    with Outbox.open(path, writer=True) as outbox:
        outbox.append(changes(3))
        raw = sqlite3.connect(path)
        raw.execute("UPDATE queue SET body = replace(body, 'happy', 'angry') WHERE id = 2")
        raw.commit()
        raw.close()
        assert tracks(outbox.peek()) == ["t0", "t2"]
        assert (outbox.stats().depth, outbox.stats().dropped) == (2, 1)
    assert "1 damaged events set aside" in caplog.text
    assert "happy" not in caplog.text


def test_a_newer_layout_is_refused(path: Path) -> None:
    """An outbox of a newer release is left alone, with a word on what to do."""
    fill(path, 1)
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.execute(f"PRAGMA application_id = {0x454D4F00 | 99}")
    raw.close()
    with pytest.raises(OutboxError, match="newer release"):
        Outbox.open(path, writer=True)


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    """A folder that cannot be made is one clear error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match=r"check outbox\.path"):
        Outbox.open(tmp_path / "file" / "outbox.db", writer=True)


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Limit the size of the files this process may write, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_refuses(
    path: Path, small_files: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    """While the disk refuses, events wait in memory; then all are stored, none twice."""
    with Outbox.open(path, writer=True) as outbox:
        outbox.append(changes(1))
        log = Path(f"{path}-wal")
        small_files(log.stat().st_size)
        assert outbox.append(changes(5, start=1)) == []
        assert outbox.state is not OutboxState.READY
        assert outbox.stats().pending == 5
        assert outbox.append(changes(5, start=6)) == []
        small_files(resource.RLIM_INFINITY)
        assert [event.seq for event in outbox.flush()] == list(range(2, 12))
        assert tracks(outbox.peek()) == [f"t{i}" for i in range(11)]
        assert outbox.state is OutboxState.READY
    assert caplog.text.count("events wait in memory") == 1
    assert caplog.text.count("stores events again") == 1


def test_memory_is_bounded_and_the_gap_shows(
    path: Path, small_files: Callable[[int], None]
) -> None:
    """What memory cannot hold is dropped oldest first, counted, and seen as a gap."""
    with Outbox.open(path, Limits(max_pending=10), writer=True) as outbox:
        outbox.append(changes(1))
        small_files(Path(f"{path}-wal").stat().st_size)
        outbox.append(changes(25, start=1))
        assert outbox.stats().dropped == 15
        small_files(resource.RLIM_INFINITY)
        assert [event.seq for event in outbox.flush()] == list(range(17, 27))
        assert outbox.stats().dropped == 15


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="needs to mount")
def test_a_full_disk(tmp_path: Path) -> None:
    """On a disk that is really full the state says so, and emptying it brings all back."""
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "none", mount], check=False, capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with Outbox.open(mount / "outbox.db", writer=True) as outbox:
            outbox.append(changes(1))
            ballast = mount / "ballast"
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(b"\0" * 4096):
                    pass
            assert outbox.append(changes(40, start=1)) == []
            assert outbox.state is OutboxState.FULL
            ballast.unlink()
            assert len(outbox.append(changes(1, start=41))) == 41
            assert outbox.state is OutboxState.READY
    finally:
        subprocess.run(["umount", mount], check=True)


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from edge.outbox.store import Outbox
from tests.support.events import changes
outbox = Outbox.open(Path({path!r}), writer=True)
for change in changes({count}):
    print(outbox.append([change])[0].event_id, flush=True)
"""


def start_writer(path: Path, count: int) -> subprocess.Popen[str]:
    code = WRITER.format(root=str(ROOT), path=str(path), count=count)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )


@pytest.mark.slow
def test_both_make_the_file_at_once(path: Path) -> None:
    """Whoever comes second waits for the first one, longer than SQLite would by itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    first.execute("CREATE TABLE x (y)")
    first.execute("BEGIN")
    first.execute("SELECT * FROM x").fetchall()  # holds a lock that forbids to change the log
    release = threading.Timer(6.0, lambda: first.execute("COMMIT"))
    release.start()
    try:
        with Outbox.open(path, writer=True) as outbox:
            assert len(outbox.append([CHANGE])) == 1
    finally:
        release.join()
        first.close()


def test_two_processes(path: Path) -> None:
    """One process writes while another reads and acknowledges: each event once, in order."""
    reader = Outbox.open(path, writer=False)
    seen = []
    with start_writer(path, 300) as process:
        while len(seen) < 300 and (process.poll() is None or reader.peek()):
            rows = reader.peek(limit=50)
            if reader.ack([row.id for row in rows]):  # else the file is busy: they come again
                seen += tracks(rows)
    reader.close()
    assert seen == [f"t{i}" for i in range(300)]


def test_killed_writer_loses_nothing_it_committed(path: Path) -> None:
    """A writer killed at any moment has stored every event it got back a number for."""
    reported = []
    for _ in range(5):
        with start_writer(path, 10_000) as process:
            reported += [process.stdout.readline().strip() for _ in range(20)]
            process.kill()
            reported += [line.strip() for line in process.stdout if line.endswith("\n")]
    with Outbox.open(path, writer=False) as outbox:
        stored = [row.event.event_id for row in outbox.peek(limit=100_000)]
    assert len(stored) == len(set(stored))
    assert [event for event in stored if event in set(reported)] == reported


def test_boot_session_names_this_boot() -> None:
    """Two readings of the boot name agree."""
    assert boot_session() == boot_session()


@pytest.mark.parametrize("torn_bytes", [0, 1, 500, 4120, 9000])
def test_a_power_cut_loses_nothing_committed(
    path: Path, tmp_path_factory: pytest.TempPathFactory, torn_bytes: int
) -> None:
    """What lies on the disk after a commit, with a torn write behind it, holds every event."""
    dice = random.Random(torn_bytes)
    reader = Outbox.open(path, writer=False)
    with Outbox.open(path, writer=True) as outbox:
        expected: list[str] = []
        for start in range(0, 60, 5):
            outbox.append(changes(5, start=start))
            expected += [f"t{start + i}" for i in range(5)]
            if start % 20 == 15:
                gone = reader.peek(limit=3)
                reader.ack([row.id for row in gone])
                expected = expected[3:]
                outbox.append(changes(1, start=1000 + start))  # syncs what was acknowledged, too
                expected.append(f"t{1000 + start}")
            after = tmp_path_factory.mktemp("after") / "outbox.db"
            shutil.copyfile(path, after)
            shutil.copyfile(f"{path}-wal", f"{after}-wal")
            with Path(f"{after}-wal").open("ab") as log:
                log.write(dice.randbytes(torn_bytes))
            with Outbox.open(after, writer=True) as survivor:
                assert tracks(survivor.peek(limit=1000)) == expected
    reader.close()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace: sudo apt install strace")
def test_only_events_wait_for_the_disk(path: Path, tmp_path: Path) -> None:
    """Storing an event syncs the log once; acknowledging and snapshots sync nothing."""
    code = (
        f"import sys, os; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path; from tests.support.events import changes\n"
        "from edge.outbox.store import Outbox\n"
        f"writer = Outbox.open(Path({str(path)!r}), writer=True)\n"
        f"reader = Outbox.open(Path({str(path)!r}), writer=False)\n"
        "def mark(word): os.write(1, word)\n"
        "writer.append(changes(1)); mark(b'put')\n"
        "writer.append(changes(3)); mark(b'ack')\n"
        "reader.ack([row.id for row in reader.peek()]); mark(b'snap')\n"
        "writer.put_snapshot('health', '{}'); mark(b'end'); os._exit(0)\n"
    )
    trace = tmp_path / "trace"
    subprocess.run(
        [
            *("strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,write", "-o", trace),
            *(sys.executable, "-c", code),
        ],
        check=True,
        capture_output=True,
    )
    text = trace.read_text()
    between = [text.partition(f'"{a}"')[2].partition(f'"{b}"')[0] for a, b in _STEPS]
    assert [part.count("sync(") for part in between] == [1, 0, 0]


_STEPS = (("put", "ack"), ("ack", "snap"), ("snap", "end"))


def test_a_file_of_the_first_release(tmp_path: Path) -> None:
    """A file of the release before keeps every event, its place, the counters and the snapshots."""
    path = tmp_path / "outbox.db"
    shutil.copyfile(Path(__file__).parent / "outbox-layout-1.db", path)
    reader = Outbox.open(path, writer=False, clock=SetClock())
    with Outbox.open(path, writer=True, clock=SetClock()) as outbox:
        assert tracks(outbox.peek()) == [f"t{i}" for i in range(10, 50)]
        assert {row.event.boot_id for row in outbox.peek()} != {outbox.boot_id}
        outbox.append(changes(1, start=50))
        assert tracks(reader.peek())[-1] == "t50"
        assert {s.kind for s in outbox.snapshots()} == {"info", "health"}
        assert outbox.next_session() == 1_800_001_000
        assert outbox.stats().dropped == 0
    reader.close()


def test_a_damaged_file_of_the_first_release(tmp_path: Path) -> None:
    """What can be read of it is carried over, a row with a changed text is counted as damaged."""
    path = tmp_path / "outbox.db"
    data = (Path(__file__).parent / "outbox-layout-1.db").read_bytes()
    at = data.index(b'"track":"t20"')
    path.write_bytes(data[: at + 10] + b"\xff" + data[at + 11 :])
    with Outbox.open(path, writer=True) as outbox:
        assert tracks(outbox.peek()) == [f"t{i}" for i in range(10, 50) if i != 20]
        assert (outbox.stats().damaged, outbox.stats().dropped) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("body = CAST(x'ff00' AS TEXT)", id="no UTF-8"),
        pytest.param("body = NULLIF('x', 'y')", id="another body"),
        pytest.param("kernel = 'somewhere'", id="kernel"),
        pytest.param("monotonic_s = 'noon'", id="clock"),
        pytest.param("utc_s = 9e18", id="date"),
        pytest.param("synced = 17", id="flag"),
        pytest.param("seq = 7777", id="number"),
        pytest.param("boot = 'nobody'", id="boot id"),
        pytest.param("crc = 0", id="checksum"),
        pytest.param("id = 9223372036854775807", id="largest id"),
        pytest.param("id = -5", id="negative id"),
    ],
)
def test_any_damaged_column(path: Path, change: str) -> None:
    """A change in any column holds up nothing; the event is set aside and reported as lost."""
    with Outbox.open(path, writer=True) as outbox, Outbox.open(path, writer=False) as reader:
        stored = outbox.append(changes(3))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as raw:
            raw.execute(f"UPDATE queue SET {change} WHERE id = 2")
        later = outbox.append(changes(2, start=3))
        sent = reader.peek()
        assert tracks(sent) == ["t0", "t2", "t3", "t4"]
        assert [event.seq for event in later] == [4, 5]
        assert [(x.boot_id, x.first, x.last, x.reason) for x in reader.losses()] == [
            (stored[0].boot_id, 2, 2, "damaged")
        ]
        assert (reader.stats().damaged, reader.stats().dropped) == (1, 1)
        assert reader.ack([row.id for row in sent])
        assert reader.stats().depth == 0


def test_a_torn_log_is_reported(path: Path, tmp_path: Path) -> None:
    """Commits that a damaged log takes with it are missing, and reported as lost."""
    with Outbox.open(path, writer=True) as outbox:
        outbox.append(changes(5))
        first = Path(f"{path}-wal").stat().st_size
        outbox.append(changes(5, start=5))
        boot = outbox.boot_id
        shutil.copytree(path.parent, tmp_path / "after")
    os.truncate(tmp_path / "after" / "outbox.db-wal", first + 100)
    with Outbox.open(tmp_path / "after" / "outbox.db", writer=True) as outbox:
        assert tracks(outbox.peek()) == [f"t{i}" for i in range(5)]
        assert [(x.boot_id, x.first, x.last) for x in outbox.losses()] == [(boot, 6, 10)]


def test_numbers_are_noted_once_the_disk_allows_it(path: Path) -> None:
    """A start on a disk that refuses the note of numbers does not end the noting for good."""
    path.parent.mkdir()
    obstacle = path.with_name(f"{path.name}-numbers.new")
    obstacle.mkdir()
    with Outbox.open(path, writer=True) as outbox:
        outbox.append(changes(1))
        assert read_numbers(numbers_path(path)) == {}
        obstacle.rmdir()
        outbox.append(changes(2))
        assert read_numbers(numbers_path(path)) == {outbox.boot_id: (1, 3)}
        outbox.append(changes(1))
        assert read_numbers(numbers_path(path)) == {outbox.boot_id: (1, 4)}


def test_dropped_events_are_reported(path: Path) -> None:
    """What is dropped because of its age is reported as lost, with the reason."""
    clock = SetClock()
    with Outbox.open(path, Limits(max_age_s=100.0), writer=True, clock=clock) as outbox:
        outbox.append(changes(3))
        clock.monotonic_s += 101.0
        outbox.expire()
        assert outbox.stats().depth == 0
        assert [(x.first, x.last, x.reason) for x in outbox.losses()] == [(1, 3, "old")]


def test_what_was_sent_can_be_had_again(path: Path) -> None:
    """Acknowledged events are kept for the stated time, and then are no loss."""
    clock = SetClock()
    with Outbox.open(path, Limits(keep_sent_s=100.0), writer=True, clock=clock) as outbox:
        boot = outbox.append(changes(5))[0].boot_id
        outbox.ack([row.id for row in outbox.peek(limit=4)])
        assert tracks(outbox.sent(boot, 2, 9)) == ["t1", "t2", "t3"]
        assert [(r.kept_from, r.settled) for r in outbox.runs()] == [(1, 4)]
        clock.monotonic_s += 101.0
        outbox.expire()
        assert outbox.sent(boot, 1, 9) == []
        assert [(r.kept_from, r.settled) for r in outbox.runs()] == [(5, 4)]
        assert outbox.losses() == []
    with Outbox.open(path, writer=True, clock=clock) as outbox:
        assert outbox.losses() == []


def test_damaged_files_age_out(path: Path) -> None:
    """A file that was set aside is removed after the age of the oldest event."""
    fill(path, 3)
    path.write_bytes(b"x" * 5000)
    clock = SetClock(utc_s=time.time())
    with Outbox.open(path, Limits(max_age_s=100.0), writer=True, clock=clock) as outbox:
        outbox.expire()
        assert len(list(path.parent.glob("*.damaged-*"))) == 1
        clock.utc_s += 200.0
        outbox.expire()
        assert not list(path.parent.glob("*.damaged-*"))


def test_a_damaged_file_that_cannot_be_removed_costs_nothing(path: Path) -> None:
    """What is kept for inspection may be gone already, or stay; the outbox goes on."""
    fill(path, 3)
    for name in ("20200101T000000000000", "20200102T000000000000"):
        path.with_name(f"{path.name}.damaged-{name}").symlink_to("gone")
    path.with_name(f"{path.name}.damaged-20200103T000000000000").mkdir()
    path.write_bytes(b"x" * 5000)
    clock = SetClock(utc_s=time.time() + 1000.0)
    with Outbox.open(path, Limits(max_age_s=100.0), writer=True, clock=clock) as outbox:
        assert outbox.stats().damaged == 3
        outbox.expire()
        outbox.append(changes(1, start=3))
        assert outbox.state is OutboxState.READY


def test_nobody_enters_before_all_is_carried_over(path: Path) -> None:
    """The other process waits for a repair to its end: the new file is empty until then."""
    fill(path, 3)
    path.write_bytes(b"x" * 5000)
    order: list[str] = []
    waiting = threading.Event()

    def carry_over(_db: sqlite3.Connection, damaged: Path | None) -> None:
        assert damaged is not None
        other.start()
        assert waiting.wait(10.0)
        time.sleep(0.2)
        order.append("carried over")

    def opened(_db: sqlite3.Connection, damaged: Path | None) -> None:
        assert damaged is None
        order.append("opened")

    def enter() -> None:
        waiting.set()
        second.open()

    first = EventFile(path, durable=True, clock=SetClock(), on_open=carry_over)
    second = EventFile(path, durable=False, clock=SetClock(), on_open=opened)
    other = threading.Thread(target=enter)
    try:
        first.open()
        other.join(10.0)
    finally:
        first.close()
        second.close()
    assert order == ["carried over", "opened"]


def test_what_could_not_be_carried_over_is_tried_again(path: Path) -> None:
    """A disk that refuses what a damaged file held gets it when it takes it again."""
    fill(path, 3)
    path.write_bytes(b"x" * 5000)
    handed: list[Path | None] = []

    def carry_over(_db: sqlite3.Connection, damaged: Path | None) -> None:
        handed.append(damaged)
        if len(handed) < 3:
            why = sqlite3.OperationalError("database or disk is full")
            why.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise why

    file = EventFile(path, durable=True, clock=SetClock(), on_open=carry_over)
    assert [file.attempt(lambda _: None) is None for _ in range(3)] == [False, False, True]
    file.close()
    assert file.attempt(lambda _: None) is None
    file.close()
    assert len(set(handed[:3])) == 1
    assert handed[0] is not None
    assert handed[3] is None


def test_a_lock_that_cannot_be_had_leaves_no_file_open(path: Path) -> None:
    """It is tried again many times a second: a descriptor a time would soon be all there are."""
    path.parent.mkdir()
    path.with_name(f"{path.name}.repair").mkdir()
    before = psutil.Process().num_fds()
    for _ in range(3):
        with pytest.raises(OutboxError, match="cannot be opened: Is a directory"):
            Outbox.open(path, writer=False)
    assert psutil.Process().num_fds() == before


def test_what_the_broker_refuses_is_set_aside(path: Path) -> None:
    """It is kept, reported as lost until it is tried again, and can be removed."""
    with Outbox.open(path, writer=True) as outbox:
        outbox.append(changes(3))
        outbox.refuse(2, "not authorized")
        assert tracks(outbox.peek()) == ["t0", "t2"]
        assert [(x.first, x.last, x.reason) for x in outbox.losses()] == [(2, 2, "refused")]
        assert [(dead.number, dead.reason) for dead in outbox.dead()] == [(2, "not authorized")]
        assert outbox.retry([2]) == 1
        assert tracks(outbox.peek()) == ["t0", "t1", "t2"]
        assert outbox.losses() == []
        outbox.refuse(2, "not authorized")
        assert outbox.remove([2]) == 1
        assert [(x.first, x.last, x.reason) for x in outbox.losses()] == [(2, 2, "removed")]


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder],
        check=False,
        capture_output=True,
    )
    if made.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill_disk(file: Path) -> None:
    with file.open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(b"\0" * 4096):
            pass


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="needs to mount")
def test_events_pass_a_full_disk(tmp_path: Path) -> None:
    """On a full disk events go through memory; acknowledged ones go; none is sent twice."""
    memory = tmp_path / "memory" / "outbox.db"
    with small_disk(tmp_path / "small", "6m") as disk:
        path, sent = disk / "outbox.db", []
        options = {"memory": memory}
        with (
            Outbox.open(path, writer=True, **options) as outbox,
            Outbox.open(path, writer=False, **options) as reader,
        ):
            outbox.append(changes(100))
            fill_disk(disk / "ballast")
            for start in range(100, 400, 10):
                outbox.append(changes(10, start=start))
            assert outbox.stats().pending == 0
            assert reader.stats().depth == 400
            while rows := reader.peek(limit=50):
                sent += tracks(rows)
                assert reader.ack([row.id for row in rows])
            assert sent == [f"t{i}" for i in range(400)]
            outbox.append(changes(3, start=400))
        with Outbox.open(path, writer=False, **options) as reader:
            assert tracks(reader.peek(limit=500)) == ["t400", "t401", "t402"]
            assert reader.losses() == []
        (disk / "ballast").unlink()
        with Outbox.open(path, writer=True, **options) as outbox:
            outbox.expire()
            assert outbox.state is OutboxState.READY
            assert len(outbox.append(changes(1, start=403))) == 1
            assert tracks(outbox.peek()) == ["t400", "t401", "t402", "t403"]
            assert outbox.losses() == []


@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="needs to mount")
def test_a_start_on_a_full_disk(tmp_path: Path) -> None:
    """Both sides start on a full disk, and events go through memory."""
    memory = tmp_path / "memory" / "outbox.db"
    with small_disk(tmp_path / "small", "1m") as disk:
        fill_disk(disk / "ballast")
        path = disk / "outbox.db"
        for name in ("outbox.db.lock", "outbox.db.repair"):
            (disk / name).touch()
        with (
            Outbox.open(path, writer=True, memory=memory) as outbox,
            Outbox.open(path, writer=False, memory=memory) as reader,
        ):
            assert outbox.state is OutboxState.FULL
            assert len(outbox.append(changes(3))) == 3
            assert tracks(reader.peek()) == ["t0", "t1", "t2"]
            (disk / "ballast").unlink()
            outbox.expire()
            assert outbox.state is OutboxState.READY
            assert tracks(reader.peek()) == ["t0", "t1", "t2"]
