"""What every member, converted and float, predicts on a split, and what is fitted to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import log_softmax

from convert.datasets import seven
from edge.classifier.pool import LogLinearPool
from emoshift.emotions import Emotion
from train.evaluation.metrics import fit_temperature, fit_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from convert.datasets import ChannelSequences, SplitImages
    from convert.member import ConvertedMember
    from edge.classifier.member import Network

STILL_STEPS: Final = 12
"""A single image is shown to a recurrent member for this many steps."""
BATCH: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MemberPredictions:
    """One network on one split, with temperature 1.

    Attributes:
        rows: Positions among the split's images it answered, ``(m,)``.
        log_probs: ``(m, len(Emotion))``, float32.
        views: Logits ``(m, labels)`` of image members, with contempt: from one view, and from
            two (the mirror image beside it); empty for recurrent ones.
        second: Log-probabilities ``(m, len(Emotion))`` of a second head; ``None`` without one.
    """

    rows: NDArray[np.intp]
    log_probs: NDArray[np.float32]
    views: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)
    second: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitPredictions:
    """All members on one split.

    Attributes:
        images: The split.
        labels: As numbers of `Emotion`, -1 where unknown or contempt, ``(n,)``.
        converted, reference: By the member's name.
    """

    images: SplitImages
    labels: NDArray[np.int8]
    converted: Mapping[str, MemberPredictions]
    reference: Mapping[str, MemberPredictions]


def predict_all(
    members: Sequence[ConvertedMember],
    images: SplitImages,
    stills: Mapping[str, tuple[NDArray[np.intp], NDArray[np.float32]]],
) -> SplitPredictions:
    """Return what every member predicts on a split.

    Args:
        members: The members.
        images: The split.
        stills: For each recurrent member the FER2013 rows and channels of single images.
    """
    converted: dict[str, MemberPredictions] = {}
    reference: dict[str, MemberPredictions] = {}
    for built in members:
        name = built.member.name
        for found, network in zip((converted, reference), built.networks(), strict=True):
            if built.member.kind == "lstm":
                found[name] = _predict_stills(network, images, *stills[name])
            else:
                found[name] = _predict_images(network, images)
    return SplitPredictions(
        images=images,
        labels=seven(images.labels),
        converted=converted,
        reference=reference,
    )


def stills_of(
    sequences: Mapping[str, ChannelSequences], *, report: bool
) -> dict[str, tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Return the single images of the held-out or of the report split."""
    return {
        name: (s.report_rows, s.report) if report else (s.still_rows, s.stills)
        for name, s in sequences.items()
    }


def fit(members: Sequence[ConvertedMember], predictions: SplitPredictions) -> list[ConvertedMember]:
    """Fit each member's temperature, then the weights of the pool, to held-out labels.

    The temperature is fitted on the images that a member answers, the weights on those that all
    prediction. A single member keeps weight 1.
    """
    fitted: list[ConvertedMember] = []
    calibrated: list[MemberPredictions] = []
    for built in members:
        prediction = predictions.converted[built.member.name]
        known = predictions.labels[prediction.rows] >= 0
        labels = predictions.labels[prediction.rows][known]
        temperature = fit_temperature(prediction.log_probs[known], labels)
        second = _fit_second(prediction, predictions.images.fer2013)
        fitted.append(built.fitted(temperature=temperature, weight=1.0, fer2013_temperature=second))
        calibrated.append(_at(prediction, temperature))
    if len(members) == 1:
        return fitted
    shared = predictions.labels >= 0
    for prediction in calibrated:
        heard = np.zeros_like(shared)
        heard[prediction.rows] = True
        shared &= heard
    pool = [_on(prediction, np.flatnonzero(shared)) for prediction in calibrated]
    weights = fit_weights(pool, predictions.labels[shared])
    return [
        built.fitted(
            temperature=built.member.temperature,
            weight=weight,
            fer2013_temperature=built.member.fer2013_temperature,
        )
        for built, weight in zip(fitted, weights, strict=True)
    ]


