"""What a net of any kind says of a held-out split, beside the labels."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import keras
import numpy as np

from emoshift.errors import InputError
from train.data.images import read_pictures
from train.data.sampling import grouping
from train.evaluation.predictions import logits, open_scorer
from train.experiments.classes import read_net_card
from train.experiments.fit_classes import predict_classes
from train.experiments.material import KNOWN, read_labelled
from train.experiments.score import softmax

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from train.experiments.class_recipe import LabelSet
    from train.experiments.classes import ClassNet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """Probabilities for the labelled pictures of a split.

    Attributes:
        name: Of the net.
        label_set: ``fer2013`` or ``ferplus`` (majority rule).
        classes: Names.
        rows: In FER2013, ``(n,)``, rising.
        probs: ``(n, classes)``.
        truth: ``(n,)``.
    """

    name: str
    label_set: LabelSet
    classes: tuple[str, ...]
    rows: NDArray[np.intp]
    probs: NDArray[np.float64]
    truth: NDArray[np.int8]

    def only(self, kept: NDArray[np.bool_]) -> Answers:
        """Return some of the rows."""
        return replace(self, rows=self.rows[kept], probs=self.probs[kept], truth=self.truth[kept])

    def merged(self, chosen: Sequence[str]) -> Answers:
        """Return answers in other classes: outputs are added, those left out dropped."""
        groups = grouping(chosen, self.classes)
        into = np.zeros((len(self.classes), len(groups.names)))
        for old, new in enumerate(groups.index):
            if new >= 0:
                into[old, new] = 1.0
        probs = self.probs @ into
        probs /= np.maximum(probs.sum(axis=1, keepdims=True), 1e-12)
        truth = groups.apply(self.truth)
        return replace(self, classes=groups.names, probs=probs, truth=truth).only(truth >= 0)


def answers_of(
    net: Path, *, split: str, mirrored: bool, data: Path, cache: Path
) -> tuple[Answers, ...]:
    """Ask a net, of pictures or of blendshapes; one answer for each of its heads.

    Raises:
        InputError: There is no such net, or what it reads has not been measured.
    """
    card = read_net_card(net)
    if card is not None:
        return (_one_head(net, card, split=split, mirrored=mirrored, data=data, cache=cache),)
    pictures = read_pictures(data, cache, split)
    if net.suffix == ".keras" and net.with_suffix(".json").exists():
        found, rows = _recurrent(net, split, data, cache)
        at = np.isin(pictures.rows, rows)
        heads = {"ferplus": found}
    else:
        heads = logits(open_scorer(net), pictures.crops, mirrored=mirrored)
        at = np.ones(len(pictures.rows), np.bool_)
    truth = {"ferplus": pictures.majority, "fer2013": pictures.labels}
    told: list[Answers] = []
    for head, values in heads.items():
        label_set: LabelSet = "ferplus" if head == "ferplus" else "fer2013"
        one = Answers(
            name=_name(net),
            label_set=label_set,
            classes=KNOWN[label_set],
            rows=pictures.rows[at],
            probs=softmax(values),
            truth=truth[label_set][at],
        )
        told.append(one.only(one.truth >= 0))
    return tuple(told)


def _one_head(
    net: Path, card: ClassNet, *, split: str, mirrored: bool, data: Path, cache: Path
) -> Answers:
    model = keras.saving.load_model(net, compile=False)
    groups = grouping(card.chosen, KNOWN[card.labels])
    asked = read_labelled(data, cache, split, card.labels, groups)
    views: list[NDArray[np.generic]]
    if card.features is None:
        views = [asked.crops, asked.crops[:, :, ::-1]] if mirrored else [asked.crops]
    else:
        from train.features.blendshape_inputs import raw_inputs
        from train.features.faces import found_faces, measured_table

        if card.scaling is None:
            raise InputError(f"{net.with_suffix('.json')}: found features without their scaling")
        table = measured_table(cache)
        asked = found_faces(asked, table)
        views = [
            card.scaling.apply(raw_inputs(table, asked.rows, card.features, mirror=side))
            for side in ([False, True] if mirrored else [False])
        ]
    values = np.mean([predict_classes(model, np.ascontiguousarray(v)) for v in views], axis=0)
    return Answers(
        name=_name(net),
        label_set=card.labels,
        classes=card.classes,
        rows=asked.rows,
        probs=softmax(values),
        truth=asked.labels,
    )


def _recurrent(
    net: Path, split: str, data: Path, cache: Path
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    from edge.bundle.manifest import ChannelTransform
    from train.experiments.recurrent import still_logits
    from train.features.faces import measured_table
    from train.features.single_images import read_stills

    told = json.loads(net.with_suffix(".json").read_text(encoding="utf-8"))
    form = ChannelTransform.model_validate(told["channels"])
    stills = read_stills(measured_table(cache), read_pictures(data, cache, split), form)
    return still_logits(keras.saving.load_model(net, compile=False), stills, form), stills.rows


def _name(net: Path) -> str:
    """Name a net by its file, or by its run where the file is the run's ``net.keras``."""
    return net.parent.name if net.stem == "net" else net.stem
