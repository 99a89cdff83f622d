"""What a network of any kind predicts for the labelled images of a split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge.features.blendshapes import channels
from emoshift.errors import InputError
from train.data.images import CLASSES_OF, prepared, read_images, read_labelled, require_rows
from train.data.sampling import grouping
from train.evaluation.metrics import softmax
from train.saved_net import (
    load_model,
    net_name,
    open_scorer,
    read_channel_transform,
    read_net_card,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

    from edge.bundle.manifest import ChannelTransform
    from train.data.ferplus import LabelSet
    from train.features.synthetic_sequences import Stills
    from train.saved_net import NetCard, Scorer

STILL_STEPS = 12
"""A single image is shown to a recurrent network for this many steps."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """Probabilities for the labelled images of a split.

    Attributes:
        name: Of the network.
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

    def select(self, chosen: NDArray[np.bool_]) -> Predictions:
        """Return some of the rows."""
        return replace(
            self, rows=self.rows[chosen], probs=self.probs[chosen], truth=self.truth[chosen]
        )

    def merged(self, chosen: Sequence[str]) -> Predictions:
        """Return them in other classes: outputs are added up, those left out dropped."""
        groups = grouping(chosen, self.classes)
        into = np.zeros((len(self.classes), len(groups.names)))
        for old, new in enumerate(groups.index):
            if new >= 0:
                into[old, new] = 1.0
        probs = self.probs @ into
        probs /= np.maximum(probs.sum(axis=1, keepdims=True), 1e-12)
        truth = groups.apply(self.truth)
        return replace(self, classes=groups.names, probs=probs, truth=truth).select(truth >= 0)


def predict_split(
    net: Path, *, split: str, mirrored: bool, data: Path, cache: Path
) -> tuple[Predictions, ...]:
    """Return what a network of images or blendshapes predicts, once for each of its heads.

    Raises:
        InputError: There is no such network or split, or what it reads has not been measured.
    """
    require_rows(data, cache, split)
    card = read_net_card(net)
    if card is not None:
        return (_single_head(net, card, split=split, mirrored=mirrored, data=data, cache=cache),)
    images = read_images(data, cache, split)
    transform = read_channel_transform(net)
    if transform is not None:
        stills = _stills(transform, split=split, data=data, cache=cache)
        answered = np.isin(images.rows, stills.rows)
        heads = {"ferplus": still_logits(load_model(net), stills, transform)}
    else:
        answered = np.ones(len(images.rows), np.bool_)
        heads = image_logits(open_scorer(net), images.crops, mirrored=mirrored)
    truth = {"ferplus": images.majority, "fer2013": images.labels}
    found: list[Predictions] = []
    for head, logits in heads.items():
        label_set: LabelSet = "ferplus" if head == "ferplus" else "fer2013"
        one = Predictions(
            name=net_name(net),
            label_set=label_set,
            classes=CLASSES_OF[label_set],
            rows=images.rows[answered],
            probs=softmax(logits),
            truth=truth[label_set][answered],
        )
        found.append(one.select(one.truth >= 0))
    return tuple(found)


def image_logits(
    scorer: Scorer, crops: NDArray[np.uint8], *, image_size: int = 0, mirrored: bool = False
) -> dict[str, NDArray[np.float32]]:
    """Return the logits by head of grey crops ``(n, h, w)``; the mean of both views if mirrored.

    Args:
        scorer: Of an image network.
        crops: Any size.
        image_size: They are brought to it; 0 leaves theirs.
        mirrored: Whether the mirror images are scored too.
    """
    size = image_size or crops.shape[1]
    logits = scorer(prepared(crops, size))
    if not mirrored:
        return logits
    other = scorer(prepared(crops, size, mirrored=True))
    return {head: np.mean([logits[head], other[head]], axis=0) for head in logits}


def class_logits(model: keras.Model, inputs: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the logits of a network with one head.

    Args:
        model: The network.
        inputs: Crops ``(n, 48, 48)`` uint8, or blendshape inputs ``(n, width)`` float32.
    """
    images = inputs.ndim == 3
    ready = prepared(np.asarray(inputs, np.uint8), inputs.shape[1]) if images else inputs
    return np.asarray(model.predict(ready, batch_size=512, verbose=0), np.float32)


def still_logits(
    model: keras.Model, stills: Stills, transform: ChannelTransform, steps: int = STILL_STEPS
) -> NDArray[np.float32]:
    """Return the logits ``(n, 8)`` of a recurrent network that was shown each image for a while.

    The person's resting face is not known, as with a stranger's image.
    """
    shown = np.repeat(channels(stills.levels, transform)[:, None], steps, axis=1)
    return np.asarray(model.predict(shown, batch_size=512, verbose=0)[:, -1], np.float32)


def _single_head(
    net: Path, card: NetCard, *, split: str, mirrored: bool, data: Path, cache: Path
) -> Predictions:
    model = load_model(net)
    groups = grouping(card.chosen, CLASSES_OF[card.labels])
    images = read_labelled(data, cache, split, card.labels, groups)
    views: list[NDArray[np.generic]]
    if card.features is None:
        views = [images.crops, images.crops[:, :, ::-1]] if mirrored else [images.crops]
    else:
        from train.features.blendshape_inputs import raw_inputs
        from train.features.faces import found_faces, measured_table

        if card.scaling is None:
            raise InputError(f"{net.with_suffix('.json')}: found features without their scaling")
        table = measured_table(data, cache)
        images = found_faces(images, table)
        views = [
            card.scaling.apply(raw_inputs(table, images.rows, card.features, mirror=side))
            for side in ([False, True] if mirrored else [False])
        ]
    logits = np.mean([class_logits(model, np.ascontiguousarray(v)) for v in views], axis=0)
    return Predictions(
        name=net_name(net),
        label_set=card.labels,
        classes=card.classes,
        rows=images.rows,
        probs=softmax(logits),
        truth=images.labels,
    )


def _stills(transform: ChannelTransform, *, split: str, data: Path, cache: Path) -> Stills:
    from train.features.faces import measured_table
    from train.features.single_images import read_stills

    return read_stills(measured_table(data, cache), read_images(data, cache, split), transform)
