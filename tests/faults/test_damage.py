"""The outbox damaged at random, thousands of times: everything is sent, or reported as lost."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from edge.outbox.settings import Limits
from edge.outbox.store import Outbox
from tests.faults.report import add_to_report
from tests.support.damage import damage_files
from tests.support.events import CHANGE

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = os.environ.get("EMOSHIFT_FAULTS") == "1"
DAMAGES = 2000 if WHOLE else 40


@dataclass(frozen=True)
class Stored:
    """An outbox as it lay on the disk, and what had been stored in it."""

    folder: Path
    waiting: frozenset[str]
    acknowledged: frozenset[str]


def make_stored(folder: Path) -> Stored:
    """Events of three starts, a part of them acknowledged, half of it still in the log."""
    path, waiting, gone = folder / "live" / "outbox.db", set(), set()
    for start in range(3):
        with Outbox.open(path, writer=True) as writer, Outbox.open(path, writer=False) as reader:
            for batch in range(25):
                events = writer.append(
                    [replace(CHANGE, track=f"{start}-{batch}-{i}") for i in range(1 + batch % 4)]
                )
                waiting.update(event.event_id for event in events)
                if batch % 5 == 4 and start != 1:
                    rows = reader.peek(limit=6)
                    reader.ack([row.id for row in rows])
                    gone.update(row.event.event_id for row in rows)
                writer.put_snapshot("health", "{}")
            writer.expire()
            if start == 2:
                shutil.copytree(path.parent, folder / "kept")
    return Stored(folder / "kept", frozenset(waiting - gone), frozenset(gone))


def recover(path: Path) -> tuple[set[str], set[str], int]:
    """Start both sides, send everything; returns what was sent, what is lost, and what else."""
    sent: set[str] = set()
    with Outbox.open(path, Limits(), writer=True) as writer:
        fresh = writer.append([replace(CHANGE, track="after")])
        with Outbox.open(path, Limits(), writer=False) as reader:
            for _ in range(100):
                rows = reader.peek(limit=50)
                if not rows:
                    break
                sent.update(row.event.event_id for row in rows)
                assert reader.ack([row.id for row in rows])
            assert reader.stats().depth == 0, "the queue is stuck"
            fresh += writer.append([replace(CHANGE, track="later")])
            sent.update(row.event.event_id for row in reader.peek())
            lost = {
                f"{loss.boot_id}:{number}"
                for loss in reader.losses()
                for number in range(loss.first, loss.last + 1)
            }
            dropped = reader.stats().dropped
    assert {event.event_id for event in fresh} <= sent, "new events are not sent"
    return sent, lost, dropped


@pytest.mark.timeout(1800)
def test_random_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is damaged, what is not sent is reported as lost, and new events are sent."""
    stored = make_stored(tmp_path)
    chance, kinds, took_s = random.Random(20261126), Counter[str](), []
    found_lost = silent = overreported = 0
    for number in range(DAMAGES):
        folder = tmp_path / "try"
        shutil.copytree(stored.folder, folder)
        kind = damage_files(folder / "outbox.db", chance)
        began_s = time.monotonic()
        try:
            sent, lost, dropped = recover(folder / "outbox.db")
        except AssertionError as why:
            raise AssertionError(f"damage {number} ({kind}): {why}") from why
        took_s.append(time.monotonic() - began_s)
        missing = stored.waiting - sent
        kinds[f"{kind}: {'lost' if missing else 'nothing lost'}"] += 1
        found_lost += len(missing & lost)
        silent += len(missing - lost)
        overreported += len((lost - missing) & stored.waiting)
        assert not missing - lost, (
            f"damage {number} ({kind}): {len(missing - lost)} lost in silence"
        )
        assert not missing or dropped, f"damage {number} ({kind}): not counted"
        shutil.rmtree(folder)
    took_s.sort()
    add_to_report(
        capsys,
        "random damage of the outbox",
        {
            "damages": DAMAGES,
            "events waiting in each": len(stored.waiting),
            "outcomes": dict(sorted(kinds.items())),
            "events lost and reported": found_lost,
            "events lost in silence": silent,
            "events sent and reported as lost": overreported,
            "recovery median, most (s)": [round(took_s[len(took_s) // 2], 3), round(took_s[-1], 3)],
        },
    )
