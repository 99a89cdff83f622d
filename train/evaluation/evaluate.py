"""Score a saved picture net on a held-out split, each figure with its n and protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from train.data.ferplus import EMOTIONS, LABELS
from train.data.images import read_pictures
from train.evaluation.predictions import logits, open_scorer
from train.evaluation.reports import write_report
from train.evaluation.zero_shot import CKPLUS48, evaluate_ckplus48
from train.experiments.answers import answers_of
from train.experiments.calibration import calibration_error, fit_temperature
from train.experiments.classes import read_net_card
from train.experiments.figures import figures, near_training
from train.experiments.score import (
    accuracy,
    macro_f1,
    macro_recall,
    softmax,
    vote_loss,
    without_contempt,
    without_prior,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.images import Pictures


def evaluate_any(
    net: Path,
    *,
    split: str,
    mirrored: bool,
    classes: tuple[str, ...],
    data: Path,
    cache: Path,
    taus: Sequence[float] = (),
    logits_path: Path | None = None,
    report_folder: Path | None = None,
) -> list[str]:
    """Score a net of any kind; in ``classes`` where they are given, in its own where not."""
    if split == CKPLUS48:
        return evaluate_ckplus48(net, mirrored=mirrored, taus=taus, data=data, cache=cache)
    one_head = read_net_card(net) is not None
    if not one_head and not classes:
        if net.suffix == ".keras" and net.with_suffix(".json").exists():
            from train.experiments.evaluate_recurrent import (
                evaluate_recurrent,
            )

            return evaluate_recurrent(
                net, split=split, data=data, cache=cache, logits_path=logits_path
            )
        return evaluate_net(
            net,
            split=split,
            mirrored=mirrored,
            data=data,
            cache=cache,
            taus=taus,
            logits_path=logits_path,
            report_folder=report_folder,
        )
    lines = [f"{net.name} on {split}, {'both mirror views' if mirrored else 'one view'}"]
    near = near_training(split, data, cache)
    for answers in answers_of(net, split=split, mirrored=mirrored, data=data, cache=cache):
        told = answers.merged(classes) if classes else answers
        lines.extend(figures(told, near))
        if logits_path is not None:
            logits_path.parent.mkdir(parents=True, exist_ok=True)
            with logits_path.open("wb") as stream:
                log = np.log(np.maximum(told.probs, 1e-12)).astype(np.float32)
                np.savez(stream, allow_pickle=False, rows=told.rows, **{told.label_set: log})
        if report_folder is not None:
            write_report(report_folder / told.label_set, told.probs, told.truth, told.classes)
    return lines


def evaluate_net(
    net: Path,
    *,
    split: str,
    mirrored: bool,
    data: Path,
    cache: Path,
    taus: Sequence[float] = (),
    logits_path: Path | None = None,
    report_folder: Path | None = None,
) -> list[str]:
    """Return one line for each figure; keep logits and a report where asked.

    For each of ``taus`` the figures follow that the net has once its probabilities are divided by
    the class shares of Training to that power.
    """
    scorer = open_scorer(net)
    pictures = read_pictures(data, cache, split)
    found = logits(scorer, pictures.crops, mirrored=mirrored)
    if logits_path is not None:
        logits_path.parent.mkdir(parents=True, exist_ok=True)
        with logits_path.open("wb") as stream:
            np.savez(stream, allow_pickle=False, rows=pictures.rows, **found)
    fresh = ~np.isin(pictures.rows, near_training(split, data, cache))
    views = 2 if mirrored else 1
    lines = [f"{net.name} on {split}, {views} view{'s' if mirrored else ''} of 48x48"]
    if "ferplus" in found:
        ferplus = found["ferplus"]
        lines.extend(_ferplus_lines(ferplus, pictures))
        right, n = accuracy(ferplus[fresh], pictures.majority[fresh])
        lines.append(
            f"FER+8 accuracy {right:.2%} (n = {n}, majority rule,"
            f" without the {int((~fresh).sum())} near-duplicates of training pictures)"
        )
        temperature = fit_temperature(ferplus, pictures.votes, pictures.trust)
        asked = pictures.trust > 0
        for name, t in (("as they are", 1.0), (f"temperature {temperature:.3f}", temperature)):
            error = calibration_error(ferplus[asked] / t, pictures.votes[asked])
            loss = vote_loss(ferplus / t, pictures.votes, pictures.trust)
            lines.append(f"ECE against votes {error:.4f}, vote loss {loss:.4f}, {name}")
        if report_folder is not None:
            write_report(report_folder, softmax(ferplus), pictures.majority, LABELS)
    if "fer2013" in found:
        right, n = accuracy(found["fer2013"], pictures.labels)
        lines.append(f"FER2013-7 accuracy {right:.2%} (n = {n}, own head)")
        recall = macro_recall(found["fer2013"], pictures.labels)
        lines.append(f"FER2013-7 macro recall {recall:.2%} (n = {n}, own head)")
        right, n = accuracy(found["fer2013"][fresh], pictures.labels[fresh])
        lines.append(f"FER2013-7 accuracy {right:.2%} (n = {n}, without those near-duplicates)")
    if taus:
        shares = read_pictures(data, cache, "Training").class_shares()
        lines.extend(_tau_line(found, pictures, shares, tau) for tau in taus)
    return lines


def _tau_line(
    found: dict[str, NDArray[np.float32]],
    pictures: Pictures,
    shares: dict[str, NDArray[np.float64]],
    tau: float,
) -> str:
    parts: list[str] = []
    for head, name, labels in (
        ("ferplus", "FER+8", pictures.majority),
        ("fer2013", "FER2013-7", pictures.labels),
    ):
        if head not in found:
            continue
        changed = without_prior(found[head], shares[head], tau)
        right, n = accuracy(changed, labels)
        seven, kept = changed[:, : EMOTIONS - 1], without_contempt(labels)
        parts.append(f"{name} accuracy {right:.2%} (n = {n})")
        parts.append(f"macro recall of seven {macro_recall(seven, kept):.2%}")
    return f"divided by class shares to the power {tau:g}: {', '.join(parts)}"


def _ferplus_lines(ferplus: NDArray[np.float32], pictures: Pictures) -> list[str]:
    majority = pictures.majority
    right, n = accuracy(ferplus, majority)
    loosely, many = accuracy(ferplus, pictures.plurality)
    seven, kept = ferplus[:, : EMOTIONS - 1], without_contempt(majority)
    right7, n7 = accuracy(seven, kept)
    return [
        f"FER+8 accuracy {right:.2%} (n = {n}, majority rule)",
        f"FER+8 accuracy {loosely:.2%} (n = {many}, plain arg-max of the votes)",
        f"FER+7 accuracy {right7:.2%} (n = {n7}, majority rule, contempt left out)",
        f"FER+7 macro-F1 {macro_f1(seven, kept):.3f} (n = {n7}, likewise)",
        f"FER+7 macro recall {macro_recall(seven, kept):.2%} (n = {n7}, likewise)",
    ]
