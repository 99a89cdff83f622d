"""Made-up faces over real speech: talkers with other resting faces and borrowed expressions.

A talker's evidence keeps its own speech in every frame. A constant per emotion makes another
resting face of it; the course of a posed onset (its evidence less that of its own neutral face) is
added on top, held, and taken back. What the networks would say of the sum is not known; that
log-probabilities add is the assumption.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.values import EvidenceSource, frozen
from emoshift.emotions import Emotion
from train.transitions.real_clips import HELD_S, ONSET_FPS
from train.transitions.streams import Change, Series, Stream, log_probs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

N: Final = len(Emotion)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixing:
    """How much is made up.

    Attributes:
        still, changing: Made-up streams of each talker without and with expressions.
        resting_sd: Of the constant of each emotion, nats; with expressions 0.6 times as much.
        resting_more: One emotion of a stream without expressions gets this much more, from, to.
        louder: Speech is exaggerated by up to this factor (without expressions), or half as much.
        hold_s: An expression is held from, to.
        rest_s: Rest between two expressions from, to.
        strength: Share of the posed expression from, to.
        recurrent: Share of the other resting face and of the exaggeration that the recurrent
            member sees: it takes a person's own rest away by itself.
    """

    still: int = 2
    changing: int = 3
    resting_sd: float = 0.8
    resting_more: tuple[float, float] = (0.5, 2.0)
    louder: float = 1.6
    hold_s: tuple[float, float] = (1.2, 3.5)
    rest_s: tuple[float, float] = (2.0, 4.0)
    strength: tuple[float, float] = (0.7, 1.0)
    recurrent: float = 0.3


def compose(
    talkers: Sequence[Stream], onsets: Sequence[Stream], *, seed: int, mixing: Mixing | None = None
) -> tuple[list[Stream], list[Stream]]:
    """Make streams without and with changes.

    Args:
        talkers: Real clips of people who talk and change no emotion.
        onsets: Posed onsets, neutral for `HELD_S`, then one emotion.
        seed: Of everything that is drawn.
        mixing: How much is made up.
    """
    mixing = mixing or Mixing()
    rng = np.random.default_rng(seed)
    still, changing = [], []
    for talker in talkers:
        series = max(talker.series, key=lambda s: len(s.times_s))
        still += [_at_rest(talker, series, rng, mixing) for _ in range(mixing.still)]
        if onsets:
            changing += [
                _expressive(talker, series, onsets, rng, mixing) for _ in range(mixing.changing)
            ]
    return still, changing


def _at_rest(talker: Stream, series: Series, rng: np.random.Generator, mixing: Mixing) -> Stream:
    resting = np.append(rng.normal(0, mixing.resting_sd, N - 1), 0.0)
    favourite = rng.choice(
        [Emotion.HAPPY, Emotion.HAPPY, Emotion.SAD, Emotion.SURPRISE, Emotion.ANGRY]
    )
    resting[favourite] += rng.uniform(*mixing.resting_more)
    louder = rng.uniform(1, mixing.louder)
    sources = _with_resting_face(series, resting, louder, mixing)
    truth = replace(talker.truth, start=Emotion.NEUTRAL, changes=(), may=())
    return Stream(truth=truth, series=(_heard(series, sources),))


def _expressive(
    talker: Stream,
    series: Series,
    onsets: Sequence[Stream],
    rng: np.random.Generator,
    mixing: Mixing,
) -> Stream:
    resting = np.append(rng.normal(0, 0.6 * mixing.resting_sd, N - 1), 0.0)
    louder = rng.uniform(1, 1 + (mixing.louder - 1) / 2)
    sources = _with_resting_face(series, resting, louder, mixing)
    by_emotion: dict[Emotion, list[Stream]] = {}
    for onset in onsets:
        by_emotion.setdefault(onset.truth.changes[0].after, []).append(onset)
    changes: list[Change] = []
    at_s, end_s = float(series.times_s[0]) + rng.uniform(3.0, 4.5), float(series.times_s[-1])
    while at_s < end_s - 4.0:
        emotion = list(by_emotion)[rng.integers(len(by_emotion))]
        onset = by_emotion[emotion][rng.integers(len(by_emotion[emotion]))]
        hold_s = rng.uniform(*mixing.hold_s)
        course_s, added = _course(onset.series[0], hold_s)
        since_s = series.times_s - at_s
        shown = (since_s >= 0) & (since_s <= course_s[-1])
        place = np.round(np.interp(since_s[shown], course_s, np.arange(len(course_s)))).astype(int)
        sources[shown] += rng.uniform(*mixing.strength) * added[place]
        rise_s = (len(onset.series[0].times_s) - 2 * round(HELD_S * ONSET_FPS)) / ONSET_FPS
        changes += [
            Change(at_s=at_s + 0.05, after=emotion),
            Change(at_s=at_s + rise_s + hold_s, after=Emotion.NEUTRAL),
        ]
        at_s += float(course_s[-1]) + rng.uniform(*mixing.rest_s)
    truth = replace(talker.truth, start=Emotion.NEUTRAL, changes=tuple(changes), may=())
    return Stream(truth=truth, series=(_heard(series, sources),))


def _with_resting_face(
    series: Series, resting: NDArray[np.float64], louder: float, mixing: Mixing
) -> NDArray[np.float64]:
    sources = log_probs_of(series).astype(np.float64)
    usual = np.nanmedian(sources, axis=0)
    seen = np.ones(len(EvidenceSource))
    seen[EvidenceSource.RECURRENT] = mixing.recurrent
    grown = (sources - usual) * (1 + (louder - 1) * seen[:, None])
    return np.asarray(usual + grown + seen[:, None] * resting)


def _course(onset: Series, hold_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and added log-probabilities of an onset, its apex and its way back, twice as fast."""
    log_probs, held = log_probs_of(onset), round(HELD_S * ONSET_FPS)
    rise = np.nan_to_num(log_probs[held:-held].astype(np.float64), nan=0.0)
    neutral = np.nan_to_num(np.nanmedian(log_probs[5:held], axis=0), nan=0.0)
    rise = np.where(np.isnan(log_probs[held:-held]), 0.0, rise - neutral)
    n = len(rise)
    times_s = np.concatenate(
        [np.arange(n) / ONSET_FPS, n / ONSET_FPS + hold_s + np.arange(n) / (2 * ONSET_FPS)]
    )
    return times_s, np.concatenate([rise, rise[::-1]])


def _heard(series: Series, sources: NDArray[np.float64]) -> Series:
    with np.errstate(invalid="ignore"):
        shifted = sources - sources.max(axis=-1, keepdims=True)
        shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return replace(
        series,
        log_probs=frozen(shifted.astype(np.float32)),
        probs=frozen(np.exp(shifted[:, 0]).astype(np.float32)),
    )
