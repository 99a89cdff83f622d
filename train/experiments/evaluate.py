"""Score a saved picture net on a held-out split, each figure with its n and protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from train.data.duplicates import fingerprint, near_duplicates
from train.data.fer2013 import fer2013_source, read_fer2013
from train.data.ferplus import EMOTIONS, LABELS, UNSURE_ROWS, read_votes
from train.experiments.calibration import calibration_error, fit_temperature
from train.experiments.pictures import read_pictures
from train.experiments.report import write_report
from train.experiments.score import accuracy, softmax, vote_loss
from train.experiments.scorer import logits, open_scorer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from train.experiments.pictures import Pictures


def evaluate_net(
    net: Path,
    *,
    split: str,
    mirrored: bool,
    data: Path,
    cache: Path,
    logits_path: Path | None = None,
    report_folder: Path | None = None,
) -> list[str]:
    """Return one line for each figure; keep logits and a report where asked."""
    scorer = open_scorer(net)
    pictures = read_pictures(data, cache, split)
    found = logits(scorer, pictures.crops, mirrored=mirrored)
    if logits_path is not None:
        logits_path.parent.mkdir(parents=True, exist_ok=True)
        with logits_path.open("wb") as stream:
            np.savez(stream, allow_pickle=False, rows=pictures.rows, **found)
    fresh = ~_near_training(pictures, split, data, cache)
    views = 2 if mirrored else 1
    lines = [f"{net.name} on {split}, {views} view{'s' if mirrored else ''} of 48x48"]
    if "ferplus" in found:
        ferplus = found["ferplus"]
        lines.extend(_ferplus_lines(ferplus, pictures.majority, data, cache, split))
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
        right, n = accuracy(found["fer2013"][fresh], pictures.labels[fresh])
        lines.append(f"FER2013-7 accuracy {right:.2%} (n = {n}, without those near-duplicates)")
    return lines


def _near_training(pictures: Pictures, split: str, data: Path, cache: Path) -> NDArray[np.bool_]:
    """Say which rows show nearly the same photograph as a training row; kept once found."""
    kept = cache / f"near-training-{split}-{fingerprint(pictures.crops)}.npy"
    if not kept.exists():
        known = read_pictures(data, cache, "Training").crops
        np.save(kept, near_duplicates(pictures.crops, known))
    found: NDArray[np.bool_] = np.load(kept)
    return found


def _ferplus_lines(
    ferplus: NDArray[np.float32],
    majority: NDArray[np.int8],
    data: Path,
    cache: Path,
    split: str,
) -> list[str]:
    right, n = accuracy(ferplus, majority)
    votes = read_votes(data / "fer2013" / "fer2013new.csv")
    plurality = votes.plurality()
    if votes.whole:
        plurality[list(UNSURE_ROWS)] = -1
    rows = read_fer2013(fer2013_source(data), cache).rows(split)
    loosely, many = accuracy(ferplus, plurality[rows])
    seven = ferplus[:, : EMOTIONS - 1]
    kept = np.where(majority == EMOTIONS - 1, -1, majority)
    right7, n7 = accuracy(seven, kept)
    return [
        f"FER+8 accuracy {right:.2%} (n = {n}, majority rule)",
        f"FER+8 accuracy {loosely:.2%} (n = {many}, plain arg-max of the votes)",
        f"FER+7 accuracy {right7:.2%} (n = {n7}, majority rule, contempt left out)",
        f"FER+7 macro-F1 {macro_f1(seven, kept):.3f} (n = {n7}, likewise)",
    ]


def macro_f1(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean F1 over classes; rows labelled -1 are left out."""
    kept = labels >= 0
    guess, truth = logits[kept].argmax(axis=1), labels[kept]
    scores: list[float] = []
    for one in range(logits.shape[1]):
        both = int(((guess == one) & (truth == one)).sum())
        either = int((guess == one).sum() + (truth == one).sum())
        scores.append(2 * both / either if either else 0.0)
    return float(np.mean(scores))
