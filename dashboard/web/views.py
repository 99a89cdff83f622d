"""What the pages show, as plain values: built from the live state and the history."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from dashboard.live.state import (
    DeviceState,
    attention,
    p95_ms,
    presence,
    required_faces,
    shown_summary,
)
from dashboard.store.windows import DELAY_MIN, WINDOW_MIN
from dashboard.web.summary import MAX_LESSONS, figures, summarise
from emoshift.emotions import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from gettext import NullTranslations

    from dashboard.live.hub import Hub
    from dashboard.store.read import Archive, Bucket, Event, Lesson
    from dashboard.store.windows import Window
    from dashboard.web.summary import LessonFigures

MINUTE_MS: Final = 60_000
SPANS_MS: Final = {
    "lesson": 45 * MINUTE_MS,
    "day": 24 * 60 * MINUTE_MS,
    "week": 7 * 24 * 60 * MINUTE_MS,
    "term": 12 * 7 * 24 * 60 * MINUTE_MS,
}
_LONGEST_MS: Final = 400 * 24 * 60 * MINUTE_MS
_COMPARED: Final = 8
_LATEST: Final = 12
_LATEST_MINUTES: Final = 10
_SEARCHED: Final = 200
_LONGEST_CHOICE: Final = 24
_WINDOW_OLD_MS: Final = (WINDOW_MIN + 2 * DELAY_MIN) * MINUTE_MS
"""By then the next window has been released, if there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span of time; ``live`` ones end now."""

    start_ms: int
    end_ms: int
    live: bool


def choose_span(query: Mapping[str, str], *, now_ms: int) -> Span:
    """Read a span from a query: a named one, two days, or ``from`` and ``to`` in milliseconds."""
    try:
        if "first" in query:
            start_ms, end_ms = _days(query)
        else:
            start_ms, end_ms = int(query["from"]), int(query["to"])
    except (KeyError, ValueError, OverflowError):  # the last: days at the end of the calendar
        width_ms = SPANS_MS.get(query.get("span", "lesson"), SPANS_MS["lesson"])
        return Span(start_ms=now_ms - width_ms, end_ms=now_ms + MINUTE_MS, live=True)
    end_ms = min(max(end_ms, 0), now_ms + MINUTE_MS)
    start_ms = min(max(start_ms, end_ms - _LONGEST_MS, 0), end_ms)
    return Span(start_ms=start_ms, end_ms=end_ms, live=False)


def _days(query: Mapping[str, str]) -> tuple[int, int]:
    """Read two days, ``first`` and ``last``, of the viewer's zone.

    ``zone`` is how many minutes it is behind at the beginning, ``zone_end`` at the end.
    """
    zone = _behind(query.get("zone") or "0")
    zone_end = _behind(query.get("zone_end") or query.get("zone") or "0")
    first = date.fromisoformat(query["first"])
    last = date.fromisoformat(query.get("last") or query["first"])
    starts = datetime.combine(min(first, last), time(), UTC) + zone
    ends = datetime.combine(max(first, last), time(), UTC) + zone_end + timedelta(days=1)
    return round(starts.timestamp() * 1000), round(ends.timestamp() * 1000)


def _behind(minutes: str) -> timedelta:
    return timedelta(minutes=max(-1440, min(1440, int(minutes))))


def lesson_span(lesson: Lesson, *, now_ms: int) -> Span:
    """Return the span of one lesson; a running one ends now."""
    end_ms = lesson.ended_ms or now_ms + MINUTE_MS
    return Span(start_ms=lesson.started_ms, end_ms=end_ms, live=lesson.ended_ms is None)


def class_now(state: DeviceState, now_ms: int, *, min_faces: int) -> dict[str, Any]:
    """Describe the class now, or say why nothing is said."""
    here = presence(state, now_ms)
    summary = shown_summary(state, now_ms, min_faces=min_faces)
    if summary is not None and summary.states is not None:
        counts = dict(zip(STATES, summary.states.counts(), strict=True))
        return {
            "presence": here,
            "faces": summary.faces,
            "states": counts,
            "reason": None,
            "until": None,
        }
    if here != "online":
        reason = "noDevice"
    elif state.summary is None:
        reason = "waiting"
    else:
        reason = "hidden"
    return {
        "presence": here,
        "faces": None,
        "states": None,
        "reason": reason,
        "required": required_faces(state, min_faces),
        "until": None,
    }


def class_window(
    window: Window | None, state: DeviceState, *, moment_ms: int, steady_ms: int, min_faces: int
) -> dict[str, Any]:
    """Describe the class in its latest window, as `class_now` does for the moment.

    Args:
        window: The newest one.
        state: What is known of the device.
        moment_ms: The time.
        steady_ms: The time on the clock that arrivals are read off.
        min_faces: Nothing is shown of fewer.
    """
    here = presence(state, steady_ms)
    found = {
        "presence": here,
        "faces": None,
        "states": None,
        "reason": "noDevice",
        "required": required_faces(state, min_faces),
        "until": None,
    }
    if here != "online":
        return found
    if window is None or moment_ms - window.end_ms > _WINDOW_OLD_MS:
        return {**found, "reason": "windowPending"}
    if window.states is None:
        return {**found, "reason": "hidden"}
    return {
        **found,
        "faces": sum(window.states),
        "states": dict(zip(STATES, window.states, strict=True)),
        "reason": None,
        "until": window.end_ms,
    }


def class_history(archive: Archive, device: int | None, span: Span) -> list[dict[str, Any]]:
    """Describe a class over time."""
    if device is None:
        return []
    return [describe(b) for b in archive.class_history(device, span.start_ms, span.end_ms)]


def describe(bucket: Bucket) -> dict[str, Any]:
    """Describe some minutes of a class."""
    shares = None if bucket.states is None else [round(share, 4) for share in bucket.states]
    return {"t": bucket.start_ms, "states": shares, "changes": bucket.changes}


def latest_changes(archive: Archive, device: int, span: Span) -> list[dict[str, Any]]:
    """Describe the newest transitions of a span, oldest first.

    Only those of minutes in which the class was large enough are shown, whatever width the buckets
    of the span have.
    """
    if archive.windows:
        return []
    end_ms = archive.last_class_minute(device, span.start_ms, span.end_ms)
    if end_ms is None:
        return []
    start_ms = max(span.start_ms, end_ms - _LATEST_MINUTES * MINUTE_MS)
    minutes = {bucket.start_ms for bucket in archive.class_history(device, start_ms, end_ms)}
    events = archive.events(device, start_ms, min(end_ms, span.end_ms))
    shown = (e for e in events if e.placed_ms // MINUTE_MS * MINUTE_MS in minutes)
    newest = list(itertools.islice(shown, _LATEST))
    return [
        {"id": event.event_id, "t": event.placed_ms, "from": event.before, "to": event.after}
        for event in reversed(newest)
    ]


def sentence(
    archive: Archive, device: int, lesson: Lesson | None, *, now_ms: int, words: NullTranslations
) -> dict[str, Any] | None:
    """Say in one sentence how a lesson compares with earlier ones of the same title."""
    if lesson is None:
        return None
    same = [
        one
        for one in archive.lessons(device, limit=_SEARCHED)
        if one.title == lesson.title and one.started_ms < lesson.started_ms and one.ended_ms
    ]
    earlier = (_figures(archive, device, one, now_ms=now_ms) for one in same[: 2 * MAX_LESSONS])
    return summarise(
        _figures(archive, device, lesson, now_ms=now_ms),
        [found for found in earlier if found is not None],
        title=lesson.title,
        words=words,
    )


def _figures(archive: Archive, device: int, lesson: Lesson, *, now_ms: int) -> LessonFigures | None:
    end_ms = lesson.ended_ms or now_ms
    return figures(archive.class_history(device, lesson.started_ms, end_ms))


def compared(archive: Archive, device: int, choice: str, *, now_ms: int) -> dict[str, Any] | None:
    """Sum up what is to be laid beside something else: ``lesson-N``, ``this-week``, ``last-week``.

    Returns:
        The figures; ``None`` where there is no such thing, or too little of it to be shown.
    """
    week_ms = SPANS_MS["week"]
    spans = {
        "this-week": (now_ms - week_ms, now_ms),
        "last-week": (now_ms - 2 * week_ms, now_ms - week_ms),
    }
    if choice.startswith("lesson-") and choice[7:].isdecimal() and len(choice) < _LONGEST_CHOICE:
        lesson = archive.lesson(device, int(choice[7:]))
        found = None if lesson is None else _figures(archive, device, lesson, now_ms=now_ms)
    elif choice in spans:
        found = figures(archive.class_history(device, *spans[choice]))
    else:
        found = None
    if found is None:
        return None
    return {
        "minutes": found.minutes,
        "faces": round(found.faces, 1),
        "changes": round(10 * found.changes, 2),
        "states": [round(share, 4) for share in found.shares],
    }


def compare_lessons(
    archive: Archive, device: int, lessons: Sequence[Lesson], *, now_ms: int
) -> list[dict[str, Any]]:
    """Sum up the latest lessons, so that they can be laid side by side."""
    found = []
    for lesson in lessons[:_COMPARED]:
        end_ms = lesson.ended_ms or now_ms
        buckets = archive.class_history(device, lesson.started_ms, end_ms)
        by_bucket = [bucket.states for bucket in buckets if bucket.states is not None]
        changes = sum(sum(bucket.changes or ()) for bucket in buckets)
        shares = [round(sum(column) / len(by_bucket), 4) for column in zip(*by_bucket, strict=True)]
        found.append(
            {
                "id": lesson.id,
                "title": lesson.title,
                "from": lesson.started_ms,
                "to": lesson.ended_ms,
                "states": shares or None,
                "perMinute": round(
                    changes * MINUTE_MS / max(end_ms - lesson.started_ms, MINUTE_MS), 1
                )
                if by_bucket
                else None,
            }
        )
    return found


def fleet_row(state: DeviceState, now_ms: int, *, hub: Hub) -> dict[str, Any]:
    """Describe one device in the list of all."""
    health, info = state.health, state.info
    needs = attention(state, now_ms, problems=hub.refused, drift_rise=hub.drift_rise)
    return {
        "id": str(state.address),
        "site": state.address.site,
        "device": state.address.device,
        "presence": presence(state, now_ms),
        "camera": None if health is None else health.camera_state,
        "fps": None if health is None else round(health.fps, 1),
        "p95": None if (p95 := p95_ms(health)) is None else round(p95),
        "temperature": None
        if health is None or health.temperature_c is None
        else round(health.temperature_c),
        "level": None if health is None else health.level,
        "outbox": None if health is None else health.outbox_depth,
        "model": None if info is None else info.model,
        "isolation": None if info is None else info.isolation,
        "drift": None if health is None or health.drift is None else round(health.drift, 2),
        "abstained": None
        if health is None or health.abstained is None
        else f"{100 * health.abstained:.0f} %",
        "brightness": None
        if health is None or health.brightness is None
        else round(health.brightness, 2),
        "sharpness": None
        if health is None or health.sharpness is None
        else round(health.sharpness, 2),
        "weight": needs[0][0] if needs else 0,
        "needs": [reason for _, reason in needs],
    }


def describe_event(event: Event) -> dict[str, Any]:
    """Describe one stored transition for a device page."""
    return {
        "id": event.event_id,
        "t": event.placed_ms,
        "from": event.before,
        "to": event.after,
        "confidence": round(event.confidence, 2),
        "latency": event.latency_ms,
        "historical": event.historical,
        "degraded": event.degraded,
    }


TRENDS: Final = ("fps", "temperature_c", "brightness", "sharpness", "drift", "abstained")
"""Keys of the health message that are drawn over weeks."""


def health_series(healths: Sequence[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    """Turn stored health into one line per stage (milliseconds, p95) and one per trend."""
    stages = sorted({name for _, body in healths for name in body["stages"]})
    return {
        "t": [at_ms for at_ms, _ in healths],
        "stages": {
            name: [body["stages"].get(name, {}).get("p95_ms") for _, body in healths]
            for name in stages
        },
        "trends": {name: [body.get(name) for _, body in healths] for name in TRENDS},
    }
