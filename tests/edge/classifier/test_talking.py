"""Who talks is seen in the mouth's motion to and fro."""

from __future__ import annotations

import numpy as np
import pytest

from edge.classifier.talking import CHANNELS, SpeechDetector
from edge.features.blendshapes import NAMES
from edge.values import Features, frozen


def face(mouth: float | None, at_s: float, *, track: int = 1) -> Features:
    """A face whose jaw and lips are at ``mouth``, 0 to 1; ``None``: not measured."""
    shapes = None
    if mouth is not None:
        shapes = np.full(52, 0.1, np.float32)
        shapes[[NAMES.index(name) for name in CHANNELS]] = mouth
    return Features(
        track=track,
        label="a",
        captured_s=at_s,
        crop=frozen(np.zeros((48, 48), np.uint8)),
        blendshapes=shapes,
        pose=None,
    )


def speech(at_s: float) -> float:
    """Four syllables a second."""
    return 0.15 + 0.1 * float(np.sin(2 * np.pi * 4 * at_s))


@pytest.mark.parametrize("fps", [10.0, 15.0, 30.0])
def test_speech_is_heard_at_any_frame_rate(fps: float) -> None:
    """Two seconds of syllables are speech."""
    detector = SpeechDetector()
    for i in range(int(2 * fps)):
        [talking] = detector.update([face(speech(i / fps), i / fps)])
    assert talking == 1.0


@pytest.mark.parametrize(
    "mouth",
    [
        pytest.param(lambda _: 0.3, id="still"),
        pytest.param(lambda t: min(0.6, 0.6 * t / 0.8), id="opening once and staying open"),
        pytest.param(lambda t: 0.2 + 0.002 * (round(t * 25) % 2), id="trembling landmarks"),
    ],
)
def test_an_expression_is_no_speech(mouth: object) -> None:
    """A mouth that rests, or moves once and stays, is silent throughout."""
    detector = SpeechDetector()
    said = [detector.update([face(mouth(i / 25), i / 25)])[0] for i in range(75)]  # type: ignore[operator]
    assert max(said) < 0.5
    assert said[-1] == 0.0


def test_a_mouth_never_seen_is_silent_and_one_lost_is_forgotten() -> None:
    """Without landmarks nobody talks; speech fades when the mouth is no longer measured."""
    detector = SpeechDetector()
    assert detector.update([face(None, 0.0, track=9)]) == (0.0,)
    for i in range(50):
        detector.update([face(speech(i / 25), i / 25)])
    fading = [detector.update([face(None, 2 + i / 25)])[0] for i in range(100)]
    assert fading[0] == 1.0
    assert fading[-1] == 0.0
    assert fading == sorted(fading, reverse=True)


def test_faces_are_kept_apart_and_forgotten() -> None:
    """One who talks beside one who does not; a forgotten face starts silent."""
    detector = SpeechDetector()
    for i in range(50):
        at_s = i / 25
        both = detector.update([face(speech(at_s), at_s), face(0.3, at_s, track=2)])
    assert both == (1.0, 0.0)
    detector.forget([1, 77])
    assert detector.update([face(0.2, 2.0)]) == (0.0,)
