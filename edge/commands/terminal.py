"""How events and measurements look on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emoshift.emotions import UNKNOWN, state_label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.values import Transition
    from emoshift.messages import Transition as TransitionMessage


def event_line(event: TransitionMessage) -> str:
    """Give one readable line for a received event, in local time.

    Such as ``09:30:00.250  face 3fa9   neutral -> happy      91%  after 12.4 s``.
    """
    notes = [
        word
        for word, holds in (
            ("historical", event.historical),
            ("degraded", event.degraded),
            ("clock not set", not event.clock_synced),
        )
        if holds
    ]
    return (
        f"{event.onset.astimezone():%H:%M:%S}.{event.onset.microsecond // 1000:03d}"
        + _change(event.track, event.before, event.after, event.confidence)
        + (f"  after {event.dwell_s:.1f} s" if event.before != UNKNOWN else "")
        + (f"  ({', '.join(notes)})" if notes else "")
    )


def transition_line(transition: Transition) -> str:
    """One readable line for a replayed transition, timed by its place in the clip."""
    minutes, seconds = divmod(transition.onset_s, 60)
    return (
        f"{int(minutes):02d}:{seconds:06.3f}"
        + _change(
            transition.label,
            state_label(transition.before),
            transition.after.label,
            transition.confidence,
        )
        + f"  decided {transition.decided_s - transition.onset_s:.2f} s later"
    )


def transition_json(transition: Transition) -> str:
    """The same as one JSON object; times in seconds from the start of the clip."""
    return json.dumps(
        {
            "track": transition.label,
            "from": state_label(transition.before),
            "to": transition.after.label,
            "confidence": round(transition.confidence, 3),
            "onset_s": round(transition.onset_s, 3),
            "decided_s": round(transition.decided_s, 3),
            "dwell_s": round(transition.dwell_s, 3),
            "degraded": transition.degraded,
        }
    )


def health_lines(health: Mapping[str, Any]) -> list[str]:
    """The summary of a health message: frames and latency."""
    frames, skipped = health["frames"], health["dropped_frames"]
    lines = [f"frames    {frames}, {health['fps']:.1f} a second, {skipped} skipped"]
    if (total := health["stages"].get("total")) is not None:
        lines.append(
            f"latency   {total['p50_ms']:.0f} ms from camera to decision at the median,"
            f" {total['p95_ms']:.0f} ms at the 95th percentile"
        )
    return lines


def _change(track: str, before: str, after: str, confidence: float) -> str:
    return f"  face {track:<8}  {before:>8} -> {after:<8}  {confidence:4.0%}"
