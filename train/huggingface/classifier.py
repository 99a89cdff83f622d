"""The one module that names transformers: open, fit with this project's heads, and save."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
import transformers
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from torch import nn

from edge.standardise import INPUT_SCALE, MIDDLE
from emoshift.errors import InputError
from train.data.fer2013 import CLASSES as FER2013_CLASSES
from train.data.ferplus import LABELS
from train.data.image_folder import WORDS

if TYPE_CHECKING:
    from numpy.typing import NDArray


BATCH: Final = 64
PREPROCESSING: Final = "preprocessor_config.json"
HEADS: Final = {"ferplus": LABELS, "fer2013": LABELS[:FER2013_CLASSES]}
NAMED: Final = tuple(f"{head}:{label}" for head, labels in HEADS.items() for label in labels)
"""Labels of a net with this project's two heads, in the order of its outputs."""


_COMMIT: Final = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classifier:
    """A net and how it is fed and read.

    Attributes:
        net: Of transformers, from RGB pictures to logits.
        side_px: Side of its pictures.
        mean: Taken from each colour, in shares of full scale.
        std: Divides what is left.
        heads: Of each head the output of each label, in the order of `HEADS`.
    """

    net: Any
    side_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    heads: dict[str, tuple[int, ...]]

    def logits(self, inputs: NDArray[np.float32]) -> dict[str, Any]:
        """Return torch logits by head for net inputs ``(n, side, side, 1)``.

        The inputs are those of the project's own nets, ``(crop - 128) / 64``; they are brought to
        the side, colours and scale that this net was trained on.
        """
        device = next(self.net.parameters()).device
        grey = torch.from_numpy(inputs).to(device).permute(0, 3, 1, 2)
        grey = (grey / INPUT_SCALE + MIDDLE) / 255.0
        size = (self.side_px, self.side_px)
        grey = nn.functional.interpolate(grey, size=size, mode="bilinear", align_corners=False)
        mean, std = (
            torch.tensor(values, device=device).reshape(1, -1, 1, 1)
            for values in (self.mean, self.std)
        )
        found = self.net(pixel_values=(grey - mean) / std).logits
        return {head: found[:, list(outputs)] for head, outputs in self.heads.items()}

    def predict(self, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Return the logits of network inputs ``(n, 48, 48, 1)`` by head, a batch at a time."""
        self.net.eval()
        with torch.inference_mode():
            parts = [
                self.logits(inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)
            ]
        return {
            head: np.concatenate([part[head].float().cpu().numpy() for part in parts])
            for head in self.heads
        }

    def save(self, folder: Path) -> None:
        """Write the net and its preprocessing as `open_classifier` reads them."""
        self.net.save_pretrained(folder)
        values = {"image_mean": self.mean, "image_std": self.std, "size": {"height": self.side_px}}
        (folder / PREPROCESSING).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def open_classifier(name: str | Path) -> Classifier:
    """Open a checkpoint with the labels it has.

    A net that names the seven emotions, in whatever words and order, answers as the head
    ``fer2013``; one that was fitted here has both heads.

    Args:
        name: A folder, or a name on the hub with the commit meant: ``OWNER/NAME@COMMIT``. What
            stands under a name alone may be another net tomorrow.

    Raises:
        InputError: There is no such checkpoint, it names other things than emotions, or no commit
            is given.
    """
    place, revision = _pinned(str(name))
    try:
        net = transformers.AutoModelForImageClassification.from_pretrained(place, revision=revision)
        values = _preprocessing(place, revision)
    except (OSError, ValueError) as why:
        first = str(why).strip().splitlines()[0]
        raise InputError(f"{name}: not an image-classification checkpoint ({first})") from why
    labels = [str(net.config.id2label[i]) for i in range(net.config.num_labels)]
    return Classifier(
        net=net.eval(),
        side_px=_side(net, values),
        mean=tuple(values.get("image_mean", (0.5, 0.5, 0.5))),
        std=tuple(values.get("image_std", (0.5, 0.5, 0.5))),
        heads=_heads(labels, str(name)),
    )


def with_both_heads(classifier: Classifier, seed: int) -> Classifier:
    """Return the net with this project's outputs; it stays the same net.

    An output for an emotion that the net already named begins with the weights it had.
    """
    if set(classifier.heads) == set(HEADS):
        return classifier
    net = classifier.net
    name, old = output_layer(net)
    torch.manual_seed(seed)
    new = nn.Linear(old.in_features, len(NAMED))
    known = {
        label: output
        for head, outputs in classifier.heads.items()
        for label, output in zip(HEADS[head], outputs, strict=True)
    }
    with torch.no_grad():
        nn.init.normal_(new.weight, std=0.02)
        nn.init.zeros_(new.bias)
        for row, label in enumerate(NAMED):
            output = known.get(label.split(":")[1])
            if output is not None:
                new.weight[row] = old.weight[output]
                new.bias[row] = old.bias[output]
    parent, _, last = name.rpartition(".")
    setattr(net.get_submodule(parent), last, new)
    net.num_labels = net.config.num_labels = len(NAMED)
    net.config.id2label = dict(enumerate(NAMED))
    net.config.label2id = {label: row for row, label in enumerate(NAMED)}
    return Classifier(
        net=net,
        side_px=classifier.side_px,
        mean=classifier.mean,
        std=classifier.std,
        heads=_heads(list(NAMED), name),
    )


def _heads(labels: list[str], name: str) -> dict[str, tuple[int, ...]]:
    if set(NAMED) <= set(labels):
        return {
            head: tuple(labels.index(f"{head}:{label}") for label in of)
            for head, of in HEADS.items()
        }
    plain = [WORDS.get(label.strip().lower(), label.strip().lower()) for label in labels]
    if missing := [label for label in HEADS["fer2013"] if label not in plain]:
        raise InputError(f"{name}: found the labels {labels}, expected one for {missing[0]}")
    return {"fer2013": tuple(plain.index(label) for label in HEADS["fer2013"])}


def output_layer(net: Any) -> tuple[str, nn.Linear]:
    """Return the dense layer at the end, with its name."""
    found = [
        (name, module)
        for name, module in net.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == net.config.num_labels
    ]
    if not found:
        kind = type(net).__name__
        raise InputError(
            f"{kind}: found no dense layer of {net.config.num_labels} outputs at its end"
        )
    return found[-1]


def _pinned(name: str) -> tuple[str, str]:
    """Split a name into a place and a commit; of a folder the commit means nothing."""
    if Path(name).is_dir():
        return name, "main"
    place, _, revision = name.partition("@")
    if not _COMMIT.fullmatch(revision):
        raise InputError(
            f"{name}: no such folder; for a checkpoint on the hub give the commit too, as in"
            " OWNER/NAME@0123456789abcdef0123456789abcdef01234567"
        )
    return place, revision


def _preprocessing(name: str, revision: str) -> dict[str, Any]:
    """Return the checkpoint's own, or nothing where it has none."""
    if Path(name).is_dir():
        path = Path(name) / PREPROCESSING
        if not path.exists():
            return {}
    else:
        try:
            path = Path(hf_hub_download(name, PREPROCESSING, revision=revision))
        except EntryNotFoundError:
            return {}
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def _side(net: Any, values: dict[str, Any]) -> int:
    size: Any = (
        values.get("crop_size") or values.get("size") or getattr(net.config, "image_size", 224)
    )
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    return int(size[0] if isinstance(size, list | tuple) else size)
