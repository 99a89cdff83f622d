"""The gate: whether the converted ensemble still says what its float original says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from convert.inspect import look_inside
from convert.predictions import fuse, probabilities, second_probabilities, walk_network
from edge.bundle.manifest import GateResult, Metric
from train.evaluation.metrics import accuracy, ece, nll

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from convert.datasets import Sequences
    from convert.member import Draft
    from convert.predictions import Answers
    from convert.recipe import Gate

LONG_STEPS: Final = 500
ENSEMBLE: Final = "ensemble"
MAJORITY: Final = "FER+ majority rule"
SEVEN: Final = f"{MAJORITY}, contempt left out, seven emotions"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """Adds one line to the report."""

    member: str
    n: int
    data: str

    def line(
        self, check: str, value: float, limit: float, side: Literal["least", "most"]
    ) -> GateResult:
        value = round(float(value), 6)
        passed = value >= limit if side == "least" else value <= limit
        return GateResult(
            member=self.member,
            check=f"{check}, at {side}",
            value=value,
            limit=limit,
            n=self.n,
            data=self.data,
            passed=passed,
        )


def judge(
    drafts: Sequence[Draft], answers: Answers, sequences: Mapping[str, Sequences], gate: Gate
) -> list[GateResult]:
    """Compare converted and float networks on held-out data, member by member and fused."""
    report: list[GateResult] = []
    for draft in drafts:
        name = draft.member.name
        one, other = answers.converted[name], answers.reference[name]
        report += _compare(
            _Check(member=name, n=len(one.rows), data=f"FER2013 {answers.pictures.split}"),
            probabilities(one, draft.member.temperature),
            probabilities(other, draft.member.temperature),
            answers.labels[one.rows],
            gate,
        )
        if one.second is not None and other.second is not None:
            temperature = draft.member.fer2013_temperature or 1.0
            report += _compare(
                _Check(
                    member=name,
                    n=len(one.rows),
                    data=f"FER2013 {answers.pictures.split}, second head, labels of FER2013",
                ),
                second_probabilities(one.second, temperature),
                second_probabilities(other.second, temperature),
                answers.pictures.fer2013[one.rows],
                gate,
            )
        if draft.member.kind == "cnn":
            views = 2 if draft.member.mirrored else 1
            report.append(_eight(name, one.views[views], other.views[views], answers, gate))
        if draft.member.kind == "lstm":
            report += _over_time(draft, sequences[name], gate)
        if draft.member.quantisation == "int8":
            share = look_inside(draft.content).delegated
            check = _Check(member=name, n=1, data="the converted file")
            report.append(check.line("operators on XNNPACK", share, gate.delegated, "least"))
    n = len(answers.labels)
    report += _compare(
        _Check(member=ENSEMBLE, n=n, data=f"FER2013 {answers.pictures.split}"),
        fuse(drafts, answers.converted, n),
        fuse(drafts, answers.reference, n),
        answers.labels,
        gate,
    )
    check = _Check(member=ENSEMBLE, n=len(drafts), data="the converted files")
    total = sum(len(draft.content) for draft in drafts)
    report.append(check.line("bytes", total, gate.most_bytes, "most"))
    return report


def measure(draft: Draft, answers: Answers) -> tuple[Metric, ...]:
    """Return a member's figures on a split, with all that makes them comparable."""
    name, member = draft.member.name, draft.member
    out: list[Metric] = []
    for precision, found in (
        (member.quantisation, answers.converted[name]),
        ("float32", answers.reference[name]),
    ):
        about = {
            "data": f"FER2013 {answers.pictures.split}",
            "precision": precision,
            "views": 2 if member.mirrored else 1,
        }
        known = answers.pictures.labels >= 0
        for views, logits in found.views.items():
            value = accuracy(logits[known], answers.pictures.labels[known])
            told = {**about, "views": views}
            out.append(_metric("FER+8 accuracy", value, int(known.sum()), MAJORITY, told))
        probs = probabilities(found, member.temperature)
        out += _seven(probs, answers.labels[found.rows], about)
        if found.second is not None:
            second = second_probabilities(found.second, member.fer2013_temperature or 1.0)
            labels = answers.pictures.fer2013[found.rows]
            value = accuracy(second, labels)
            out.append(
                _metric("FER2013-7 accuracy", value, len(labels), "labels of FER2013", about)
            )
    return tuple(out)


