"""Identity over time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.faces.tracker import MAX_FAILED_LANDMARKS, Detection, Tracker, label_source
from edge.values import Box

STEP_S = 0.1


def seen(x: float, y: float, size: float = 60.0, score: float = 0.95) -> Detection:
    """A face of ``size`` pixels whose centre is at ``x, y``."""
    points = np.array([(-12, -10), (12, -10), (0, 2), (-9, 14), (9, 14)], dtype=np.float32)
    return Detection(
        box=Box(x=x - size / 2, y=y - size / 2, width=size, height=size),
        keypoints=points * np.float32(size / 60) + np.array((x, y), dtype=np.float32),
        score=score,
    )


def tracker(**settings: float) -> Tracker:
    return Tracker(labels=label_source(7), **settings)  # type: ignore[arg-type]


Place = Callable[[float], tuple[float, float, float] | None]


def follow(watch: Tracker, people: list[Place], until_s: float) -> list[list[int | None]]:
    """Track number of each person at each step; ``None`` while that person is not seen."""
    story = []
    steps = round(until_s / STEP_S)
    for step in range(steps):
        now = step * STEP_S
        places = [person(now) for person in people]
        detections = [seen(*place) for place in places if place is not None]
        tracks = iter(watch.associate(detections, now))
        watch.advance(now)
        row: list[int | None] = []
        for place in places:
            track = next(tracks) if place is not None else None
            row.append(None if track is None else track.number)
        story.append(row)
    return story


def still(x: float, y: float, size: float = 60.0) -> Place:
    return lambda _: (x, y, size)


def hidden(person: Place, begin_s: float, end_s: float) -> Place:
    return lambda now: None if begin_s <= now < end_s else person(now)


def walking(start: float, speed: float, y: float = 200.0, size: float = 60.0) -> Place:
    return lambda now: (start + speed * now, y, size)


def nodding(x: float, y: float) -> Place:
    return lambda now: (x, y + 20 * math.sin(4 * now), 60.0)


@pytest.mark.parametrize(
    ("people", "until_s"),
    [
        pytest.param([still(100, 100)], 3.0, id="one still face"),
        pytest.param([nodding(100, 100), nodding(190, 100)], 5.0, id="two nodding neighbours"),
        pytest.param([walking(100, 120), walking(500, -120)], 3.0, id="crossing in view"),
        pytest.param(
            [walking(100, 100, size=70), hidden(walking(500, -100, size=55), 1.7, 2.4)],
            4.0,
            id="crossing behind another",
        ),
        pytest.param([hidden(still(100, 100), 1.0, 2.0)], 3.0, id="hidden for a second"),
        pytest.param(
            [hidden(walking(100, 60), 1.0, 2.0)], 3.0, id="hidden for a second while walking"
        ),
        pytest.param(
            [hidden(nodding(100, 100), 1.0, 1.1), hidden(nodding(200, 100), 2.0, 2.2)],
            4.0,
            id="missed detections",
        ),
        pytest.param(
            [lambda now: (100 + 9 * math.sin(2 * now), 100, 60 - 12 * abs(math.sin(2 * now)))],
            4.0,
            id="head turns make the box narrow",
        ),
        pytest.param([lambda now: (200, 200, 60 * 1.25**now)], 5.0, id="coming nearer"),
    ],
)
def test_identity_is_kept(people: list[Place], until_s: float) -> None:
    """Each person keeps one number for as long as the story lasts."""
    story = follow(tracker(), people, until_s)
    for person in range(len(people)):
        numbers = {row[person] for row in story} - {None}
        assert len(numbers) == 1
    assert len({row[person] for row in story[:1] for person in range(len(people))}) == len(people)


def test_a_face_that_returns_after_real_absence_is_new() -> None:
    """After ``forget_after_s`` the old number is reported as forgotten and never used again."""
    watch = tracker(forget_after_s=1.5)
    first = watch.associate([seen(100, 100)], 0.0)[0]
    assert first is not None
    assert watch.visible(0.0) == (first,)
    assert watch.advance(1.5) == ()
    assert watch.advance(1.6) == (first.number,)
    assert watch.advance(1.7) == ()
    again = watch.associate([seen(100, 100)], 1.8)[0]
    assert again is not None
    assert again.number != first.number
    assert again.label != first.label


def test_a_faint_face_must_be_seen_twice() -> None:
    """A single weak detection is not shown, and ends without a word."""
    watch = tracker()
    watch.associate([seen(100, 100, score=0.7)], 0.0)
    assert watch.visible(0.0) == ()
    assert watch.advance(9.0) == ()
    watch.associate([seen(100, 100, score=0.7)], 10.0)
    watch.associate([seen(101, 100, score=0.7)], 10.1)
    assert len(watch.visible(10.1)) == 1


def test_names_repeat_only_with_a_seed() -> None:
    """A seeded source names the tracks of a replay alike; the live one never does."""
    names = [[t.label for t in _run(seed) if t is not None] for seed in (5, 5, 6, None, None)]
    assert names[0] == names[1]
    assert len({tuple(n) for n in names}) == 4


def _run(seed: int | None) -> tuple[object, ...]:
    watch = Tracker(labels=label_source(seed))
    return watch.associate([seen(100, 100), seen(300, 100)], 0.0)


def test_a_poster_is_ignored_and_a_person_is_not() -> None:
    """A face that never moves is dropped after a while; one that moves a little never is."""
    watch = tracker(ignore_still_after_s=5.0)
    noise = label_source(3)
    shown: list[set[int]] = []
    forgotten: list[int] = []
    for step in range(100):
        now = step * STEP_S
        watch.associate(
            [
                seen(100 + noise.uniform(-1, 1), 100, score=0.9),
                seen(400 + 8 * math.sin(now), 100, score=0.9),
            ],
            now,
        )
        forgotten.extend(watch.advance(now))
        shown.append({track.number for track in watch.visible(now)})
    assert shown[40] == {1, 2}
    assert shown[-1] == {2}
    assert forgotten == [1]
    watch.associate([seen(130, 100), seen(400, 100)], 10.1)
    watch.associate([seen(140, 100), seen(400, 100)], 10.2)
    woken = {track.number for track in watch.visible(10.2)}
    assert 2 in woken
    assert 1 not in woken
    assert len(woken) == 2


def test_what_was_no_face_begins_anew_when_it_moves() -> None:
    """What the landmark model refused is tried again when it moves, as a new track."""
    watch = tracker(ignore_still_after_s=2.0)
    for step in range(40):
        (track,) = watch.associate([seen(100, 100)], step * STEP_S)
        assert track is not None
        track.failed_landmarks = MAX_FAILED_LANDMARKS
        watch.advance(step * STEP_S)
    assert track.ignored
    before = track.number
    for step in range(40, 43):
        watch.associate([seen(100 + 12 * (step - 39), 100)], step * STEP_S)
    assert track.number != before
    assert track.failed_landmarks == 0


def test_an_expression_is_a_sign_of_life() -> None:
    """A motionless face that blinks is no poster."""
    watch = tracker(ignore_still_after_s=2.0)
    shapes = np.zeros(52, dtype=np.float32)
    for step in range(60):
        now = step * STEP_S
        (track,) = watch.associate([seen(100, 100)], now)
        assert track is not None
        blink = shapes.copy()
        blink[9] = 0.6 if step % 15 == 0 else 0.0
        watch.express(track, blink, now)
        assert watch.advance(now) == ()
        assert len(watch.visible(now)) == 1


def test_zero_never_ignores() -> None:
    """``ignore_still_after_s = 0`` keeps even a poster."""
    watch = tracker(ignore_still_after_s=0.0)
    for step in range(100):
        watch.associate([seen(100, 100)], step * 10.0 * STEP_S)
        watch.advance(step * 10.0 * STEP_S)
    assert len(watch.visible(99.0)) == 1


def test_more_faces_than_may_be_followed() -> None:
    """The largest are shown, and near equals do not take turns."""
    watch = tracker(max_faces=3)
    shown = []
    for step in range(20):
        sizes = [30, 40, 50, 60 + step % 2, 61 - step % 2]
        watch.associate([seen(100 + 150 * i, 100, s) for i, s in enumerate(sizes)], step * STEP_S)
        watch.advance(step * STEP_S)
        places = {track.motion.x // 150 for track in watch.visible(step * STEP_S)}
        shown.append(places)
    assert all(places == {2.0, 3.0, 4.0} for places in shown)


def test_a_late_round_of_detections_fits_the_past() -> None:
    """Detections of an older frame are compared with where the faces were then."""
    watch = tracker()
    for step in range(10):
        watch.associate([seen(100 + 30 * step, 100)], step * STEP_S)
    (late,) = watch.associate([seen(100 + 30 * 8.5, 100)], 0.85)
    assert late is not None
    assert late.number == 1
    assert late.seen_s == pytest.approx(0.9)
    assert late.motion.predict(0.9).x == pytest.approx(370, abs=4)


def test_keypoints_go_with_the_box() -> None:
    """Between sightings the five points move with the face."""
    watch = tracker()
    for step in range(10):
        (track,) = watch.associate([seen(100 + 30 * step, 100)], step * STEP_S)
    assert track is not None
    ahead = track.points(0.95)
    assert ahead.dtype == np.float32
    assert ahead[2] == pytest.approx((100 + 30 * 9.5, 102), abs=5)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 640), st.floats(0, 480), st.floats(14, 200)), max_size=8),
        max_size=12,
    )
)
def test_laws(rounds: list[list[tuple[float, float, float]]]) -> None:
    """No two detections share a track, numbers never return, all that ends is reported once."""
    watch = tracker(forget_after_s=0.25, max_faces=5)
    shown: set[int] = set()
    ended: list[int] = []
    for step, places in enumerate(rounds):
        now = step * STEP_S
        found = [t for t in watch.associate([seen(*p) for p in places], now) if t is not None]
        assert len({t.number for t in found}) == len(found)
        ended.extend(watch.advance(now))
        visible = watch.visible(now)
        assert len(visible) <= 5
        assert not {t.number for t in visible} & set(ended)
        shown |= {t.number for t in visible}
    ended.extend(watch.advance(1e6))
    assert sorted(ended) == sorted(shown)


def test_a_late_round_finds_faces_too() -> None:
    """A detector that takes longer than a face is remembered for finds it all the same."""
    watch = tracker(forget_after_s=1.5)
    watch.associate([seen(100, 100)], 0.0, now_s=4.0)
    assert watch.advance(4.0) == ()
    assert [track.number for track in watch.visible(4.0)] == [1]
    watch.associate([seen(102, 100)], 4.1, now_s=5.0)
    assert watch.advance(6.4) == ()
    assert [track.number for track in watch.visible(6.4)] == [1]
    assert watch.advance(6.6) == (1,)
