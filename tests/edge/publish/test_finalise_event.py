"""How an event is sent after it has waited: its date corrected, its age admitted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge.outbox.records import StoredEvent
from edge.publish.delivery import HISTORICAL_AFTER_S, finalise_event
from emoshift.clock import ClockReading
from tests.support.events import CHANGE

if TYPE_CHECKING:
    from emoshift.messages import Transition


def finalised(
    *,
    waited_s: float = 0.0,
    clock_moved_s: float = 0.0,
    then: bool = True,
    now: bool = True,
    boot_session: str = "this",
) -> Transition:
    """Store an event at monotonic second 100, finalise it ``waited_s`` later."""
    event = replace(CHANGE, clock_synced=then).numbered("a" * 32, 1)
    row = StoredEvent(
        id=1, event=event, boot_session=boot_session, monotonic_s=100.0, utc_s=1000.0, synced=then
    )
    reading = ClockReading(
        monotonic_s=100.0 + waited_s, utc_s=1000.0 + waited_s + clock_moved_s, synced=now
    )
    return finalise_event(row, now=reading, boot_session="this")


@pytest.mark.parametrize(
    ("waited_s", "boot_session", "historical"),
    [
        pytest.param(0.0, "this", False, id="at once"),
        pytest.param(HISTORICAL_AFTER_S, "this", False, id="just in time"),
        pytest.param(HISTORICAL_AFTER_S + 0.1, "this", True, id="late"),
        pytest.param(0.0, "another", True, id="from before a reboot"),
    ],
)
def test_history(waited_s: float, boot_session: str, historical: bool) -> None:
    """What is sent long after it happened says so, whatever the wall clock did."""
    assert finalised(waited_s=waited_s, boot_session=boot_session).historical is historical
    assert (
        finalised(waited_s=waited_s, boot_session=boot_session, clock_moved_s=1e9).historical
        is historical
    )


@pytest.mark.parametrize(
    ("then", "now", "boot_session", "moved_s"),
    [
        pytest.param(False, True, "this", 3600.0, id="set since: corrected"),
        pytest.param(True, True, "this", 0.0, id="was set: left alone"),
        pytest.param(False, False, "this", 0.0, id="still not set"),
        pytest.param(False, True, "another", 0.0, id="reboot: nobody knows"),
    ],
)
def test_dates(then: bool, now: bool, boot_session: str, moved_s: float) -> None:
    """Dates of a clock that was set after the event are corrected by as much as it moved."""
    event = finalised(
        then=then, now=now, boot_session=boot_session, clock_moved_s=3600.0, waited_s=5.0
    )
    assert (event.decided - CHANGE.decided).total_seconds() == moved_s
    assert event.clock_synced is (then or moved_s > 0)