def fuse(
    members: Sequence[ConvertedMember], predictions: Mapping[str, MemberPredictions], images: int
) -> NDArray[np.float32]:
    """Return the ensemble's probabilities, ``(images, len(Emotion))``, as the device fuses."""
    votes = LogLinearPool(images)
    for built in members:
        prediction = _at(predictions[built.member.name], built.member.temperature)
        heard: list[NDArray[np.float32] | None] = [None] * images
        for row, log_probs in zip(prediction.rows, prediction.log_probs, strict=True):
            heard[int(row)] = log_probs
        votes.add(built.member.weight, heard)
    return votes.probs(complete=len(members))


def probabilities(prediction: MemberPredictions, temperature: float) -> NDArray[np.float32]:
    """Return calibrated probabilities, ``(m, len(Emotion))``."""
    return np.asarray(np.exp(_at(prediction, temperature).log_probs), np.float32)


def run_sequence(network: Network, channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Step sequences through a recurrent member, as the device does.

    Args:
        network: The member.
        channels: Shape ``(n, steps, channels)``.

    Returns:
        Log-probabilities ``(n, steps, len(Emotion))``.
    """
    h, c = (np.repeat(state[None], len(channels), axis=0) for state in network.zero_state())
    out = np.empty((*channels.shape[:2], len(Emotion)), np.float32)
    for step in range(channels.shape[1]):
        out[:, step], h, c = network.step(channels[:, step], h, c)
    return out


def _predict_images(network: Network, images: SplitImages) -> MemberPredictions:
    n = len(images.crops)
    views: dict[int, NDArray[np.float32]] = {}
    own, second = 2 if network.member.mirrored else 1, None
    for count, mirror in ((1, False), (2, True)):
        starts = range(0, n, BATCH)
        batches = [
            network.logits(images.crops[start : start + BATCH], mirror=mirror) for start in starts
        ]
        views[count] = np.concatenate([batch["logits"] for batch in batches])
        if network.has_second_head and count == own:
            labels = np.concatenate([batch["fer2013"] for batch in batches])
            second = network.fer2013_log_probs(labels)
    return MemberPredictions(
        rows=np.arange(n, dtype=np.intp),
        log_probs=network.log_probs(views[own]),
        views=views,
        second=second,
    )


def _predict_stills(
    network: Network,
    images: SplitImages,
    rows: NDArray[np.intp],
    channels: NDArray[np.float32],
) -> MemberPredictions:
    place = {int(row): position for position, row in enumerate(images.rows)}
    kept = np.array([int(row) in place for row in rows], np.bool_)
    shown = np.repeat(channels[kept][:, None], STILL_STEPS, axis=1)
    return MemberPredictions(
        rows=np.array([place[int(row)] for row in rows[kept]], np.intp),
        log_probs=run_sequence(network, shown)[:, -1],
    )


def _fit_second(prediction: MemberPredictions, labels: NDArray[np.int8]) -> float | None:
    """Fit the temperature of a second head to the labels it learnt."""
    if prediction.second is None:
        return None
    return fit_temperature(prediction.second, labels[prediction.rows])


def second_probabilities(log_probs: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return a second head's probabilities, ``(m, len(Emotion))``."""
    return np.asarray(np.exp(at_temperature(log_probs, temperature)), np.float32)


def _at(prediction: MemberPredictions, temperature: float) -> MemberPredictions:
    return replace(prediction, log_probs=at_temperature(prediction.log_probs, temperature))


def at_temperature(log_probs: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return log-probabilities of the same shape, at another temperature."""
    return np.asarray(log_softmax(log_probs / np.float32(temperature), axis=1), np.float32)


def _on(prediction: MemberPredictions, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    order = np.argsort(prediction.rows)
    return prediction.log_probs[order[np.searchsorted(prediction.rows[order], rows)]]
