"""Stories of single faces: what is reported, when, and what is not."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from edge.transitions import TransitionParameters, Watch
from edge.values import Prediction, Transition, frozen
from emoshift.emotions import Emotion

HAPPY, SAD, SURPRISE, NEUTRAL = Emotion.HAPPY, Emotion.SAD, Emotion.SURPRISE, Emotion.NEUTRAL


def prediction(
    emotion: Emotion | None,
    at_s: float,
    *,
    sure: float = 0.8,
    track: int = 1,
    degraded: bool = False,
) -> Prediction:
    """Probabilities that give ``emotion`` the share ``sure`` and the rest evenly (None: flat)."""
    probs = np.full(len(Emotion), (1 - sure) / 6, np.float32)
    if emotion is None:
        probs[:] = 1 / len(Emotion)
    else:
        probs[emotion] = sure
    return Prediction(
        track=track,
        label=f"face-{track}",
        captured_s=at_s,
        probs=frozen(probs),
        degraded=degraded,
    )


def play(
    *parts: tuple[Emotion | None, float],
    fps: float = 25.0,
    parameters: TransitionParameters | None = None,
    sure: float = 0.8,
    degraded: bool = False,
) -> list[Transition]:
    """Watch a face that shows each (emotion, seconds) in turn."""
    watch = Watch(parameters or TransitionParameters())
    frames = [emotion for emotion, seconds in parts for _ in range(round(seconds * fps))]
    seen = [
        watch.watch(prediction(e, i / fps, sure=sure, degraded=degraded))
        for i, e in enumerate(frames)
    ]
    return [t for t in seen if t is not None]


@pytest.mark.parametrize(
    ("parts", "changes"),
    [
        pytest.param([(NEUTRAL, 3)], [(None, NEUTRAL)], id="only neutral"),
        pytest.param(
            [(NEUTRAL, 2), (HAPPY, 2), (NEUTRAL, 2)],
            [(None, NEUTRAL), (NEUTRAL, HAPPY), (HAPPY, NEUTRAL)],
            id="a smile",
        ),
        pytest.param(
            [(NEUTRAL, 2), (HAPPY, 0.04), (NEUTRAL, 2)], [(None, NEUTRAL)], id="a one-frame glitch"
        ),
        pytest.param([(None, 5)], [], id="nothing to see"),
        pytest.param(
            [(HAPPY, 2), (None, 60)], [(None, HAPPY)], id="unknown never ends a settled state"
        ),
        pytest.param(
            [(NEUTRAL, 2), (HAPPY, 600), (NEUTRAL, 2)],
            [(None, NEUTRAL), (NEUTRAL, HAPPY), (HAPPY, NEUTRAL)],
            id="ten minutes of smiling stay a smile",
        ),
    ],
)
def test_story(
    parts: list[tuple[Emotion | None, float]], changes: list[tuple[Emotion | None, Emotion]]
) -> None:
    """A change is reported once it is certain, and only then."""
    assert [(t.before, t.after) for t in play(*parts)] == changes


def test_long_rest_does_not_hide_a_smile() -> None:
    """After ten minutes of a rest that looks slightly happy, a smile is still seen in time."""
    watch = Watch(TransitionParameters())
    resting = np.array([0.02, 0.02, 0.02, 0.40, 0.04, 0.02, 0.48], np.float32)
    for i in range(6000):
        watch.watch(Prediction(track=1, label="a", captured_s=i / 10, probs=frozen(resting)))
    assert watch.states() == {1: NEUTRAL}
    seen = [watch.watch(prediction(HAPPY, 600 + i / 10)) for i in range(10)]
    assert [t.after for t in seen if t] == [HAPPY]


def test_onset_is_dated_back_to_where_the_change_began() -> None:
    """The onset lies at the change, the decision after it, and the dwell reaches to the onset."""
    first, smile = play((NEUTRAL, 2), (HAPPY, 2))
    assert smile.onset_s == pytest.approx(2.0, abs=0.12)
    assert smile.onset_s < smile.decided_s <= 2.6
    assert smile.dwell_s == pytest.approx(smile.onset_s - first.onset_s)
    assert first.dwell_s == 0


def test_confidence_grows_with_the_evidence() -> None:
    """Clear evidence gives more confidence than doubtful evidence."""
    clear, doubtful = (play((HAPPY, 3), sure=s)[0].confidence for s in (0.95, 0.4))
    assert 0 <= doubtful < clear <= 1


def test_sensitivity_trades_delay() -> None:
    """The more sensitive, the earlier a change is decided."""
    delays = [
        play((NEUTRAL, 3), (HAPPY, 3), parameters=TransitionParameters(sensitivity=s))[1].decided_s
        for s in (0.0, 0.5, 1.0)
    ]
    assert delays == sorted(delays, reverse=True)
    assert delays[0] > delays[-1]


def test_merged_emotions_are_one() -> None:
    """A change between merged emotions is none, and the merged name is never reported."""
    parameters = TransitionParameters(merge={SURPRISE: HAPPY})
    events = play((NEUTRAL, 2), (SURPRISE, 2), (HAPPY, 2), parameters=parameters)
    assert [(t.before, t.after) for t in events] == [(None, NEUTRAL), (NEUTRAL, HAPPY)]


def test_degraded_evidence_is_flagged() -> None:
    """A change is flagged when a reduced ensemble had a part in it."""
    assert [t.degraded for t in play((NEUTRAL, 2), (HAPPY, 2), degraded=True)] == [True, True]
    assert [t.degraded for t in play((NEUTRAL, 2), (HAPPY, 2))] == [False, False]


def test_evidence_is_not_carried_over_a_gap() -> None:
    """After a long silence a change needs evidence of its own, and its onset is not older."""
    watch = Watch(TransitionParameters())
    for i in range(50):
        watch.watch(prediction(NEUTRAL, i / 25))
    watch.watch(prediction(HAPPY, 2.0))
    seen = [watch.watch(prediction(HAPPY, 30 + i / 25)) for i in range(25)]
    (smile,) = [t for t in seen if t]
    assert smile.onset_s >= 30 - TransitionParameters().onset_lead_s


def test_frames_out_of_order_are_ignored() -> None:
    """A repeated or older frame changes nothing."""
    watch = Watch(TransitionParameters())
    for i in range(50):
        watch.watch(prediction(NEUTRAL, i / 25))
    assert all(watch.watch(prediction(HAPPY, 1.0)) is None for _ in range(500))
    assert watch.states() == {1: NEUTRAL}


def test_forgotten_tracks_start_anew() -> None:
    """What is forgotten leaves no trace, and forgetting a stranger is no error."""
    watch = Watch(TransitionParameters())
    for i in range(50):
        watch.watch(prediction(HAPPY, i / 25))
        watch.watch(prediction(None, i / 25, track=2))
    assert watch.states() == {1: HAPPY, 2: None}
    watch.forget([1, 99])
    assert watch.states() == {2: None}
    seen = [watch.watch(prediction(SAD, 3 + i / 25)) for i in range(25)]
    assert [(t.before, t.after) for t in seen if t] == [(None, SAD)]


def test_memory_is_constant() -> None:
    """An hour of frames takes no more memory for a face than a second of them."""

    def size(watch: Watch) -> int:
        (track,) = watch._tracks.values()  # noqa: SLF001 - the law is about what is kept
        kept = [getattr(track, name) for name in track.__slots__]
        return sum(x.nbytes if isinstance(x, np.ndarray) else sys.getsizeof(x) for x in kept)

    watch = Watch(TransitionParameters())
    sizes = set()
    for i in range(9000):
        watch.watch(prediction(HAPPY if (i // 50) % 2 else NEUTRAL, i / 2.5))
        if i in (50, 8999):
            sizes.add(size(watch))
    assert len(sizes) == 1
    assert math.isfinite(sizes.pop())
