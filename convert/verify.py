"""The gate: whether the converted ensemble still says what its float original says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy.special import log_softmax

from convert.inspect import look_inside
from convert.model_card import ACCURACY_LOST
from convert.predictions import (
    at_temperature,
    fuse,
    probabilities,
    run_sequence,
    second_probabilities,
)
from edge.bundle.manifest import GateResult, Metric
from train.evaluation.metrics import accuracy, ece, macro_recall, nll

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from convert.datasets import ChannelSequences
    from convert.member import ConvertedMember
    from convert.predictions import MemberPredictions, SplitPredictions
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


def verify_members(
    members: Sequence[ConvertedMember],
    predictions: SplitPredictions,
    sequences: Mapping[str, ChannelSequences],
    gate: Gate,
) -> list[GateResult]:
    """Compare converted and float networks on held-out data, member by member and fused."""
    report: list[GateResult] = []
    for built in members:
        name = built.member.name
        one, other = predictions.converted[name], predictions.reference[name]
        report += _compare(
            _Check(member=name, n=len(one.rows), data=f"FER2013 {predictions.images.split}"),
            probabilities(one, built.member.temperature),
            probabilities(other, built.member.temperature),
            predictions.labels[one.rows],
            gate,
        )
        if one.second is not None and other.second is not None:
            temperature = built.member.fer2013_temperature or 1.0
            report += _compare(
                _Check(
                    member=name,
                    n=len(one.rows),
                    data=f"FER2013 {predictions.images.split}, second head, labels of FER2013",
                ),
                second_probabilities(one.second, temperature),
                second_probabilities(other.second, temperature),
                predictions.images.fer2013[one.rows],
                gate,
            )
        if built.member.kind == "cnn":
            views = 2 if built.member.mirrored else 1
            report.append(_eight(name, one.views[views], other.views[views], predictions, gate))
        if built.member.kind == "lstm":
            report += _over_time(built, sequences[name], gate)
        if built.member.quantisation == "int8":
            share = look_inside(built.content).delegated
            check = _Check(member=name, n=1, data="the converted file")
            report.append(check.line("operators on XNNPACK", share, gate.delegated, "least"))
    n = len(predictions.labels)
    report += _compare(
        _Check(member=ENSEMBLE, n=n, data=f"FER2013 {predictions.images.split}"),
        fuse(members, predictions.converted, n),
        fuse(members, predictions.reference, n),
        predictions.labels,
        gate,
    )
    check = _Check(member=ENSEMBLE, n=len(members), data="the converted files")
    total = sum(len(built.content) for built in members)
    report.append(check.line("bytes", total, gate.most_bytes, "most"))
    return report


def measure(built: ConvertedMember, predictions: SplitPredictions) -> tuple[Metric, ...]:
    """Return a member's figures on a split, with all that makes them comparable."""
    name, member = built.member.name, built.member
    out: list[Metric] = []
    for precision, found in (
        (member.quantisation, predictions.converted[name]),
        ("float32", predictions.reference[name]),
    ):
        about = {
            "data": f"FER2013 {predictions.images.split}",
            "precision": precision,
            "views": 2 if member.mirrored else 1,
        }
        known = predictions.images.labels >= 0
        for views, logits in found.views.items():
            value = accuracy(logits[known], predictions.images.labels[known])
            fields = {**about, "views": views}
            out.append(_metric("FER+8 accuracy", value, int(known.sum()), MAJORITY, fields))
        probs = probabilities(found, member.temperature)
        out += _seven(probs, predictions.labels[found.rows], about)
        if found.second is not None:
            second = second_probabilities(found.second, member.fer2013_temperature or 1.0)
            labels = predictions.images.fer2013[found.rows]
            value = accuracy(second, labels)
            out.append(
                _metric("FER2013-7 accuracy", value, len(labels), "labels of FER2013", about)
            )
    return tuple(out)


