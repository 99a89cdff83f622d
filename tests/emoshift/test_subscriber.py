"""The subscriber's helper: each event once, in order, gaps reported, late last wills ignored."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoshift.errors import OutputError
from emoshift.messages import (
    BootNumbers,
    Ledger,
    LostNumbers,
    Presence,
    Status,
    Transition,
)
from emoshift.number_ranges import NumberRanges
from emoshift.subscriber import (
    BOOTS,
    FAR,
    INSTANCES,
    Deduplicator,
    DeviceStatus,
    Gap,
    Interpreter,
    NewEvent,
    StatusFilter,
    Unreadable,
    listen,
)
from tests.support.events import CHANGE

if TYPE_CHECKING:
    from pathlib import Path

A, B = "a" * 32, "b" * 32
BASE = "emoshift/v1/school/room-12"


def event(seq: int, boot: str = A) -> Transition:
    """An event of which only the number matters."""
    return CHANGE.numbered(boot, seq)


def story(numbers: list[int]) -> list[str]:
    """What is passed on of events that come in this order."""
    dedup, reported = Deduplicator(), []
    for number in numbers:
        for heard in dedup.accept(event(number)):
            if isinstance(heard, Gap):
                reported.append(f"gap {heard.first}-{heard.last}")
            else:
                reported.append(f"{heard.event.seq}{' late' if heard.late else ''}")
    return reported


@pytest.mark.parametrize(
    ("numbers", "reported"),
    [
        pytest.param([1, 2, 3], ["1", "2", "3"], id="in order"),
        pytest.param([1, 2, 1, 2, 3], ["1", "2", "3"], id="repeated"),
        pytest.param([7, 8], ["7", "8"], id="a late subscriber has missed nothing"),
        pytest.param([1, 4], ["1", "gap 2-3", "4"], id="gap"),
        pytest.param([1, 4, 2, 2, 5], ["1", "gap 2-3", "4", "2 late", "5"], id="gap half filled"),
        pytest.param([5, 3], ["5"], id="from before we listened"),
    ],
)
def test_story(numbers: list[int], reported: list[str]) -> None:
    """Each event is passed on once; what is missing is reported when it is noticed."""
    assert story(numbers) == reported


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([A, B]), st.integers(1, 30)), max_size=80))
def test_every_event_once_and_every_gap_true(heard: list[tuple[str, int]]) -> None:
    """For any mixture of repeats, losses and disorder: once each, and gaps are what is missing."""
    dedup = Deduplicator()
    first: dict[str, int] = {}
    reported: dict[str, list[int]] = {A: [], B: []}
    missing: dict[str, set[int]] = {A: set(), B: set()}
    for boot, number in heard:
        first.setdefault(boot, number)
        for item in dedup.accept(event(number, boot)):
            if isinstance(item, NewEvent):
                reported[boot].append(item.event.seq)
                missing[boot].discard(item.event.seq)
            else:
                assert item.boot_id == boot
                missing[boot].update(range(item.first, item.last + 1))
    for boot, since in first.items():
        came = {n for b, n in heard if b == boot and n >= since}
        assert len(reported[boot]) == len(set(reported[boot]))
        assert set(reported[boot]) == came
        assert missing[boot] == set(range(since, max(came) + 1)) - came


def test_a_backlog_is_no_gap() -> None:
    """What waits behind a newer event follows; only what is missing in the end is reported."""
    dedup = Deduplicator()
    newest = event(1001).model_copy(update={"backlog": True})
    reported = [dedup.accept(e) for e in (newest, event(1), event(2), event(4), event(1002))]
    assert [type(item) for items in reported for item in items] == [
        NewEvent,
        NewEvent,
        NewEvent,
        Gap,
        NewEvent,
        Gap,
        NewEvent,
    ]
    gaps = [(x.first, x.last) for items in reported for x in items if isinstance(x, Gap)]
    assert gaps == [(3, 3), (5, 1000)]


def ledger(*boots: tuple[str, int, int], lost: tuple[tuple[str, int, int], ...] = ()) -> Ledger:
    """What a device says it sent."""
    return Ledger(
        device="room-12",
        boots=[BootNumbers(boot_id=b, kept_from=k, settled=s) for b, k, s in boots],
        lost=[LostNumbers(boot_id=b, first=f, last=x, reason="damaged") for b, f, x in lost],
    )


def test_the_ledger_shows_what_is_missing_at_the_end() -> None:
    """Events after the last that came, and whole boot ids, are reported and can be asked for."""
    dedup = Deduplicator()
    dedup.accept(event(5))
    sent = ledger((A, 3, 9), (B, 2, 4), lost=((A, 8, 8),))
    assert [(g.boot_id, g.first, g.last, g.reason) for g in dedup.compare(sent)] == [
        (A, 8, 8, "damaged"),
        (A, 6, 7, ""),
        (A, 9, 9, ""),
        (B, 1, 4, ""),
    ]
    assert dedup.wanted(sent) == [(A, 6, 7), (A, 9, 9), (B, 2, 4)]
    assert dedup.compare(sent) == []
    assert [type(item) for item in dedup.accept(event(6))] == [NewEvent]
    assert dedup.wanted(sent) == [(A, 7, 7), (A, 9, 9), (B, 2, 4)]


def test_ledgers_fill_no_memory() -> None:
    """A device that names new boot ids for ever leaves no more of them than are remembered."""
    dedup, boots = Deduplicator(), [f"{number:032x}" for number in range(1, 2 * BOOTS)]
    dedup.accept(event(1, boots[0]))
    for before, after in itertools.pairwise(boots):
        dedup.compare(ledger((before, 1, 1), (after, 1, 1)))
    assert len(json.loads(dedup.to_json())["boots"]) == BOOTS
    assert dedup.wanted(ledger((boots[-1], 1, 1))) == [(boots[-1], 1, 1)]


def test_a_stranger_misses_nothing() -> None:
    """Whoever has heard nothing of a device sees no gaps in its ledger."""
    dedup = Deduplicator()
    assert dedup.compare(ledger((A, 1, 9))) == []
    assert dedup.wanted(ledger((A, 1, 9))) == []


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), max_size=60), st.integers(0, 59))
def test_a_restart_changes_nothing(numbers: list[int], at: int) -> None:
    """Going on from what was written gives the same as never having stopped."""

    def replay(restart: bool) -> list[object]:
        dedup, reported = Deduplicator(), []
        for place, number in enumerate(numbers):
            if restart and place == at:
                dedup = Deduplicator.from_json(dedup.to_json())
            reported += dedup.accept(event(number))
        return reported

    assert replay(restart=True) == replay(restart=False)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), max_size=30))
def test_ranges_are_a_set(added: list[tuple[int, int]]) -> None:
    """Ranges hold what was added, and name what was not."""
    ranges, numbers = NumberRanges(), set()
    for first, more in added:
        ranges.add(first, first + more)
        numbers.update(range(first, first + more + 1))
    assert {n for n in range(70) if n in ranges} == numbers
    missing = {n for a, b in ranges.missing(1, 65) for n in range(a, b + 1)}
    assert missing == set(range(1, 66)) - numbers


def test_memory_is_bounded() -> None:
    """Neither a jump in the numbers nor many boots fill the memory."""
    dedup = Deduplicator()
    dedup.accept(event(1))
    (gap, fresh) = dedup.accept(event(FAR))
    assert isinstance(gap, Gap)
    assert gap.count == FAR - 2
    assert isinstance(fresh, NewEvent)
    for number in range(3000):
        dedup.accept(event(1, f"{number:032x}"))


def status(state: Presence, session: int, instance: str = "0" * 12) -> bytes:
    """A status message."""
    return (
        Status(
            device="room-12",
            state=state,
            session=session,
            instance=instance,
            run="1" * 12,
            protocol="5",
        )
        .to_json()
        .encode()
    )


ON, OFF, STOP = Presence.ONLINE, Presence.OFFLINE, Presence.STOPPED


@pytest.mark.parametrize(
    ("messages", "states"),
    [
        pytest.param([(ON, 1), (OFF, 1), (ON, 2)], ["online", "offline", "online"], id="lost"),
        pytest.param([(ON, 1), (ON, 2), (OFF, 1)], ["online", "online"], id="late will"),
        pytest.param([(ON, 1), (ON, 1)], ["online"], id="repeated"),
        pytest.param([(ON, 1), (STOP, 1), (OFF, 1)], ["online", "stopped"], id="will after stop"),
    ],
)
def test_statuses(messages: list[tuple[Presence, int]], states: list[str]) -> None:
    """A last will of an earlier session means nothing."""
    reader, seen = Interpreter(), []
    for state, session in messages:
        seen += reader.read(f"{BASE}/status", status(state, session))
    assert [n.state.value for n in seen if isinstance(n, DeviceStatus)] == states


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        pytest.param(f"{BASE}/transition", b"", id="empty"),
        pytest.param("other/topic", b"{}", id="another topic"),
        pytest.param(f"{BASE}/transition/more", b"{}", id="too deep"),
        pytest.param(f"{BASE}/unheard-of", b"{}", id="another kind"),
    ],
)
def test_what_is_not_ours_is_passed_over(topic: str, payload: bytes) -> None:
    """Other topics are none of our business."""
    assert Interpreter().read(topic, payload) == []


@settings(deadline=None)
@given(
    st.sampled_from(["transition", "status"]),
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda s: st.lists(s) | st.dictionaries(st.sampled_from(["session", "state", "x"]), s),
    ).map(lambda data: json.dumps(data).encode()),
)
def test_noise_is_told_and_harms_nothing(kind: str, payload: bytes) -> None:
    """Whatever somebody publishes on our topics, at most it is reported as unreadable."""
    reader = Interpreter()
    assert all(isinstance(n, Unreadable) for n in reader.read(f"{BASE}/{kind}", payload))
    assert len(reader.read(f"{BASE}/transition", event(1).to_json().encode())) == 1


@pytest.mark.parametrize("session", ["Infinity", "-Infinity", "NaN", "1e999", "9" * 5000])
def test_a_number_that_is_none(session: str) -> None:
    """JSON as Python reads it knows numbers that are no session."""
    payload = f'{{"state":"online","instance":"x","session":{session}}}'.encode()
    assert all(isinstance(n, Unreadable) for n in Interpreter().read(f"{BASE}/status", payload))


def test_statuses_of_everybody_are_not_kept() -> None:
    """Somebody who makes up devices does not fill the subscriber's memory."""
    reported = StatusFilter()
    for number in range(5 * INSTANCES):
        assert reported.accept("topic", str(number), 1, ON)
    assert reported.accept("topic", "0", 1, ON), "the longest silent was forgotten"
    assert not reported.accept("topic", str(5 * INSTANCES - 1), 1, ON)


def test_leaps_cost_nothing() -> None:
    """Numbers that leap far ahead again and again are reported as gaps and pile up no work."""
    dedup = Deduplicator()
    for leap in range(200):
        heard = dedup.accept(event(1 + leap * 50_000))
        assert len(heard) == (2 if leap else 1)
    assert dedup.accept(event(1 + 199 * 50_000 - 1))[0].late


def test_a_retained_event_is_ignored() -> None:
    """An event that somebody retained would be passed on at every connect."""
    raw = event(1).to_json().encode()
    assert Interpreter().read(f"{BASE}/transition", raw, retained=True) == []


def test_a_state_that_cannot_be_kept_is_reported_at_once(tmp_path: Path) -> None:
    """Not with the first event, which may come on another day; no broker is asked before."""
    with pytest.raises(OutputError, match="cannot be written"):
        next(listen("nobody.invalid", state=tmp_path / "missing" / "state.json"))
