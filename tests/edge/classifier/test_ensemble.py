"""The ensemble gives each face calibrated probabilities, alone or among many."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.bundle.loader import load_bundle
from edge.classifier.ensemble import Ensemble
from edge.features.blendshapes import NAMES
from edge.values import EvidenceSource, Features, Prediction
from emoshift.emotions import Emotion
from tests.support.handmade_bundle import (
    cnn_member,
    lstm_member,
    two_headed_member,
    write_bundle,
)

if TYPE_CHECKING:
    from pathlib import Path

STEP_S = 0.1


@pytest.fixture
def ensemble(tmp_path: Path) -> Ensemble:
    return make(tmp_path)


def make(folder: Path, *members: dict[str, Any], **how: Any) -> Ensemble:
    return Ensemble(load_bundle(write_bundle(folder, *members)), **how)


def face(
    track: int = 1,
    at_s: float = 0.0,
    *,
    left: int = 128,
    right: int = 128,
    smile: float | None = None,
) -> Features:
    """Make a face whose halves have these greys; ``smile`` None is a face without landmarks."""
    crop = np.full((48, 48), 128, np.uint8)
    crop[:, :24], crop[:, 24:] = left, right
    shapes = None
    if smile is not None:
        shapes = np.zeros(52, np.float32)
        shapes[NAMES.index("mouthSmileLeft")] = smile
    return Features(
        track=track, label=f"t{track}", captured_s=at_s, crop=crop, blendshapes=shapes, pose=None
    )


def happy(prediction: Prediction) -> float:
    return float(prediction.probs[Emotion.HAPPY])


def test_no_faces(ensemble: Ensemble) -> None:
    """A frame without faces gives no predictions."""
    assert ensemble.classify([]) == ()


def test_reads_the_picture(ensemble: Ensemble) -> None:
    """A bright left half is happy and a bright right half sad, for the handmade network."""
    seen = ensemble.classify([face(1, left=200, right=50), face(2, left=50, right=200)])
    assert [Emotion(int(p.probs.argmax())) for p in seen] == [Emotion.HAPPY, Emotion.SAD]
    assert [p.track for p in seen] == [1, 2]


def test_predictions_are_probabilities(ensemble: Ensemble) -> None:
    """Probabilities are float32, sum to one, leave contempt out and cannot be written to."""
    (p,) = ensemble.classify([face(left=90, smile=0.5)])
    assert p.probs.shape == (len(Emotion),)
    assert p.probs.dtype == np.float32
    assert p.probs.sum() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="read-only"):
        p.probs[0] = 1.0


def test_light_does_not_matter(ensemble: Ensemble) -> None:
    """A darker, flatter picture of the same face is seen the same."""
    bright, dim = ensemble.classify([face(1, left=220, right=100), face(2, left=90, right=30)])
    np.testing.assert_array_equal(bright.probs, dim.probs)


def test_no_landmarks_is_degraded(ensemble: Ensemble) -> None:
    """Without landmarks the picture members answer alone, and say so."""
    without, with_ = ensemble.classify([face(1, left=200), face(2, left=200, smile=0.0)])
    assert without.degraded
    assert not with_.degraded


def test_temperature(tmp_path: Path) -> None:
    """A higher temperature makes the same answer less certain."""
    sharp = make(tmp_path / "a", cnn_member())
    soft = make(tmp_path / "b", cnn_member(temperature=3.0))
    one = face(left=200, right=50)
    assert happy(soft.classify([one])[0]) < happy(sharp.classify([one])[0])


def test_weights(tmp_path: Path) -> None:
    """Members are fused as the weighted sum of their log-probabilities."""
    a = make(tmp_path / "a", cnn_member())
    b = make(tmp_path / "b", cnn_member(temperature=3.0))
    both = make(
        tmp_path / "c",
        cnn_member("one", weight=0.5),
        cnn_member("two", weight=1.5, temperature=3.0),
    )
    one = face(left=200, right=60)
    logs = 0.5 * np.log(a.classify([one])[0].probs) + 1.5 * np.log(b.classify([one])[0].probs)
    expected = np.exp(logs) / np.exp(logs).sum()
    np.testing.assert_allclose(both.classify([one])[0].probs, expected, rtol=1e-4)


def test_a_recurrent_member_without_weight_is_still_heard(tmp_path: Path) -> None:
    """The change detector asks it by itself; the fused probabilities do not move."""
    alone = make(tmp_path / "a", cnn_member())
    both = make(tmp_path / "b", cnn_member(), lstm_member(weight=0.0))
    one = face(left=200, smile=0.5)
    (without,), (heard,) = alone.classify([one]), both.classify([one])
    assert np.isfinite(heard.log_probs[EvidenceSource.RECURRENT]).all()
    assert not np.isfinite(without.log_probs[EvidenceSource.RECURRENT]).any()
    np.testing.assert_allclose(heard.probs, without.probs, rtol=1e-6)
    assert not heard.degraded


def test_mirrored_view(tmp_path: Path) -> None:
    """With the mirrored view a left-right rule cancels out; without it, it does not."""
    mirrored = make(tmp_path, cnn_member(mirrored=True))
    one = face(left=200, right=50)
    probs = mirrored.classify([one])[0].probs
    assert probs[Emotion.HAPPY] == probs[Emotion.SAD]
    mirrored.level = 1
    (seen,) = mirrored.classify([one])
    assert seen.probs[Emotion.HAPPY] > seen.probs[Emotion.SAD]
    assert seen.degraded


def test_levels(tmp_path: Path) -> None:
    """Each level is cheaper, the last keeps one picture member, and more are refused."""
    three = make(tmp_path, *(cnn_member(f"c{i}", mirrored=i == 0) for i in range(3)), lstm_member())
    assert three.levels == 3
    for level in range(4):
        three.level = level
        (p,) = three.classify([face(left=200, smile=0.1)])
        assert p.degraded == (level > 0)
        assert p.probs.sum() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="level 4, expected 0 to 3"):
        three.level = 4


def test_timings(tmp_path: Path) -> None:
    """With a clock each member's time is reported; one that was left out took none."""
    ticks = itertools.count()
    two = make(tmp_path, cnn_member("c0"), cnn_member("c1"), clock=lambda: float(next(ticks)))
    two.classify([face()])
    assert [(t.name, t.seconds) for t in two.timings] == [("c0", 1.0), ("c1", 1.0)]
    two.level = 1
    two.classify([face()])
    assert [t.seconds for t in two.timings] == [1.0, 0.0]


