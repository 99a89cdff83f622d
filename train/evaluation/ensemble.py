"""Networks together: a weighted mean of their log-probabilities, as on the device."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from emoshift.errors import InputError
from train.evaluation.evaluate import figures, near_training
from train.evaluation.metrics import fit_weights, paired_difference, softmax
from train.evaluation.predictions import Predictions, predict_split
from train.saved_net import net_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def evaluate_ensemble(
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
        nets: Two or more, of any kind; only images that all of them answer count.
        split: Scored; the weights come from PublicTest alone.
        mirrored: Both mirror views of every image.
        mirror: Those among ``nets`` that get both views where the others get one.
        classes: Merged into these, as in `train.data.sampling.Selection`; empty leaves them.
        data: Folder that holds ``fer2013/``.
        cache: Folder of decoded and measured data.
        output: JSON file to write the weights to.

    Raises:
        InputError: Fewer than two networks, one of them twice, none that answer the same question,
            or one to be mirrored that is not among them.
    """
    if len(nets) < 2:
        raise InputError(f"found {len(nets)} network, expected two or more for an ensemble")
    if strangers := [str(net) for net in mirror if net not in nets]:
        raise InputError(f"{', '.join(strangers)}: to be mirrored, but not among the networks")

    named = net_names(nets)

    def predict_all(which: str) -> list[tuple[Predictions, ...]]:
        found = []
        for net, name in zip(nets, named, strict=True):
            own = predict_split(
                net, split=which, mirrored=mirrored or net in mirror, data=data, cache=cache
            )
            found.append(
                tuple(replace(p.merged(classes) if classes else p, name=name) for p in own)
            )
        return found

    public, scored = predict_all("PublicTest"), predict_all(split)
    lines: list[str] = []
    fitted: dict[str, dict[str, float]] = {}
    for label_set in dict.fromkeys(one.label_set for one in public[0]):
        members, judged = _shared(public, label_set), _shared(scored, label_set)
        if len(members) < len(nets):
            continue
        weights = fit_weights([_log(member) for member in members], members[0].truth)
        names = [member.name for member in members]
        fitted[label_set] = dict(zip(names, weights, strict=True))
        near = near_training(split, data, cache)
        for one in (*judged, pooled(judged, weights)):
            lines.extend(figures(one, near))
        each = ", ".join(f"{name} {weight:.3f}" for name, weight in fitted[label_set].items())
        lines.append(f"weights fitted on PublicTest (n = {len(members[0].rows)}): {each}")
        lines.extend(_gains(members, judged, weights))
    if not fitted:
        raise InputError("the networks answer in different label sets or classes; see --classes")
    if output is not None:
        values = {
            "split": "PublicTest",
            "mirrored": mirrored,
            "mirror": [str(net) for net in mirror],
            "classes": classes,
            "weights": fitted,
        }
        output.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    views = "both mirror views" if mirrored else "one view"
    views += "".join(f", both of {net.name}" for net in mirror)
    return [f"on {split}, {views}", *lines]


def _gains(
    public: Sequence[Predictions], judged: Sequence[Predictions], weights: Sequence[float]
) -> list[str]:
    """Return what each member adds to the others, whose weights are fitted again without it."""
    truth = judged[0].truth
    together = pooled(judged, weights).probs.argmax(axis=1) == truth
    lines: list[str] = []
    for out, member in enumerate(judged):
        rest = [i for i in range(len(judged)) if i != out]
        without_it = fit_weights([_log(public[i]) for i in rest], public[0].truth)
        without = pooled([judged[i] for i in rest], without_it).probs.argmax(axis=1) == truth
        lines.append(f"{member.name} adds {paired_difference(together, without)}")
    return lines


def pooled(members: Sequence[Predictions], weights: Sequence[float]) -> Predictions:
    """Add up the log-probabilities of members that answer the same rows in the same classes."""
    total = sum(w * _log(one) for w, one in zip(weights, members, strict=True))
    return replace(members[0], name="ensemble", probs=softmax(np.asarray(total)))


def _log(predictions: Predictions) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(predictions.probs, 1e-7)), np.float64)


def _shared(predictions: Sequence[tuple[Predictions, ...]], label_set: str) -> list[Predictions]:
    """Return each network's predictions under one label set, for the rows that all answer."""
    found = [p for one in predictions for p in one if p.label_set == label_set]
    found = [p for p in found if p.classes == found[0].classes]
    if not found:
        return []
    rows = reduce(np.intersect1d, [p.rows for p in found])
    return [p.select(np.isin(p.rows, rows)) for p in found]