def measure_ensemble(drafts: Sequence[Draft], answers: Answers) -> tuple[Metric, ...]:
    """Return the ensemble's figures: on all pictures, and on those every member answers."""
    n = len(answers.labels)
    everywhere = np.ones(n, np.bool_)
    for draft in drafts:
        heard = np.zeros(n, np.bool_)
        heard[answers.converted[draft.member.name].rows] = True
        everywhere &= heard
    out: list[Metric] = []
    for precision, found in (
        (drafts[0].member.quantisation, answers.converted),
        ("float32", answers.reference),
    ):
        probs = fuse(drafts, found, n)
        for which, where in (("", np.ones(n, np.bool_)), (" with landmarks", everywhere)):
            if which and everywhere.all():
                continue
            about = {"data": f"FER2013 {answers.pictures.split}{which}", "precision": precision}
            out += _seven(probs[where], answers.labels[where], about)
    return tuple(out)


def _seven(
    probs: NDArray[np.float32], labels: NDArray[np.int8], about: Mapping[str, object]
) -> list[Metric]:
    known = labels >= 0
    probs, labels, n = probs[known], labels[known], int(known.sum())
    return [
        _metric("accuracy", accuracy(probs, labels), n, SEVEN, about),
        _metric("ECE", ece(probs, labels), n, SEVEN, about),
        _metric("NLL", nll(probs, labels), n, SEVEN, about),
    ]


def _metric(name: str, value: float, n: int, protocol: str, about: Mapping[str, object]) -> Metric:
    told = {"name": name, "value": round(value, 5), "n": n, "protocol": protocol, **about}
    return Metric.model_validate(told)


def _compare(
    check: _Check,
    found: NDArray[np.float32],
    wanted: NDArray[np.float32],
    labels: NDArray[np.int8],
    gate: Gate,
) -> list[GateResult]:
    known = labels >= 0
    same = float((found.argmax(axis=1) == wanted.argmax(axis=1)).mean())
    off = np.abs(found - wanted).max(axis=1)
    lost = accuracy(wanted[known], labels[known]) - accuracy(found[known], labels[known])
    worse = ece(found[known], labels[known]) - ece(wanted[known], labels[known])
    labelled = _Check(member=check.member, n=int(known.sum()), data=check.data)
    return [
        check.line("arg-max agreement", same, gate.agreement, "least"),
        check.line(
            "probability error of 99 in 100", np.percentile(off, 99), gate.usual_error, "most"
        ),
        check.line("largest probability error", off.max(), gate.probability_error, "most"),
        labelled.line("accuracy lost, seven emotions", lost, gate.accuracy_lost, "most"),
        labelled.line("calibration error gained", worse, gate.ece_change, "most"),
    ]


def _eight(
    name: str,
    found: NDArray[np.float32],
    wanted: NDArray[np.float32],
    answers: Answers,
    gate: Gate,
) -> GateResult:
    labels = answers.pictures.labels
    known = labels >= 0
    lost = accuracy(wanted[known], labels[known]) - accuracy(found[known], labels[known])
    data = f"FER2013 {answers.pictures.split}"
    check = _Check(member=name, n=int(known.sum()), data=data)
    return check.line("accuracy lost, FER+8", lost, gate.accuracy_lost, "most")


def _over_time(draft: Draft, sequences: Sequences, gate: Gate) -> list[GateResult]:
    """Compare over hundreds of steps, where rounding of the state could add up."""
    channels = long_sequences(sequences.held_out)
    found, wanted = (walk_network(network, channels) for network in draft.networks())
    count, steps = channels.shape[:2]
    check = _Check(
        member=draft.member.name,
        n=count * steps,
        data=f"{count} held-out sequences of {steps} steps",
    )
    same = found.argmax(axis=-1) == wanted.argmax(axis=-1)
    off = np.abs(np.exp(found) - np.exp(wanted))
    last = max(1, steps // 5)
    drift = float(off[:, -last:].mean() - off[:, :last].mean())
    return [
        check.line("arg-max agreement over time", same.mean(), gate.recurrent_agreement, "least"),
        check.line("largest error over time", off.max(), gate.probability_error, "most"),
        check.line("drift from first to last fifth", drift, gate.drift, "most"),
    ]


def long_sequences(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Join sequences end to end until each is at least `LONG_STEPS` long, and cut them there.

    Where one sequence ends and the next begins the face changes at once, which is harder on the
    state than anything a track shows.
    """
    count, steps, width = channels.shape
    joined = -(-LONG_STEPS // steps)
    whole = count // joined
    if whole == 0:
        return channels
    cut: NDArray[np.float32] = channels[: whole * joined].reshape(whole, joined * steps, width)
    return cut[:, :LONG_STEPS]


def failures(report: Sequence[GateResult]) -> list[str]:
    """Name what did not pass."""
    return [f"{r.member}: {r.check} {r.limit:g}, found {r.value:g}" for r in report if not r.passed]
