"""What each source counts and how far a resting face stands from each emotion, by regression.

Frames of the real clips whose emotion is known, each against the resting face of the same person,
are put through the formula of the filter: the pooled score of every emotion over neutral, less the
own face's. A multinomial logistic regression then finds the numbers of that formula with which the
right emotion is likeliest. Talkers say what speech looks like, posed and natural changes what
emotions look like; both are needed to tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize

from edge.transitions.emissions import FLOOR
from edge.values import EvidenceSource
from emoshift.emotions import Emotion
from train.transitions.streams import log_probs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from train.transitions.real_clips import Group
    from train.transitions.streams import Series, Stream, Truth

N: Final = len(Emotion)
SOURCES: Final = len(EvidenceSource)
FERPLUS_SHARES: Final = (0.0878, 0.0105, 0.0310, 0.2663, 0.1434, 0.1241, 0.3369)
"""Mean FER+ vote of Training, contempt left out (`edge.transitions` divides it out)."""
FER2013_SHARES: Final = (0.1392, 0.0152, 0.1427, 0.2513, 0.1682, 0.1105, 0.1729)
"""Labels of FER2013 Training: 3,995, 436, 4,097, 7,215, 4,830, 3,171 and 4,965 of 28,709."""
MOST: Final = 2.2
"""Nats taken off an emotion that a person's rest shows more of than usual, at most."""
LIFT: Final = 5.0
"""Nats added to one it shows less of: enough for the plainest face that networks know."""

