"""Nets together: a weighted mean of their log-probabilities, as the device adds them up."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from emoshift.errors import InputError
from train.evaluation.metrics import fit_weights
from train.experiments.answers import Answers, answers_of
from train.experiments.figures import figures, near_training
from train.experiments.paired import paired_difference
from train.experiments.score import softmax

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def weigh(
    nets: Sequence[Path],
    *,
    split: str,
    mirrored: bool,
    mirror: Sequence[Path] = (),
    classes: tuple[str, ...],
    data: Path,
    cache: Path,
    output: Path | None = None,
) -> list[str]:
    """Fit the weights on PublicTest and score the ensemble on ``split``, beside its members.

    Args:
        nets: Two or more, of any kind; only pictures that all of them answer count.
        split: Scored; the weights come from PublicTest alone.
        mirrored: Both mirror views of every picture.
        mirror: The nets among ``nets`` that get both views where the others get one.
        classes: Merged into these, as in `train.data.sampling.Selection`; empty leaves them.
        data: Folder that holds ``fer2013/``.
        cache: What is kept.
        output: JSON file to write the weights to.

    Raises:
        InputError: Fewer than two nets, none that answer the same question, or a net to be
            mirrored that is not among them.
    """
    if len(nets) < 2:
        raise InputError(f"found {len(nets)} net, expected two or more for an ensemble")

    if strangers := [str(net) for net in mirror if net not in nets]:
        raise InputError(f"{', '.join(strangers)}: to be mirrored, but not among the nets")

    def ask(which: str) -> list[tuple[Answers, ...]]:
        told = [
            answers_of(net, split=which, mirrored=mirrored or net in mirror, data=data, cache=cache)
            for net in nets
        ]
        return [tuple(a.merged(classes) for a in one) if classes else one for one in told]

    fitted, asked = ask("PublicTest"), ask(split)
    lines: list[str] = []
    kept: dict[str, dict[str, float]] = {}
    for label_set in dict.fromkeys(answers.label_set for answers in fitted[0]):
        members, judged = _same(fitted, label_set), _same(asked, label_set)
        if len(members) < len(nets):
            continue
        weights = fit_weights([_log(member) for member in members], members[0].truth)
        names = [member.name for member in members]
        kept[label_set] = dict(zip(names, weights, strict=True))
        near = near_training(split, data, cache)
        for one in (*judged, pooled(judged, weights)):
            lines.extend(figures(one, near))
        each = ", ".join(f"{name} {weight:.3f}" for name, weight in kept[label_set].items())
        lines.append(f"weights fitted on PublicTest (n = {len(members[0].rows)}): {each}")
        lines.extend(_worth(members, judged, weights))
    if not kept:
        raise InputError("the nets answer in different label sets or classes; see --classes")
    if output is not None:
        told = {
            "split": "PublicTest",
            "mirrored": mirrored,
            "mirror": [str(net) for net in mirror],
            "classes": classes,
            "weights": kept,
        }
        output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    views = "both mirror views" if mirrored else "one view"
    views += "".join(f", both of {net.name}" for net in mirror)
    return [f"on {split}, {views}", *lines]


def _worth(
    fitted: Sequence[Answers], judged: Sequence[Answers], weights: Sequence[float]
) -> list[str]:
    """Tell what each member adds to the others, whose weights are fitted anew without it."""
    truth = judged[0].truth
    together = pooled(judged, weights).probs.argmax(axis=1) == truth
    lines: list[str] = []
    for out, member in enumerate(judged):
        rest = [i for i in range(len(judged)) if i != out]
        anew = fit_weights([_log(fitted[i]) for i in rest], fitted[0].truth)
        without = pooled([judged[i] for i in rest], anew).probs.argmax(axis=1) == truth
        lines.append(f"{member.name} adds {paired_difference(together, without)}")
    return lines


def pooled(members: Sequence[Answers], weights: Sequence[float]) -> Answers:
    """Add up the log-probabilities of members that answer the same rows in the same classes."""
    total = sum(w * _log(one) for w, one in zip(weights, members, strict=True))
    return replace(members[0], name="ensemble", probs=softmax(np.asarray(total)))


def _log(answers: Answers) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(answers.probs, 1e-7)), np.float64)


def _same(asked: Sequence[tuple[Answers, ...]], label_set: str) -> list[Answers]:
    """Return each net's answers under one label set, cut to the rows that all of them answer."""
    found = [a for one in asked for a in one if a.label_set == label_set]
    found = [a for a in found if a.classes == found[0].classes]
    if not found:
        return []
    shared = reduce(np.intersect1d, [a.rows for a in found])
    return [a.only(np.isin(a.rows, shared)) for a in found]
