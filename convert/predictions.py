"""What every member, converted and float, answers on a split, and what is fitted to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from convert.datasets import seven
from edge.classifier.pool import LogLinearPool
from emoshift.emotions import Emotion
from train.evaluation.metrics import fit_temperature, fit_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from convert.datasets import Pictures, Sequences
    from convert.member import Draft
    from edge.classifier.member import Network

STILL_STEPS: Final = 12
"""A single picture is shown to a recurrent member for this many steps."""
BATCH: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """One network on one split, with temperature 1.

    Attributes:
        rows: Positions among the split's pictures it answered, ``(m,)``.
        log_probs: ``(m, len(Emotion))``, float32.
        views: Logits ``(m, labels)`` of picture members, with contempt: from one view, and from
            two (the mirror image beside it); empty for recurrent ones.
        second: Log-probabilities ``(m, len(Emotion))`` of a second head; ``None`` without one.
    """

    rows: NDArray[np.intp]
    log_probs: NDArray[np.float32]
    views: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)
    second: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """All members on one split.

    Attributes:
        pictures: The split.
        labels: As numbers of `Emotion`, -1 where unknown or contempt, ``(n,)``.
        converted, reference: By the member's name.
    """

    pictures: Pictures
    labels: NDArray[np.int8]
    converted: Mapping[str, Answer]
    reference: Mapping[str, Answer]


def ask(
    drafts: Sequence[Draft],
    pictures: Pictures,
    stills: Mapping[str, tuple[NDArray[np.intp], NDArray[np.float32]]],
) -> Answers:
    """Let every member answer a split.

    Args:
        drafts: The members.
        pictures: The split.
        stills: For each recurrent member the FER2013 rows and channels of single pictures.
    """
    converted: dict[str, Answer] = {}
    reference: dict[str, Answer] = {}
    for draft in drafts:
        name = draft.member.name
        for found, network in zip((converted, reference), draft.networks(), strict=True):
            if draft.member.kind == "lstm":
                found[name] = _of_stills(network, pictures, *stills[name])
            else:
                found[name] = _of_pictures(network, pictures)
    return Answers(
        pictures=pictures,
        labels=seven(pictures.labels),
        converted=converted,
        reference=reference,
    )


def stills_of(
    sequences: Mapping[str, Sequences], *, report: bool
) -> dict[str, tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Return the single pictures of the held-out or of the report split."""
    return {
        name: (s.report_rows, s.report) if report else (s.still_rows, s.stills)
        for name, s in sequences.items()
    }


def fit(drafts: Sequence[Draft], answers: Answers) -> list[Draft]:
    """Fit each member's temperature, then the weights of the pool, to held-out labels.

    The temperature is fitted on the pictures a member answers, the weights on those that all
    answer. A single member keeps weight 1.
    """
    fitted: list[Draft] = []
    calibrated: list[Answer] = []
    for draft in drafts:
        answer = answers.converted[draft.member.name]
        known = answers.labels[answer.rows] >= 0
        labels = answers.labels[answer.rows][known]
        temperature = fit_temperature(answer.log_probs[known], labels)
        second = _fit_second(answer, answers.pictures.fer2013)
        fitted.append(draft.fitted(temperature=temperature, weight=1.0, fer2013_temperature=second))
        calibrated.append(_at(answer, temperature))
    if len(drafts) == 1:
        return fitted
    shared = answers.labels >= 0
    for answer in calibrated:
        heard = np.zeros_like(shared)
        heard[answer.rows] = True
        shared &= heard
    pool = [_on(answer, np.flatnonzero(shared)) for answer in calibrated]
    weights = fit_weights(pool, answers.labels[shared])
    return [
        draft.fitted(
            temperature=draft.member.temperature,
            weight=weight,
            fer2013_temperature=draft.member.fer2013_temperature,
        )
        for draft, weight in zip(fitted, weights, strict=True)
    ]


def fuse(
    drafts: Sequence[Draft], answers: Mapping[str, Answer], pictures: int
) -> NDArray[np.float32]:
    """Return the ensemble's probabilities, ``(pictures, len(Emotion))``, as the device fuses."""
    votes = LogLinearPool(pictures)
    for draft in drafts:
        answer = _at(answers[draft.member.name], draft.member.temperature)
        heard: list[NDArray[np.float32] | None] = [None] * pictures
        for row, log_probs in zip(answer.rows, answer.log_probs, strict=True):
            heard[int(row)] = log_probs
        votes.add(draft.member.weight, heard)
    return votes.probs(complete=len(drafts))


def probabilities(answer: Answer, temperature: float) -> NDArray[np.float32]:
    """Return an answer's probabilities, ``(m, len(Emotion))``."""
    return np.asarray(np.exp(_at(answer, temperature).log_probs), np.float32)


def walk_network(network: Network, channels: NDArray[np.float32]) -> NDArray[np.float32]:
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


def _of_pictures(network: Network, pictures: Pictures) -> Answer:
    n = len(pictures.crops)
    views: dict[int, NDArray[np.float32]] = {}
    own, second = 2 if network.member.mirrored else 1, None
    for count, mirror in ((1, False), (2, True)):
        starts = range(0, n, BATCH)
        batches = [
            network.logits(pictures.crops[start : start + BATCH], mirror=mirror) for start in starts
        ]
        views[count] = np.concatenate([batch["logits"] for batch in batches])
        if network.has_second_head and count == own:
            labels = np.concatenate([batch["fer2013"] for batch in batches])
            second = network.fer2013_log_probs(labels)
    return Answer(
        rows=np.arange(n, dtype=np.intp),
        log_probs=network.log_probs(views[own]),
        views=views,
        second=second,
    )


def _of_stills(
    network: Network,
    pictures: Pictures,
    rows: NDArray[np.intp],
    channels: NDArray[np.float32],
) -> Answer:
    place = {int(row): position for position, row in enumerate(pictures.rows)}
    kept = np.array([int(row) in place for row in rows], np.bool_)
    shown = np.repeat(channels[kept][:, None], STILL_STEPS, axis=1)
    return Answer(
        rows=np.array([place[int(row)] for row in rows[kept]], np.intp),
        log_probs=walk_network(network, shown)[:, -1],
    )


def _fit_second(answer: Answer, labels: NDArray[np.int8]) -> float | None:
    """Fit the temperature of a second head to the labels it learnt."""
    if answer.second is None:
        return None
    return fit_temperature(answer.second, labels[answer.rows])


def second_probabilities(log_probs: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return a second head's probabilities, ``(m, len(Emotion))``."""
    return np.asarray(np.exp(_scaled(log_probs, temperature)), np.float32)


def _at(answer: Answer, temperature: float) -> Answer:
    return replace(answer, log_probs=_scaled(answer.log_probs, temperature))


def _scaled(log_probs: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    scaled = log_probs / np.float32(temperature)
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)), np.float32)


def _on(answer: Answer, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    order = np.argsort(answer.rows)
    return answer.log_probs[order[np.searchsorted(answer.rows[order], rows)]]
