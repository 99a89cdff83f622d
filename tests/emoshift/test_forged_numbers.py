"""Forged numbers, forged lines: what one sender does to the others."""

from __future__ import annotations

import io
import logging
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoshift.logs import LINES_A_MINUTE, RepeatFilter, SafeFormatter, printable
from emoshift.messages import FAR_SESSIONS, Presence
from emoshift.subscriber import Deduplicator, FarAhead, Interpreter, NewEvent, StatusFilter
from emoshift.topics import Address
from tests.emoshift.test_messages import EVENT

if TYPE_CHECKING:
    from pathlib import Path

    from emoshift.messages import Transition

LAST = 2**53 - 1


def event(seq: int) -> Transition:
    return EVENT.model_copy(update={"seq": seq, "event_id": f"{EVENT.boot_id}:{seq}"})


def seqs(updates: list[object]) -> list[int]:
    return [one.event.seq for one in updates if isinstance(one, NewEvent)]


def test_one_device_does_not_silence_another() -> None:
    """Another device that sends the largest number under a boot id changes nothing."""
    dedup, reported = Deduplicator(), []
    reported += dedup.accept(event(1), "school/room-1")
    dedup.accept(event(LAST), "school/evil")
    for seq in range(2, 200):
        reported += dedup.accept(event(seq), "school/room-1")
    assert seqs(reported) == list(range(1, 200))


@given(st.lists(st.integers(2_000_000, LAST), max_size=5), st.integers(2, 50))
def test_numbers_far_ahead_are_told_and_lose_nothing(forged: list[int], count: int) -> None:
    """A number that cannot be right is reported; every event of the device is still passed on."""
    dedup, reported = Deduplicator(), []
    reported += dedup.accept(event(1))
    for seq in forged:
        if seq - 1 not in forged:  # one that follows another is believed
            assert isinstance(dedup.accept(event(seq))[0], FarAhead)
    for seq in range(2, count):
        reported += dedup.accept(event(seq))
    assert seqs(reported) == list(range(1, count))


def test_a_device_that_really_is_far_ahead() -> None:
    """Where the next number follows, the count goes on from there."""
    dedup = Deduplicator()
    dedup.accept(event(1))
    assert isinstance(dedup.accept(event(5_000_000))[0], FarAhead)
    assert seqs(dedup.accept(event(5_000_001))) == [5_000_001]
    assert seqs(dedup.accept(event(5_000_002))) == [5_000_002]


def test_a_forged_session_is_not_believed() -> None:
    """The largest session number does not make every later status of a device a late one."""
    reported, now = StatusFilter(), int(time.time())
    assert reported.accept("t", "i", 1000, Presence.ONLINE)  # its clock was not set
    assert not reported.accept("t", "i", LAST, Presence.OFFLINE)
    assert not reported.accept("t", "i", now + FAR_SESSIONS + 1000, Presence.OFFLINE)
    assert reported.accept("t", "i", now, Presence.ONLINE)


def test_a_device_is_forgotten(tmp_path: Path) -> None:
    """A subscriber's state that a stranger has spoiled is mended for one device, others kept."""
    state = tmp_path / "state.json"
    spoiled, other = Deduplicator(), "school/room-2"
    for source in ("school/room-1", other):
        for seq in range(1, 20):
            spoiled.accept(event(seq), source)
    state.write_text(spoiled.to_json(), encoding="utf-8")
    reader = Interpreter(Deduplicator.from_json(state.read_text(encoding="utf-8")))
    reader.forget(Address("school", "room-1"))
    assert seqs(reader.events.accept(event(5), "school/room-1")) == [5]
    assert reader.events.accept(event(5), other) == []
    statuses = StatusFilter()
    now = int(time.time())
    assert statuses.accept("t", "i", now, Presence.OFFLINE)
    assert not statuses.accept("t", "i", 7, Presence.ONLINE)
    statuses.forget("t")
    assert statuses.accept("t", "i", 7, Presence.ONLINE)


@pytest.mark.parametrize(
    "text",
    ["a\nERROR root: forged", "\x1b[2J", "\x9b31m", "\u202etxt.exe", "a\rb", "\u2028", "\ud800"],
)
def test_foreign_text_in_a_log_line(text: str) -> None:
    """Foreign text begins no line, moves no cursor and turns no direction."""
    record = logging.LogRecord("emoshift", logging.WARNING, "", 0, "heard %s", (text,), None)
    lines = SafeFormatter("%(levelname)s %(name)s: %(message)s").format(record).split("\n")
    assert lines[0].startswith("WARNING emoshift: heard ")
    assert all(line.startswith("    ") for line in lines[1:])
    assert all(line.isprintable() for line in lines)
    assert printable(text).isprintable()


def test_a_flood_of_lines() -> None:
    """Of a hundred thousand lines of a kind some are written, and other kinds are not held up."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(RepeatFilter())
    log = logging.Logger("test")  # noqa: LOG001 - one of this test alone
    log.addHandler(handler)
    for number in range(100_000):
        log.warning("heard %d", number)
    log.warning("something else")
    assert len(out.getvalue().splitlines()) == LINES_A_MINUTE + 1
