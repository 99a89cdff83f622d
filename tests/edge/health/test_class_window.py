"""Counts over windows of time: what is published, what is not, and what an observer makes of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.health.class_window import ClassWindow
from edge.health.reporter import summarise_window, without_faces
from emoshift.emotions import Emotion
from emoshift.messages import ClassSummary, Health, Percentiles
from emoshift.noisy_counts import LEAST_COUNT
from tests.attacks.seating import observe, observe_moments

AT = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)


def window(*, noise: float = 1e-9, seed: int = 1) -> ClassWindow:
    return ClassWindow(min_faces=5, random=random.Random(seed), noise=noise)


def test_means_over_the_window() -> None:
    """Counts are means over the window; who changed is counted once, however often."""
    one = window()
    for n in range(10):
        one.add({Emotion.HAPPY: 10 if n < 5 else 4, Emotion.NEUTRAL: 10, None: 3})
    for track in ("a", "b", "c", "a", "a"):
        one.add_change(track, Emotion.HAPPY)
    counts = one.close()
    assert counts is not None
    assert counts.states[Emotion.HAPPY] == 7
    assert counts.states[Emotion.NEUTRAL] == 10
    assert counts.states[None] == 3
    assert counts.changes[Emotion.HAPPY] == 3
    assert one.close() is None  # the next one has seen nothing yet


@given(st.lists(st.dictionaries(st.sampled_from([*Emotion, None]), st.integers(0, 12)), max_size=9))
def test_nothing_of_small_groups(samples: list[dict[Emotion | None, int]]) -> None:
    """One moment with too few faces, and the window publishes nothing at all."""
    one = window(noise=2.0)
    for sample in samples:
        one.add(sample)
    counts = one.close()
    small = not samples or min(sum(sample.values()) for sample in samples) < 5
    assert (counts is None) is small
    message = summarise_window(counts, device="d", camera="c", at=AT, window_s=600)
    assert message.suppressed is small
    if small:
        reported = json.loads(message.to_json())
        assert (reported["faces"], reported["states"], reported["changes"]) == (None, None, None)


@given(st.integers(0, 2**32), st.integers(5, 30))
def test_small_counts_are_withheld(seed: int, faces: int) -> None:
    """A count of one or two is never published, and every message is one of the contract."""
    one = window(noise=2.0, seed=seed)
    one.add(Counter({Emotion.HAPPY: faces - 1, Emotion.SAD: 1}))
    message = summarise_window(one.close(), device="d", camera="c", at=AT, window_s=600)
    assert message.states is not None
    assert not {1, LEAST_COUNT - 1} & set(message.states.counts())
    assert ClassSummary.from_json(message.to_json()) == message


def test_health_tells_no_faces() -> None:
    """Of health nothing is left that grows with the faces in view."""
    stage = Percentiles(p50_ms=31.2, p95_ms=47.0, p99_ms=52.0)
    health = Health(
        device="d",
        camera="c",
        at=AT,
        camera_state="streaming",
        fps=14.6,
        frames=1,
        dropped_frames=0,
        faces=1,
        stages={"total": stage, "landmarks": stage},
        outbox_depth=0,
        outbox_dropped=0,
        outbox_state="ready",
        faces_too_small=1,
        abstained=0.3,
        drift=1.2,
    )
    found = without_faces(health)
    assert found.faces is None
    assert (found.faces_too_small, found.abstained, found.drift) == (0, None, None)
    assert set(found.stages) == {"total"}
    assert found.stages["total"].p95_ms == 40.0
    assert Health.from_json(found.to_json()) == found


@pytest.mark.parametrize("faces", [6, 25])
def test_no_pupil_is_told_with_certainty(faces: int) -> None:
    """Who knows all others' states and sees a whole lesson is certain of none, and guesses badly.

    Counts of each moment show everybody who leaves the room once.
    """
    assert observe_moments(faces=faces, pupils=50) == 1.0
    found = observe(faces=faces, pupils=200, windows=4)
    assert found.certain == 0
    assert found.surest < 0.97
    assert found.right < found.by_prior + 0.1