@given(data=st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_company_changes_nothing(tmp_path: Path, data: st.DataObject) -> None:
    """A face is judged the same alone and among others, in any order, frame after frame."""
    folder = write_bundle(tmp_path / "b")
    alone, among = Ensemble(load_bundle(folder)), Ensemble(load_bundle(folder))
    for frame in range(4):
        at_s = frame * 0.06
        smiles = st.one_of(st.none(), st.floats(0, 1, width=32))
        me = face(1, at_s, left=data.draw(st.integers(0, 255)), smile=data.draw(smiles))
        greys = data.draw(st.lists(st.integers(0, 255), max_size=5))
        others = [face(2 + i, at_s, left=g, smile=0.3) for i, g in enumerate(greys)]
        faces = data.draw(st.permutations([me, *others]))
        seen = {p.track: p for p in among.classify(faces)}
        (expected,) = alone.classify([me])
        np.testing.assert_array_equal(seen[1].probs, expected.probs)


class TestRecurrent:
    """The handmade recurrent member adds up its input, so its answer counts the steps taken."""

    @pytest.fixture
    def counter(self, tmp_path: Path) -> Ensemble:
        """Give the counting member alone."""
        return make(tmp_path, lstm_member())

    @staticmethod
    def steps(prediction: Prediction) -> float:
        """Read the sum off the log-odds of happy."""
        odds = np.log(prediction.probs[Emotion.HAPPY] / prediction.probs[Emotion.SAD])
        return float(odds)

    @pytest.mark.parametrize("fps", [5.0, 10.0, 15.0, 30.0, 60.0])
    def test_own_rate(self, counter: Ensemble, fps: float) -> None:
        """Two seconds of frames are about twenty steps, at any frame rate."""
        for frame in range(int(2 * fps) + 1):
            (p,) = counter.classify([face(at_s=frame / fps, smile=0.25)])
        assert self.steps(p) == pytest.approx(21 * 0.25, abs=0.26)

    def test_jitter(self, counter: Ensemble) -> None:
        """Frames at the member's own rate, a little early or late, give one step each."""
        jitter = np.random.default_rng(3).uniform(-0.02, 0.02, 20)
        for frame in range(20):
            (p,) = counter.classify([face(at_s=0.1 * frame + jitter[frame], smile=0.25)])
            assert self.steps(p) == pytest.approx(0.25 * (frame + 1), abs=0.3)

    def test_faces_do_not_mix(self, counter: Ensemble) -> None:
        """Every face has its own state."""
        for frame in range(5):
            seen = counter.classify([face(t, frame * STEP_S, smile=t / 4) for t in (1, 2)])
        assert [self.steps(p) for p in seen] == pytest.approx([1.25, 2.5], abs=0.01)

    def test_forget(self, counter: Ensemble) -> None:
        """A forgotten track starts from nothing, the others go on."""
        for frame in range(5):
            counter.classify([face(t, frame * STEP_S, smile=0.5) for t in (1, 2)])
        counter.forget([1, 99])
        seen = counter.classify([face(t, 5 * STEP_S, smile=0.5) for t in (1, 2)])
        assert [self.steps(p) for p in seen] == pytest.approx([0.5, 3.0], abs=0.01)

    def test_newcomer_is_told_at_once(self, counter: Ensemble) -> None:
        """A face that comes between two steps gets an estimate on its first frame."""
        counter.classify([face(1, 0.0, smile=0.5)])
        seen = counter.classify([face(1, 0.03, smile=0.5), face(2, 0.03, smile=0.5)])
        assert [p.degraded for p in seen] == [False, False]

    def test_short_gap_is_bridged(self, counter: Ensemble) -> None:
        """Landmarks measured on every third frame only still give every step."""
        for frame in range(30):
            smile = 0.25 if frame % 3 == 0 else None
            (p,) = counter.classify([face(at_s=frame * STEP_S, smile=smile)])
            assert not p.degraded
        assert self.steps(p) == pytest.approx(30 * 0.25, abs=0.3)

    def test_long_gap_starts_afresh(self, counter: Ensemble) -> None:
        """Landmarks lost for longer leave the face without the member, then it starts anew."""
        for frame in range(10):
            counter.classify([face(at_s=frame * STEP_S, smile=0.5)])
        for frame in range(10, 20):
            (p,) = counter.classify([face(at_s=frame * STEP_S)])
        assert p.degraded
        (p,) = counter.classify([face(at_s=2.0, smile=0.5)])
        assert self.steps(p) == pytest.approx(0.5, abs=0.01)

    def test_clock_that_jumps_back(self, counter: Ensemble) -> None:
        """Capture times that start again (a clip in a loop) start the state again."""
        for frame in range(10):
            counter.classify([face(at_s=5 + frame * STEP_S, smile=0.5)])
        (p,) = counter.classify([face(at_s=0.0, smile=0.5)])
        assert self.steps(p) == pytest.approx(0.5, abs=0.01)

    def test_neutral_is_learnt(self, tmp_path: Path) -> None:
        """What a face shows at rest is subtracted once it is known."""
        plain = lstm_member()
        member = lstm_member(channels={**plain["channels"], "subtract_neutral": True})
        quiet = make(tmp_path, cnn_member(labels=RESTING, temperature=0.5), member)
        sums = []
        for frame in range(60):
            (p,) = quiet.classify([face(at_s=frame * STEP_S, left=200, right=50, smile=0.0625)])
            sums.append(self.steps(p))
        assert sums[25] > sums[5]
        assert sums[59] == pytest.approx(sums[35], abs=0.01)


RESTING = ("angry", "disgust", "fear", "neutral", "sad", "surprise", "happy", "contempt")
"""Labels that make the handmade picture network call a bright left half neutral."""


def test_both_heads_and_the_recurrent_member_are_kept_apart(tmp_path: Path) -> None:
    """What each source says stands in a row of its own; ``probs`` is FER+'s question alone."""
    ensemble = make(tmp_path, two_headed_member(), lstm_member())
    [seen] = ensemble.classify([face(left=200, right=128, smile=0.9)])
    assert seen.log_probs is not None
    tops = [Emotion(int(row.argmax())) for row in seen.log_probs]
    assert tops == [Emotion.HAPPY, Emotion.ANGRY, Emotion.HAPPY]
    assert np.exp(seen.log_probs).sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert seen.probs.argmax() == Emotion.HAPPY
    assert not seen.log_probs.flags.writeable


def test_a_source_that_says_nothing_is_nan(tmp_path: Path) -> None:
    """Without a second head, and without landmarks, their rows are NaN."""
    [seen] = make(tmp_path).classify([face(left=200, right=128)])
    assert seen.log_probs is not None
    silent = np.isnan(seen.log_probs).all(axis=1).tolist()
    assert silent == [False, True, True]
    assert list(EvidenceSource) == [0, 1, 2]
