"""What viewers see of a class: windows of time, with noise, released once and never changed.

Counts of each moment describe single pupils: who leaves takes one face out of one count. So a
viewer gets what a device publishes with ``publish = "class"`` (docs/adr/0050): for each ten
minutes the mean number of faces in each state and how many faces changed to each emotion, noisy, a
minute after their end. Every page, export and comparison of a viewer is made of these rows,
whatever span is asked for, so that no two questions can be set against each other.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from dashboard.store import schema as t
from dashboard.store.database import insert_into
from emoshift.emotions import EMOTIONS, STATES
from emoshift.noisy_counts import noisy_count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from sqlalchemy import Connection, Engine, Row

WINDOW_MIN: Final = 10
DELAY_MIN: Final = 1
"""So long after its end a window is released: what came late by then is in it."""

_MINUTE_MS: Final = 60_000
_AT_A_TIME: Final = 1000
_CODE: Final = dict(enumerate(STATES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """The summaries of one minute.

    Attributes:
        shown, hidden: How many described the class, and how many said that it was too small.
        windows: How many of those shown were over windows of time, noisy already.
        states: Sums of faces in the order of `STATES`.
    """

    shown: int
    hidden: int
    windows: int
    states: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is shown of one window.

    Attributes:
        start_ms: Its beginning.
        states: Faces in each state in the order of `STATES`; ``None`` where nothing may be shown.
        changes: Faces that changed to each emotion, in the order of `EMOTIONS`, likewise.
    """

    start_ms: int
    states: tuple[int, ...] | None
    changes: tuple[int, ...] | None

    @property
    def end_ms(self) -> int:
        """Its end."""
        return self.start_ms + WINDOW_MIN * _MINUTE_MS


