"""What is known of a device now, folded from its messages, and what of it needs attention."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from emoshift.messages import (
    ClassSummary,
    Health,
    Info,
    Message,
    Status,
    Transition,
    is_plausible,
    to_ms,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from emoshift.topics import Address

SILENT_MS: Final = 90_000
"""An online device that says nothing for this long (three times its health interval) is silent."""

CLASS_STALE_MS: Final = 30_000
"""A class summary that is older says nothing about now."""

WINDOW_STALE_MS: Final = 90_000
"""One over a window of time is repeated every 30 s for as long as its device lives."""

_PATIENCE: Final = 3
"""So many intervals of its health messages may pass without one."""
_BUDGET_MS: Final = 100.0
_HOT_C: Final = 80.0
DRIFT_RISE: Final = 0.25
"""Rise of the drift over its first weeks that calls for a calibration (docs/operations.md)."""
_WAITING: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """One device as it is now; ``None`` where it has not said.

    Attributes:
        address: Which device.
        seen_ms: Arrival of its latest message that was not a stored one; 0 for never.
        known_ms: When its status was first learned here, from the history or the broker's store.
        status, info, health, summary: Its newest messages of each kind.
        health_ms, summary_ms: Arrival of ``health`` and of ``summary``.

    Arrivals are read off `steady_ms`, so that setting the clock makes nothing old or young.
    """

    address: Address
    seen_ms: int = 0
    known_ms: int = 0
    status: Status | None = None
    info: Info | None = None
    health: Health | None = None
    summary: ClassSummary | None = None
    health_ms: int = 0
    summary_ms: int = 0


def fold(
    state: DeviceState, message: Message, *, arrived_ms: int, retained: bool = False
) -> DeviceState:
    """Return the state after one more message; late and repeated ones change nothing."""
    if not retained:
        state = replace(state, seen_ms=arrived_ms)
    match message.body:
        case Status() as status if state.status is None or not _late(status, state.status):
            return replace(state, status=status, known_ms=state.known_ms or arrived_ms)
        case Info() as info:
            return replace(state, info=info)
        case Health() as health if state.health is None or health.at >= state.health.at:
            age_ms = _age_ms(message, health.at) if retained else 0
            return replace(state, health=health, health_ms=arrived_ms - age_ms)
        case ClassSummary() as summary if state.summary is None or summary.at >= state.summary.at:
            age_ms = _age_ms(message, summary.at) if retained else 0
            return replace(state, summary=summary, summary_ms=arrived_ms - age_ms)
        case _:
            return state


def _age_ms(message: Message, at: datetime) -> int:
    """A stored message is as old as it says; a fresh one is of now, whatever its clock."""
    return max(0, message.received_ms - to_ms(at))


def _late(status: Status, known: Status) -> bool:
    if not is_plausible(status.session, after=known.session):
        return True
    if status.instance != known.instance:
        return False
    return (status.session, status.state != "online") < (known.session, known.state != "online")


def presence(state: DeviceState, now_ms: int) -> str:
    """Return ``online``, ``silent``, ``offline``, ``stopped`` or ``unknown``."""
    if state.status is None:
        return "unknown"
    heard_ms = state.seen_ms or state.known_ms
    if state.status.state == "online" and now_ms - heard_ms > SILENT_MS:
        return "silent"
    return state.status.state


def current_health(state: DeviceState, now_ms: int) -> Health | None:
    """Return the health now, or ``None`` where the device or its vision process is silent."""
    health = state.health
    if health is None or presence(state, now_ms) != "online":
        return None
    stale_ms = _PATIENCE * 1000 * health.interval_s
    return health if now_ms - state.health_ms <= stale_ms else None


def shown_summary(state: DeviceState, now_ms: int, *, min_faces: int) -> ClassSummary | None:
    """Return the class now, or ``None`` where it is not known or too small to be shown."""
    summary = state.summary
    if summary is None or summary.suppressed or summary.faces is None:
        return None
    stale_ms = CLASS_STALE_MS if summary.window_s is None else WINDOW_STALE_MS
    if now_ms - state.summary_ms > stale_ms or presence(state, now_ms) != "online":
        return None
    return summary if summary.faces >= required_faces(state, min_faces) else None


def tells_single_faces(state: DeviceState) -> bool:
    """Whether a device publishes single faces; one that has not said so may."""
    return state.info is None or state.info.publish == "transitions"


def required_faces(state: DeviceState, min_faces: int) -> int:
    """Return the smallest class that may be shown: the stricter of the two wishes."""
    return max(min_faces, state.info.min_faces if state.info is not None else 1)


def p95_ms(health: Health | None) -> float | None:
    """Return the 95th percentile from capture to outbox."""
    total = None if health is None else health.stages.get("total")
    return None if total is None else total.p95_ms


def attention(
    state: DeviceState,
    now_ms: int,
    *,
    problems: Mapping[Address, int],
    drift_rise: Mapping[Address, float],
) -> tuple[tuple[int, str], ...]:
    """Return what needs somebody, gravest first, as (weight, reason) pairs.

    ``drift_rise`` is how far each device's drift has risen over its first week's.
    """
    found: list[tuple[int, str]] = []
    here = presence(state, now_ms)
    weights = {"offline": 100, "silent": 95, "unknown": 20}  # who was stopped cleanly needs nobody
    if here in weights:
        found.append((weights[here], here))
    if problems.get(state.address):
        found.append((80, "problems"))
    if state.info is not None and state.info.isolation == "none":
        found.append((60, "isolation"))
    if (health := state.health) is not None and here in {"online", "silent"}:
        p95 = p95_ms(health)
        checks = (
            (90, "camera", health.camera_state == "lost"),
            (88, "outbox-failing", health.outbox_state != "ready"),
            (70, "hot", bool(health.throttled) or (health.temperature_c or 0.0) >= _HOT_C),
            (55, "slow", p95 is not None and p95 > _BUDGET_MS),
            (50, "degraded", health.level > 0),
            (45, "outbox", health.outbox_depth >= _WAITING),
            (
                40,
                "drift",
                health.advice == "calibrate" or drift_rise.get(state.address, 0.0) >= DRIFT_RISE,
            ),
            (35, "dropped", health.outbox_dropped > 0),
        )
        found += [(weight, reason) for weight, reason, holds in checks if holds]
    return tuple(sorted(found, reverse=True))


def is_live(transition: Transition) -> bool:
    """Whether an event is of now; historical ones belong into the past alone."""
    return not transition.historical