_LOG_PRIORS: Final = np.log([FERPLUS_SHARES, FER2013_SHARES, FERPLUS_SHARES])
SHARPNESS: Final = 2.0
"""Factor of the pooled scores. Fitted freely it becomes 4 to 6, surer of every frame than people
not seen bear out: frames of one clip are far from independent."""
_AFTER_ONSET_S: Final = 0.5
"""So long after an onset the new emotion is not yet plain; those frames are left out."""
_BEFORE_CHANGE_S: Final = 0.1
_EVERY: Final = 4
"""Of neighbouring frames, which differ little, one in so many is taken."""
_LEAST_RESTING: Final = 6
_LONGEST_S: Final = 10.0
"""No emotion of one clip counts for more seconds than this."""
_OUTLIER: Final = 0.03
"""Share of frames that may show anything: one wrong label does not move the fit."""
_SOURCE_COST, _REST_COST = 0.005, 0.0005


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frames:
    """Frames whose emotion is known.

    Attributes:
        scores: Shape ``(n, sources, N - 1)``: of every emotion over neutral, nats.
        resting: The same of this person's resting face.
        talking: Shape ``(n,)``.
        emotion: Shape ``(n,)``.
        weight: Shape ``(n,)``; seconds that each frame stands for.
    """

    scores: NDArray[np.float64]
    resting: NDArray[np.float64]
    talking: NDArray[np.float64]
    emotion: NDArray[np.intp]
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The fitted numbers.

    Attributes:
        weights, talking_weights: Of each source; shares, their sum is 1.
        usual: Score over neutral of each emotion at which a resting face is put, nats; neutral 0.
        bias: Added to every score; zero unless everybody's rest is taken for the same.
    """

    weights: tuple[float, ...]
    talking_weights: tuple[float, ...]
    usual: tuple[float, ...]
    bias: tuple[float, ...] = (0.0,) * N


def known_frames(clips: Sequence[tuple[Group, Stream]], without: frozenset[str]) -> Frames:
    """Collect the frames of clips in which a person's rest is seen.

    Clips of one emotion throughout have no rest to judge against, and rooms no labels in detail.
    """
    rows = [
        found
        for group, stream in clips
        if group in {"still", "onset", "natural", "joined", "clips"}
        for series in stream.series
        for found in _frames(series, stream.truth, without)
    ]
    if not rows:
        empty = np.zeros((0, SOURCES, N - 1))
        none = np.zeros(0)
        return Frames(
            scores=empty, resting=empty, talking=none, emotion=none.astype(np.intp), weight=none
        )
    scores, resting, talking, emotion, weight = map(np.concatenate, zip(*rows, strict=True))
    if "baseline" in without:
        resting = np.broadcast_to(resting.mean(axis=0), resting.shape)
    return Frames(scores=scores, resting=resting, talking=talking, emotion=emotion, weight=weight)


def regress(frames: Frames, *, caution: float, without: frozenset[str] = frozenset()) -> Evidence:
    """Find the numbers with which the known emotions are likeliest.

    Args:
        frames: From `known_frames`.
        caution: What neutral frames count, against others: more of it, and more is asked of an
            emotion before it is believed. Emotions count by the root of their seconds.
        without: Parts left out, the same as of ``frames``.
    """
    total = np.bincount(frames.emotion, frames.weight, minlength=N)
    share = 1 / np.sqrt(np.maximum(total, 1.0))
    share[Emotion.NEUTRAL] *= caution
    weight = frames.weight * share[frames.emotion]
    weight = weight / weight.sum()
    heard = np.ones(SOURCES)
    heard[EvidenceSource.FER2013] = "fer2013" not in without
    heard[EvidenceSource.RECURRENT] = "recurrent" not in without
    start = np.concatenate([np.zeros(2 * SOURCES), np.full(N - 1, -2.0)])
    found = minimize(
        loss_and_gradient,
        start,
        args=(frames, weight, heard),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 200},
    )
    silent, speaking, usual = _parts(found.x, heard)
    same = usual - silent @ frames.resting[0] if "baseline" in without else np.zeros(N - 1)
    return Evidence(
        weights=_rounded(silent),
        talking_weights=_rounded(silent if "talking" in without else speaking),
        usual=(*_rounded(usual), 0.0),
        bias=(*_rounded(same), 0.0),
    )


def _parts(
    numbers: NDArray[np.float64], heard: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    silent, speaking = (
        heard * np.exp(n - n.max()) for n in (numbers[:SOURCES], numbers[SOURCES : 2 * SOURCES])
    )
    return silent / silent.sum(), speaking / speaking.sum(), numbers[2 * SOURCES :]


def loss_and_gradient(
    numbers: NDArray[np.float64],
    frames: Frames,
    weight: NDArray[np.float64],
    heard: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    """Robust cross-entropy, what holds the numbers near their usual values, and the gradient."""
    silent, speaking, usual = _parts(numbers, heard)
    talking = frames.talking[:, None]
    shares = silent + talking * (speaking - silent)
    pooled = np.einsum("ns,nse->ne", shares, frames.scores)
    excess = np.einsum("ns,nse->ne", shares, frames.resting) - usual
    inside = (excess > -LIFT) & (excess < MOST)
    lead = pooled - np.clip(excess, -LIFT, MOST)
    logits = np.column_stack([SHARPNESS * lead, np.zeros(len(lead))])
    logits -= logits.max(axis=1, keepdims=True)
    probs = np.exp(logits)
    probs /= probs.sum(axis=1, keepdims=True)
    place = np.arange(len(lead))
    right = probs[place, frames.emotion]
    likely = _OUTLIER + (1 - _OUTLIER) * right
    # d(-log likely)/d(logits) is that of cross-entropy times the share not put down to an outlier.
    slope = probs.copy()
    slope[place, frames.emotion] -= 1
    slope = (weight * (1 - _OUTLIER) * right / likely)[:, None] * slope[:, : N - 1]
    by_share = SHARPNESS * np.einsum(
        "ne,nse->ns", slope, frames.scores - inside[:, None] * frames.resting
    )
    gradient = np.concatenate(
        [
            _through_softmax((by_share * (1 - talking)).sum(axis=0), silent),
            _through_softmax((by_share * talking).sum(axis=0), speaking),
            SHARPNESS * (slope * inside).sum(axis=0),
        ]
    )
    sources, apart = numbers[: 2 * SOURCES], usual - usual.mean()
    cost = _SOURCE_COST * sources @ sources + _REST_COST * apart @ apart
    gradient += 2 * np.concatenate([_SOURCE_COST * sources, _REST_COST * apart])
    return float(-(weight * np.log(likely)).sum() + cost), gradient


def _through_softmax(
    by_share: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(share * (by_share - by_share @ share))


_Rows = tuple[
    "NDArray[np.float64]",
    "NDArray[np.float64]",
    "NDArray[np.float64]",
    "NDArray[np.intp]",
    "NDArray[np.float64]",
]


def _frames(series: Series, truth: Truth, without: frozenset[str]) -> list[_Rows]:
    """Known frames of one face, by emotion; none where its rest is not seen."""
    log_probs, times_s = log_probs_of(series).astype(np.float64), series.times_s
    scores = np.log(np.exp(log_probs) + FLOOR) - _LOG_PRIORS
    scores = (scores - scores[..., [Emotion.NEUTRAL]])[..., : Emotion.NEUTRAL]
    emotion = np.where(np.isnan(scores).any(axis=(1, 2)), -1, labels(truth, times_s))
    rest = emotion == Emotion.NEUTRAL
    if rest.sum() < _LEAST_RESTING:
        return []
    silent = series.talking is None or "talking" in without
    talking = np.zeros(len(times_s)) if silent else np.asarray(series.talking, np.float64)
    rows: list[_Rows] = []
    for shown in np.unique(emotion[emotion >= 0]):
        at = np.flatnonzero(emotion == shown)
        seconds = len(at) * float(np.median(np.diff(times_s)))
        at = at[::_EVERY]
        own = np.median(scores[rest], axis=0)
        rows.append(
            (
                scores[at],
                np.repeat(own[None], len(at), axis=0),
                talking[at],
                np.full(len(at), shown, np.intp),
                np.full(len(at), min(seconds, _LONGEST_S) / len(at)),
            )
        )
    return rows


def labels(truth: Truth, times_s: NDArray[np.float64]) -> NDArray[np.intp]:
    """The emotion of each frame, -1 where it is not known or not plain yet; shape ``(n,)``."""
    found = np.full(len(times_s), -1, np.intp)
    begins = [0.0, *(change.at_s + _AFTER_ONSET_S for change in truth.changes)]
    ends = [*(change.at_s - _BEFORE_CHANGE_S for change in truth.changes), truth.duration_s + 1]
    shown = [truth.start, *(change.after for change in truth.changes)]
    for begin_s, end_s, emotion in zip(begins, ends, shown, strict=True):
        found[(times_s >= begin_s) & (times_s < end_s)] = emotion
    for begin_s, end_s in truth.may:
        found[(times_s > begin_s - _BEFORE_CHANGE_S) & (times_s < end_s + _BEFORE_CHANGE_S)] = -1
    return found


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(v), 4) for v in values)
