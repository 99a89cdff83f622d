"""A disk that fills up under a running device: events pass it, and it recovers."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from edge.outbox.settings import OutboxState
from edge.outbox.store import Outbox
from tests.faults.report import add_to_report
from tests.faults.test_storm import WHOLE
from tests.support.events import changes
from tests.support.publishing import Listening, Running, make_config
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.brokers import BrokerProcess

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        shutil.which("mount") is None or os.geteuid() != 0, reason="needs to mount a disk"
    ),
]

EVENTS = 2000 if WHOLE else 200


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of six megabytes."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(file: Path) -> None:
    """Take all the space that is left."""
    with file.open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(b"\0" * 4096):
            pass


@pytest.mark.timeout(300)
def test_a_disk_fills_up(
    tmp_path: Path, broker: BrokerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """Full while the broker is there, over a restart of the publisher, and empty again."""
    with small_disk(tmp_path / "disk") as disk, Listening(broker.port) as ear:
        config = make_config(disk, broker.port)
        with Outbox.from_config(config.outbox, writer=True) as outbox:
            with Running(config):
                outbox.append(changes(EVENTS))
                wait_until(lambda: len(ear.tracks) > EVENTS // 4, 60.0)
                fill(disk / "ballast")
                for start in range(EVENTS, 2 * EVENTS, 20):
                    outbox.append(changes(20, start=start))
                state = outbox.state
                wait_until(lambda: len(ear.tracks) == 2 * EVENTS, 120.0)
                wait_until(lambda: outbox.stats().depth == 0, 60.0)
            waiting = outbox.stats().depth + outbox.stats().pending
            with Running(config):
                outbox.append(changes(1, start=2 * EVENTS))
                wait_until(lambda: len(ear.tracks) == 2 * EVENTS + 1, 60.0)
            (disk / "ballast").unlink()
            freed_s = time.monotonic()
            outbox.expire()
            recovered_s = time.monotonic() - freed_s
            assert outbox.state is OutboxState.READY
            assert len(outbox.append(changes(1, start=2 * EVENTS + 1))) == 1
            losses = sum(loss.count for loss in outbox.losses())
    add_to_report(
        capsys,
        "full disk",
        {
            "events decided": 2 * EVENTS + 1,
            "of these on a full disk": EVENTS + 1,
            "sent": len(ear.tracks),
            "lost": 2 * EVENTS + 1 - len(set(ear.tracks) - {f"t{2 * EVENTS + 1}"}),
            "waiting when the publisher is started again": waiting,
            "reported as lost": losses,
            "state while it was full": state.value,
            "until it stores again once there is room (s)": round(recovered_s, 3),
        },
    )
    assert [ear.tracks.count(f"t{i}") for i in range(2 * EVENTS + 1)] == [1] * (2 * EVENTS + 1)
    assert (waiting, losses) == (0, 0)