def count_window(
    minutes: Sequence[Minute],
    changes: Mapping[str, int],
    *,
    min_faces: int,
    chance: random.Random,
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return what may be shown of a window: states and changes; ``None`` for nothing.

    Args:
        minutes: Those of the window of which something is known.
        changes: How many faces changed to each emotion, each face once.
        min_faces: A window with a smaller class in any minute shows nothing.
        chance: Draws the noise.
    """
    if not minutes or any(minute.hidden or not minute.shown for minute in minutes):
        return None
    if any(
        sum(minute.states) < min_faces * minute.shown for minute in minutes if not minute.windows
    ):
        return None
    means = [
        sum(minute.states[code] / minute.shown for minute in minutes) / len(minutes)
        for code in range(len(STATES))
    ]
    if all(minute.windows == minute.shown for minute in minutes):  # the device has added the noise
        return tuple(map(round, means)), tuple(changes.get(name, 0) for name in EMOTIONS)
    return (
        tuple(noisy_count(mean, chance) for mean in means),
        tuple(noisy_count(changes.get(name, 0), chance) for name in EMOTIONS),
    )


def release_windows(
    engine: Engine,
    device: int,
    *,
    now_ms: int,
    min_faces: int,
    chance: random.Random | None = None,
) -> None:
    """Write down what is shown of every window that is over and was not released yet.

    Args:
        engine: The store.
        device: The device's number in the store.
        now_ms: The time, milliseconds since 1970.
        min_faces: A window with a smaller class in any minute shows nothing.
        chance: Draws the noise; by default the system's source, which nobody can predict.
    """
    end = (now_ms // _MINUTE_MS - DELAY_MIN) // WINDOW_MIN * WINDOW_MIN
    with engine.connect().execution_options(reads_only=True) as connection:
        last = connection.execute(
            select(func.max(t.CLASS_WINDOW.c.minute)).where(
                t.CLASS_WINDOW.c.device == device,
                t.CLASS_WINDOW.c.minute < end,  # of others the clock was ahead
            )
        ).scalar()
        first = 0 if last is None else int(last) + WINDOW_MIN
        if first >= end:
            return
        minutes = _minutes(connection, device, first, end)
        if not minutes:
            return
        changes = _changes(connection, device, min(minutes), max(minutes) + WINDOW_MIN)
        tallies = _tallies(connection, device, min(minutes), max(minutes) + WINDOW_MIN)
    chance = chance or random.SystemRandom()
    rows = []
    for start, found in sorted(minutes.items()):
        noisy = all(minute.windows == minute.shown for minute in found)
        counted = (tallies if noisy else changes)[start]
        counts = count_window(found, counted, min_faces=min_faces, chance=chance)
        states, begun = ((0,) * len(STATES), (0,) * len(EMOTIONS)) if counts is None else counts
        rows.append(
            {
                "device": device,
                "minute": start,
                "shown": counts is not None,
                **{f"in_{name}": n for name, n in zip(STATES, states, strict=True)},
                **{f"to_{name}": n for name, n in zip(EMOTIONS, begun, strict=True)},
            }
        )
    insert = insert_into(engine, t.CLASS_WINDOW).on_conflict_do_nothing()
    for place in range(0, len(rows), _AT_A_TIME):
        with engine.begin() as connection:
            connection.execute(insert, rows[place : place + _AT_A_TIME])


def read_windows(connection: Connection, device: int, start_ms: int, end_ms: int) -> list[Window]:
    """Return the windows that lie within a span, oldest first, those that show nothing included."""
    first = -(-start_ms // _MINUTE_MS)
    wanted = (
        select(t.CLASS_WINDOW)
        .where(
            t.CLASS_WINDOW.c.device == device,
            t.CLASS_WINDOW.c.minute >= first,
            t.CLASS_WINDOW.c.minute <= end_ms // _MINUTE_MS - WINDOW_MIN,
        )
        .order_by(t.CLASS_WINDOW.c.minute)
    )
    return [_window(row) for row in connection.execute(wanted)]


def newest_window(connection: Connection, device: int, *, now_ms: int) -> Window | None:
    """Return the newest window by now, whatever it shows; ``None`` before the first."""
    wanted = (
        select(t.CLASS_WINDOW)
        .where(
            t.CLASS_WINDOW.c.device == device,
            t.CLASS_WINDOW.c.minute <= now_ms // _MINUTE_MS - WINDOW_MIN,
        )
        .order_by(t.CLASS_WINDOW.c.minute.desc())
        .limit(1)
    )
    row = connection.execute(wanted).first()
    return None if row is None else _window(row)


def _window(row: Row[Any]) -> Window:
    states = tuple(int(getattr(row, f"in_{name}")) for name in STATES)
    changes = tuple(int(getattr(row, f"to_{name}")) for name in EMOTIONS)
    shown = row.shown and sum(states) > 0
    return Window(
        start_ms=row.minute * _MINUTE_MS,
        states=states if shown else None,
        changes=changes if shown else None,
    )


def _start(minute: int) -> int:
    return minute // WINDOW_MIN * WINDOW_MIN


def _minutes(connection: Connection, device: int, first: int, end: int) -> dict[int, list[Minute]]:
    """Return what is known of each window's minutes, by the window's first minute."""
    table, found = t.CLASS, defaultdict(list)
    wanted = select(table).where(
        table.c.device == device, table.c.minute >= first, table.c.minute < end
    )
    for row in connection.execute(wanted):
        minute = Minute(
            shown=row.shown,
            hidden=row.hidden,
            windows=row.windows,
            states=tuple(int(getattr(row, name)) for name in STATES),
        )
        found[_start(row.minute)].append(minute)
    return found


def _changes(connection: Connection, device: int, first: int, end: int) -> dict[int, Counter[str]]:
    """Count the faces that changed to each emotion in each window, each face once."""
    table = t.EVENT
    wanted = (
        select(table.c.placed_ms, table.c.track, table.c.after)
        .where(
            table.c.device == device,
            table.c.placed_ms >= first * _MINUTE_MS,
            table.c.placed_ms < end * _MINUTE_MS,
        )
        .order_by(table.c.placed_ms)
        .execution_options(yield_per=2000)
    )
    return _first_changes(connection.execute(wanted))


def _first_changes(events: Iterable[Any]) -> dict[int, Counter[str]]:
    """Count them in the order of time."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    window, seen = -1, set[str]()
    for placed_ms, track, after in events:
        start = _start(placed_ms // _MINUTE_MS)
        if start != window:  # of one window at a time, or a year of tracks would be in memory
            window, seen = start, set()
        if track not in seen:
            seen.add(track)
            found[start][_CODE[after]] += 1
    return found


def _tallies(connection: Connection, device: int, first: int, end: int) -> dict[int, Counter[str]]:
    """Sum up changes by window, for devices that count them themselves."""
    table = t.TALLY
    found: dict[int, Counter[str]] = defaultdict(Counter)
    wanted = select(table).where(
        table.c.device == device, table.c.minute >= first, table.c.minute < end
    )
    for row in connection.execute(wanted):
        for name in EMOTIONS:
            found[_start(row.minute)][name] += int(getattr(row, name))
    return found
