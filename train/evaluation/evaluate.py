"""Score a saved network on a held-out split, each figure with its n, label set and protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from emoshift.errors import UsageError
from train.data.fer2013 import csv_in, read_fer2013
from train.data.ferplus import EMOTIONS, LABELS
from train.data.images import read_images, require_rows
from train.data.near_duplicates import fingerprint, near_duplicates
from train.evaluation.metrics import (
    accuracy,
    ece,
    fit_temperature,
    labelled,
    macro_f1,
    macro_recall,
    nll,
    recalls,
    softmax,
    vote_loss,
    without_contempt,
    without_prior,
)
from train.evaluation.predictions import image_logits, predict_split, still_logits
from train.evaluation.reports import write_report
from train.evaluation.zero_shot import CKPLUS48, evaluate_ckplus48
from train.saved_net import load_model, open_scorer, read_channel_transform, read_net_card, views_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.bundle.manifest import ChannelTransform
    from train.data.images import Images
    from train.evaluation.predictions import Predictions

LABEL_SETS: Final = {"fer2013": "FER2013 labels", "ferplus": "FER+ labels, majority rule"}


def evaluate(
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
    """Score a network of any kind and return one line for each figure.

    Args:
        net: ``.keras`` or ``.tflite`` file, or a Hugging Face classifier.
        split: ``PublicTest``, ``PrivateTest``, or ``CK+48``, which no network is trained on.
        mirrored: Both mirror views of every image.
        classes: Merged into these; empty for the network's own.
        data: Folder that holds ``fer2013/``.
        cache: Folder of decoded and measured data.
        taus: For each of them, also the figures of a network with two heads once its probabilities
            are divided by the class shares of Training to that power.
        logits_path: Keep the logits in this ``.npz``.
        report_folder: Write a report and plots into it.

    Raises:
        InputError: There is no such network, or what it reads is missing.
        UsageError: Something is asked for that this network or split does not have.
    """
    if split == CKPLUS48:
        _refuse("--split CK+48", classes=classes, logits=logits_path, output=report_folder)
        return evaluate_ckplus48(net, mirrored=mirrored, taus=taus, data=data, cache=cache)
    if classes or read_net_card(net) is not None:
        _refuse("networks in classes of their own, and with --classes", tau=taus)
        return _evaluate_classes(
            net,
            split=split,
            mirrored=mirrored,
            classes=classes,
            data=data,
            cache=cache,
            logits_path=logits_path,
            report_folder=report_folder,
        )
    transform = read_channel_transform(net)
    if transform is not None:
        _refuse("a recurrent network", mirrored=mirrored, tau=taus)
        return _evaluate_recurrent(
            net,
            transform,
            split=split,
            data=data,
            cache=cache,
            logits_path=logits_path,
            report_folder=report_folder,
        )
    return _evaluate_heads(
        net,
        split=split,
        mirrored=mirrored,
        data=data,
        cache=cache,
        taus=taus,
        logits_path=logits_path,
        report_folder=report_folder,
    )


def _refuse(what: str, **given: object) -> None:
    """Raise `UsageError` for an option that would do nothing."""
    if unheard := [name for name, value in given.items() if value]:
        raise UsageError(f"--{unheard[0]}: does nothing for {what}; leave it out")


def near_training(split: str, data: Path, cache: Path) -> NDArray[np.intp]:
    """Return the rows of a split that show nearly a training image; kept once found."""
    images = read_fer2013(csv_in(data / "fer2013"), cache)
    rows = images.rows(split)
    known = images.pixels[images.rows("Training")]
    both = np.concatenate([images.pixels[rows], known])
    kept = cache / f"near-training-{split}-{fingerprint(both)}.npy"
    if not kept.exists():
        np.save(kept, near_duplicates(images.pixels[rows], known))
    return np.asarray(rows[np.load(kept)], np.intp)


def figures(predictions: Predictions, near: NDArray[np.intp]) -> list[str]:
    """Return one line for all images and one without near-duplicates of training images."""
    fresh = predictions.select(~np.isin(predictions.rows, near))
    dropped = len(predictions.rows) - len(fresh.rows)
    about = f"{'/'.join(predictions.classes)}, {LABEL_SETS[predictions.label_set]}"
    return [
        f"{predictions.name}: {_figures(predictions)}, {about}",
        f"{predictions.name}: {_figures(fresh)}, without the {dropped} near-duplicates of training",
    ]


def _figures(predictions: Predictions) -> str:
    probs, truth = predictions.probs, predictions.truth
    return (
        f"accuracy {accuracy(probs, truth):.2%}, macro recall {macro_recall(probs, truth):.2%},"
        f" macro-F1 {macro_f1(probs, truth):.3f}, ECE {ece(probs, truth):.3f},"
        f" loss {nll(probs, truth):.4f} nats"
        f" (n = {len(predictions.rows)})"
    )


def _evaluate_classes(
    net: Path,
    *,
    split: str,
    mirrored: bool,
    classes: tuple[str, ...],
    data: Path,
    cache: Path,
    logits_path: Path | None,
    report_folder: Path | None,
) -> list[str]:
    lines = [f"{net.name} on {split}, {'both mirror views' if mirrored else 'one view'}"]
    near = near_training(split, data, cache)
    heads: list[Predictions] = []
    for own in predict_split(net, split=split, mirrored=mirrored, data=data, cache=cache):
        found = own.merged(classes) if classes else own
        heads.append(found)
        lines.extend(figures(found, near))
        if report_folder is not None:
            write_report(report_folder / found.label_set, found.probs, found.truth, found.classes)
    if logits_path is not None:
        _keep_logits(logits_path, *_on_common_rows(heads))
    return lines


def _on_common_rows(
    heads: Sequence[Predictions],
) -> tuple[NDArray[np.intp], dict[str, NDArray[np.float32]]]:
    """Return the rows that any head has a label for, and each head's log-probabilities on them.

    They are NaN in the rows without a label of the head's own set.
    """
    rows = np.unique(np.concatenate([one.rows for one in heads]))
    logits: dict[str, NDArray[np.float32]] = {}
    for one in heads:
        log = np.full((len(rows), len(one.classes)), np.nan, np.float32)
        log[np.searchsorted(rows, one.rows)] = np.log(np.maximum(one.probs, 1e-12))
        logits[one.label_set] = log
    return rows, logits


def _evaluate_heads(
    net: Path,
    *,
    split: str,
    mirrored: bool,
    data: Path,
    cache: Path,
    taus: Sequence[float],
    logits_path: Path | None,
    report_folder: Path | None,
) -> list[str]:
    scorer = open_scorer(net)  # first, because reading the images takes longer
    require_rows(data, cache, split)
    images = read_images(data, cache, split)
    logits = image_logits(scorer, images.crops, mirrored=mirrored)
    if logits_path is not None:
        _keep_logits(logits_path, images.rows, logits)
    fresh = ~np.isin(images.rows, near_training(split, data, cache))
    lines = [f"{net.name} on {split}, {views_of(net, mirrored=mirrored)} of 48x48"]
    if "ferplus" in logits:
        ferplus = logits["ferplus"]
        seven = ferplus[:, : EMOTIONS - 1]
        no_contempt = without_contempt(images.majority)
        dropped = f"without the {int((~fresh).sum())} near-duplicates of training images"
        seven_f1, n = macro_f1(seven, no_contempt), labelled(no_contempt)
        lines += [
            _accuracy("FER+8", ferplus, images.majority, "majority rule"),
            _accuracy("FER+8", ferplus, images.plurality, "plain arg-max of the votes"),
            _accuracy("FER+7", seven, no_contempt, "majority rule, contempt left out"),
            f"FER+7 macro-F1 {seven_f1:.3f} (n = {n}, likewise)",
            _recall("FER+7", seven, no_contempt, "likewise"),
            _accuracy("FER+8", ferplus[fresh], images.majority[fresh], f"majority rule, {dropped}"),
            *_calibration(ferplus, images.votes, images.vote_weight),
        ]
        if report_folder is not None:
            write_report(report_folder, softmax(ferplus), images.majority, LABELS)
    if "fer2013" in logits:
        own = logits["fer2013"]
        lines += [
            _accuracy("FER2013-7", own, images.labels, "own head"),
            _recall("FER2013-7", own, images.labels, "own head"),
            _accuracy(
                "FER2013-7", own[fresh], images.labels[fresh], "without those near-duplicates"
            ),
        ]
    if taus:
        shares = read_images(data, cache, "Training").class_shares()
        lines += [_tau_line(logits, images, shares, tau) for tau in taus]
    return lines


def _tau_line(
    logits: dict[str, NDArray[np.float32]],
    images: Images,
    shares: dict[str, NDArray[np.float64]],
    tau: float,
) -> str:
    parts: list[str] = []
    for head, name, labels in (
        ("ferplus", "FER+8", images.majority),
        ("fer2013", "FER2013-7", images.labels),
    ):
        if head not in logits:
            continue
        adjusted = without_prior(logits[head], shares[head], tau)
        seven = adjusted[:, : EMOTIONS - 1]
        parts.append(f"{name} accuracy {accuracy(adjusted, labels):.2%} (n = {labelled(labels)})")
        each = recalls(seven, without_contempt(labels))
        words = ", ".join(f"{LABELS[one]} {value:.2f}" for one, value in each.items())
        mean = sum(each.values()) / len(each)
        parts.append(f"macro recall of seven {mean:.2%} ({words})")
    return f"divided by class shares to the power {tau:g}: {', '.join(parts)}"


def _evaluate_recurrent(
    net: Path,
    transform: ChannelTransform,
    *,
    split: str,
    data: Path,
    cache: Path,
    logits_path: Path | None,
    report_folder: Path | None,
) -> list[str]:
    """Show each image for twelve steps to a network that does not know the person."""
    from train.features.faces import measured_table
    from train.features.single_images import read_stills

    require_rows(data, cache, split)
    images = read_images(data, cache, split)
    stills = read_stills(measured_table(data, cache), images, transform)
    logits = still_logits(load_model(net), stills, transform)
    if logits_path is not None:
        _keep_logits(logits_path, stills.rows, {"ferplus": logits})
    if report_folder is not None:
        write_report(report_folder, softmax(logits), stills.majority, LABELS)
    return [
        f"{net.name} on {split}, single images shown for 12 steps, resting face unknown",
        _accuracy("FER+8", logits, stills.majority, "majority rule, face found by MediaPipe"),
        *_calibration(logits, stills.votes, np.ones(len(logits), np.float32)),
    ]


def _accuracy(
    name: str, logits: NDArray[np.floating], labels: NDArray[np.integer], protocol: str
) -> str:
    return f"{name} accuracy {accuracy(logits, labels):.2%} (n = {labelled(labels)}, {protocol})"


def _recall(
    name: str, logits: NDArray[np.floating], labels: NDArray[np.integer], protocol: str
) -> str:
    recall = macro_recall(logits, labels)
    return f"{name} macro recall {recall:.2%} (n = {labelled(labels)}, {protocol})"


def _calibration(
    logits: NDArray[np.floating], votes: NDArray[np.floating], weights: NDArray[np.floating]
) -> list[str]:
    """Return calibration against the votes, as it is and with the best temperature."""
    temperature = fit_temperature(logits, votes, weights)
    seen = weights > 0
    return [
        f"ECE against votes {ece(softmax(logits[seen] / t), votes[seen]):.4f},"
        f" vote loss {vote_loss(logits / t, votes, weights):.4f}, {name}"
        for name, t in (("uncalibrated", 1.0), (f"temperature {temperature:.3f}", temperature))
    ]


def _keep_logits(
    path: Path, rows: NDArray[np.intp], logits: dict[str, NDArray[np.float32]]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, rows=rows, **logits)