def measure_ensemble(
    members: Sequence[ConvertedMember], predictions: SplitPredictions
) -> tuple[Metric, ...]:
    """Return the ensemble's figures: on all images, and on those every member answers."""
    n = len(predictions.labels)
    everywhere = np.ones(n, np.bool_)
    for built in members:
        heard = np.zeros(n, np.bool_)
        heard[predictions.converted[built.member.name].rows] = True
        everywhere &= heard
    out: list[Metric] = []
    for precision, found in (
        (members[0].member.quantisation, predictions.converted),
        ("float32", predictions.reference),
    ):
        probs = fuse(members, found, n)
        for which, where in (("", np.ones(n, np.bool_)), (" with landmarks", everywhere)):
            if which and everywhere.all():
                continue
            about = {"data": f"FER2013 {predictions.images.split}{which}", "precision": precision}
            out += _seven(probs[where], predictions.labels[where], about)
        out += _image_members(members, found, predictions, precision)
    return tuple(out)


def _image_members(
    members: Sequence[ConvertedMember],
    found: Mapping[str, MemberPredictions],
    predictions: SplitPredictions,
    precision: str,
) -> list[Metric]:
    """Return the figures of the image members together, by which others' networks are compared.

    Both heads, each with the views, temperatures and weights of the bundle.
    """
    image_members = [built.member for built in members if built.member.kind == "cnn"]
    about = {
        "data": f"FER2013 {predictions.images.split}",
        "precision": precision,
        "views": sum(2 if member.mirrored else 1 for member in image_members),
    }
    alone = ", image members alone"
    logits = _total(
        member.weight
        * log_softmax(
            found[member.name].views[2 if member.mirrored else 1] / member.temperature, axis=1
        )
        for member in image_members
    )
    labels = predictions.images.labels
    known = labels >= 0
    out = [
        _metric(
            "FER+8 accuracy",
            accuracy(logits[known], labels[known]),
            int(known.sum()),
            MAJORITY + alone,
            about,
        )
    ]
    seconds = [
        (member, second)
        for member in image_members
        if (second := found[member.name].second) is not None
    ]
    if len(seconds) == len(image_members):
        second = _total(
            member.weight * at_temperature(log_probs, member.fer2013_temperature or 1.0)
            for member, log_probs in seconds
        )
        value = accuracy(second, predictions.images.fer2013)
        protocol = "labels of FER2013" + alone
        n = len(predictions.images.fer2013)
        out.append(_metric("FER2013-7 accuracy", value, n, protocol, about))
    return out


def _total(shares: Iterable[NDArray[np.floating]]) -> NDArray[np.floating]:
    return np.asarray(np.sum(list(shares), axis=0), np.float32)


def _seven(
    probs: NDArray[np.float32], labels: NDArray[np.int8], about: Mapping[str, object]
) -> list[Metric]:
    known = labels >= 0
    probs, labels, n = probs[known], labels[known], int(known.sum())
    return [
        _metric("accuracy", accuracy(probs, labels), n, SEVEN, about),
        _metric("macro recall", macro_recall(probs, labels), n, SEVEN, about),
        _metric("ECE", ece(probs, labels), n, SEVEN, about),
        _metric("NLL", nll(probs, labels), n, SEVEN, about),
    ]


def _metric(name: str, value: float, n: int, protocol: str, about: Mapping[str, object]) -> Metric:
    fields = {"name": name, "value": round(value, 5), "n": n, "protocol": protocol, **about}
    return Metric.model_validate(fields)


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
    predictions: SplitPredictions,
    gate: Gate,
) -> GateResult:
    labels = predictions.images.labels
    known = labels >= 0
    lost = accuracy(wanted[known], labels[known]) - accuracy(found[known], labels[known])
    data = f"FER2013 {predictions.images.split}"
    check = _Check(member=name, n=int(known.sum()), data=data)
    return check.line(ACCURACY_LOST, lost, gate.accuracy_lost, "most")


def _over_time(built: ConvertedMember, sequences: ChannelSequences, gate: Gate) -> list[GateResult]:
    """Compare over hundreds of steps, where rounding of the state could add up."""
    channels = long_sequences(sequences.held_out)
    found, wanted = (run_sequence(network, channels) for network in built.networks())
    count, steps = channels.shape[:2]
    check = _Check(
        member=built.member.name,
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
