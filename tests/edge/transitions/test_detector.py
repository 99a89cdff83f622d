"""Stories of single faces: what is reported, when, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.transitions import TransitionDetector, TransitionParameters
from edge.transitions.parameters import Baseline
from edge.values import Prediction, Transition, frozen
from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    detector = TransitionDetector(parameters or TransitionParameters())
    frames = [emotion for emotion, seconds in parts for _ in range(round(seconds * fps))]
    seen = [
        detector.update([prediction(e, i / fps, sure=sure, degraded=degraded)])[0]
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


def test_a_weak_lead_that_lasts_is_decided_later() -> None:
    """Weak steady evidence is reported after a while, strong evidence at once; not without it."""
    patient = TransitionParameters(enter_margin=1.2, patience_s=1.5, patient_margin=0.25)
    weak = detected_after(patient, sure=0.3)
    strong = detected_after(patient, sure=0.8)
    assert strong is not None
    assert weak is not None
    assert strong < 0.4 < weak < 2.0
    assert detected_after(TransitionParameters(enter_margin=1.2), sure=0.3) is None


def detected_after(parameters: TransitionParameters, *, sure: float) -> float | None:
    """Seconds until a sad face is reported after three neutral ones; ``None``: never in four."""
    detector = TransitionDetector(parameters)
    for i in range(175):
        emotion, share = (NEUTRAL, 0.9) if i < 75 else (SAD, sure)
        change = detector.update([prediction(emotion, i / 25, sure=share)])[0]
        if change is not None and change.after == SAD:
            return change.decided_s - 3.0
    return None


def test_a_plain_face_delays_a_change_no_more_than_a_doubtful_one() -> None:
    """What was plain before counts for so much at most; without that bound it costs time."""

    def delay_s(settled_lead: float, rest: float) -> float:
        detector = TransitionDetector(TransitionParameters(settled_lead=settled_lead))
        for i in range(75):
            detector.update([prediction(NEUTRAL, i / 25, sure=rest)])
        for i in range(75, 150):
            change = detector.update([prediction(SAD, i / 25, sure=0.6)])[0]
            if change is not None:
                return change.decided_s - 3.0
        raise AssertionError("never reported")

    assert delay_s(1.0, 0.99) <= delay_s(1.0, 0.6)
    assert delay_s(1.0, 0.99) < delay_s(5.0, 0.99)


def test_long_rest_does_not_hide_a_smile() -> None:
    """After ten minutes of a rest that looks slightly happy, a smile is still seen in time."""
    detector = TransitionDetector(TransitionParameters())
    resting = np.array([0.02, 0.02, 0.02, 0.40, 0.04, 0.02, 0.48], np.float32)
    for i in range(6000):
        detector.update([Prediction(track=1, label="a", captured_s=i / 10, probs=frozen(resting))])[
            0
        ]
    assert detector.states() == {1: NEUTRAL}
    seen = [detector.update([prediction(HAPPY, 600 + i / 10)])[0] for i in range(10)]
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
    clear, doubtful = (play((HAPPY, 3), sure=s)[0].confidence for s in (0.95, 0.75))
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
    detector = TransitionDetector(TransitionParameters())
    for i in range(50):
        detector.update([prediction(NEUTRAL, i / 25)])[0]
    detector.update([prediction(HAPPY, 2.0)])[0]
    seen = [detector.update([prediction(HAPPY, 30 + i / 25)])[0] for i in range(25)]
    (smile,) = [t for t in seen if t]
    assert smile.onset_s >= 30 - TransitionParameters().onset_lead_s


def test_frames_out_of_order_are_ignored() -> None:
    """A repeated or older frame changes nothing."""
    detector = TransitionDetector(TransitionParameters())
    for i in range(50):
        detector.update([prediction(NEUTRAL, i / 25)])[0]
    assert all(detector.update([prediction(HAPPY, 1.0)])[0] is None for _ in range(500))
    assert detector.states() == {1: NEUTRAL}


def test_forgotten_tracks_start_anew() -> None:
    """What is forgotten leaves no trace, and forgetting a stranger is no error."""
    detector = TransitionDetector(TransitionParameters())
    for i in range(50):
        detector.update([prediction(HAPPY, i / 25)])[0]
        detector.update([prediction(None, i / 25, track=2)])[0]
    assert detector.states() == {1: HAPPY, 2: None}
    detector.forget([1, 99])
    assert detector.states() == {2: None}
    seen = [detector.update([prediction(SAD, 3 + i / 25)])[0] for i in range(25)]
    assert [(t.before, t.after) for t in seen if t] == [(None, SAD)]


def test_memory_is_constant() -> None:
    """Faces that come and go leave nothing: what is kept depends on how many are there at once."""

    def size(detector: TransitionDetector) -> int:
        kept = vars(detector._filter).values()  # noqa: SLF001 - the law is about what is kept
        return sum(x.nbytes for x in kept if isinstance(x, np.ndarray))

    detector = TransitionDetector(TransitionParameters())
    sizes = set()
    for i in range(3000):
        detector.update([prediction(HAPPY, i / 2.5 + k, track=i + k) for k in range(5)])
        detector.forget([i])
        if i in (50, 2999):
            sizes.add(size(detector))
    assert len(sizes) == 1


def test_many_faces_at_once_are_each_decided() -> None:
    """Any number of faces in one frame are decided as each would be alone."""
    detector = TransitionDetector(TransitionParameters())
    seen = [
        detector.update([prediction(HAPPY if k % 2 else SAD, i / 25, track=k) for k in range(40)])
        for i in range(25)
    ]
    found = {t.track: t.after for frame in seen for t in frame if t}
    assert found == {k: HAPPY if k % 2 else SAD for k in range(40)}


def evidence(probs: NDArray[np.float32], at_s: float, *, talking: float = 0.0) -> Prediction:
    """The same from both heads and the recurrent member."""
    log_probs = np.tile(np.log(probs), (3, 1)).astype(np.float32)
    return Prediction(
        track=1,
        label="a",
        captured_s=at_s,
        probs=frozen(probs),
        log_probs=frozen(log_probs),
        talking=talking,
    )


def flicker(at_s: float) -> NDArray[np.float32]:
    """A mouth that looks happy for a moment every second, as in speech."""
    probs = np.full(len(Emotion), 0.02, np.float32)
    probs[HAPPY if at_s % 1.0 > 0.55 else NEUTRAL] = 0.88
    return probs


def test_speech_is_judged_more_slowly() -> None:
    """What counts as a smile of a silent face does not when it comes and goes with speech."""
    silent, talks = (
        [
            event
            for i in range(250)
            if (event := detector.update([evidence(flicker(i / 25), i / 25, talking=talking)])[0])
        ]
        for talking, detector in (
            (0.0, TransitionDetector(TransitionParameters())),
            (1.0, TransitionDetector(TransitionParameters())),
        )
    )
    assert len(silent) > 3
    assert [e.after for e in talks] == [NEUTRAL]


def test_a_talker_who_smiles_is_seen() -> None:
    """A plain and lasting smile is decided also while its owner talks, within a second."""
    detector = TransitionDetector(TransitionParameters())
    neutral, smile = (np.full(len(Emotion), 0.02, np.float32) for _ in range(2))
    neutral[NEUTRAL], smile[HAPPY] = 0.88, 0.88
    events = [
        event
        for i in range(150)
        if (
            event := detector.update([evidence(neutral if i < 75 else smile, i / 25, talking=1.0)])[
                0
            ]
        )
    ]
    assert [e.after for e in events] == [NEUTRAL, HAPPY]
    assert events[1].decided_s - 3.0 < 1.0


def test_a_resting_face_that_looks_sad_is_learnt() -> None:
    """Somebody whose rest looks a little sad, and sadder for a moment, stays neutral."""
    rest, sadder = (np.full(len(Emotion), 0.02, np.float32) for _ in range(2))
    rest[SAD], rest[NEUTRAL] = 0.35, 0.55
    sadder[SAD], sadder[NEUTRAL] = 0.68, 0.22
    frames = [sadder if 20 <= i / 25 < 22 else rest for i in range(600)]

    def decided(most: float) -> list[Emotion]:
        baseline = Baseline(most=most, usual=(*(-2.5,) * 6, 0.0))
        detector = TransitionDetector(TransitionParameters(tau=0, baseline=baseline))
        seen = (detector.update([evidence(f, i / 25)])[0] for i, f in enumerate(frames))
        return [event.after for event in seen if event]

    assert SAD in decided(0.0)
    assert decided(1.2) == [NEUTRAL]


def test_an_expression_is_not_learnt_while_it_leads() -> None:
    """A sad face that grows slowly, in silence, is decided when it is plain."""
    rest, slightly, plainly = (np.full(len(Emotion), 0.02, np.float32) for _ in range(3))
    rest[SAD], rest[NEUTRAL] = 0.02, 0.88
    slightly[SAD], slightly[NEUTRAL] = 0.48, 0.42
    plainly[SAD], plainly[NEUTRAL] = 0.80, 0.10
    frames = [rest] * 75 + [slightly] * 250 + [plainly] * 50
    baseline = Baseline(most=2.0, usual=(*(-2.5,) * 6, 0.0))
    detector = TransitionDetector(TransitionParameters(tau=0, baseline=baseline))
    seen = (detector.update([evidence(f, i / 25)])[0] for i, f in enumerate(frames))
    events = [event for event in seen if event]
    assert [event.after for event in events] == [NEUTRAL, SAD]
    assert events[1].decided_s - 13.0 < 0.7


def test_a_plain_rest_lifts_a_mild_expression() -> None:
    """Who shows less of an emotion at rest than others do is believed with less of it."""
    rest, mild = (np.full(len(Emotion), 0.004, np.float32) for _ in range(2))
    rest[NEUTRAL] = 0.976
    mild[Emotion.ANGRY], mild[NEUTRAL] = 0.55, 0.43

    def decided(lift: float) -> list[Emotion]:
        baseline = Baseline(lift=lift, usual=(*(-3.0,) * 6, 0.0))
        detector = TransitionDetector(TransitionParameters(tau=0, baseline=baseline))
        frames = [rest] * 100 + [mild] * 50
        seen = (detector.update([evidence(f, i / 25)])[0] for i, f in enumerate(frames))
        return [event.after for event in seen if event]

    assert decided(0.0) == [NEUTRAL]
    assert decided(1.0) == [NEUTRAL, Emotion.ANGRY]
