"""Tables and plots of networks side by side, as docs/research/models.md shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from train.evaluation.evaluate import LABEL_SETS, near_training
from train.evaluation.metrics import accuracy, ece, macro_f1
from train.evaluation.predictions import predict_split
from train.evaluation.reports import write_report
from train.saved_net import net_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from train.evaluation.predictions import Predictions

HEAD = (
    "| net | labels | classes | split | views | n | accuracy | macro-F1 | ECE"
    " | without near-duplicates |\n"
    "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
)


def write_tables(
    nets: Sequence[Path],
    output: Path,
    *,
    split: str,
    mirrored: bool,
    classes: tuple[str, ...] = (),
    data: Path,
    cache: Path,
) -> Path:
    """Write ``table.md``, with a folder of report and plots for each network and head.

    Args:
        nets: Of any kind.
        output: Folder; made where absent.
        split: Scored.
        mirrored: Both mirror views of every image.
        classes: Merged into these, as in `train.data.sampling.Selection`; empty leaves them.
        data: Folder that holds ``fer2013/``.
        cache: Folder of decoded and measured data.
    """
    near = near_training(split, data, cache)
    rows: list[str] = []
    for net, name in zip(nets, net_names(nets), strict=True):
        for own in predict_split(net, split=split, mirrored=mirrored, data=data, cache=cache):
            found = replace(own.merged(classes) if classes else own, name=name)
            rows.append(_row(found, near, f"{split} | {2 if mirrored else 1}"))
            folder = output / f"{name.strip('/').replace('/', '-')}-{found.label_set}"
            write_report(folder, found.probs, found.truth, found.classes)
    path = output / "table.md"
    path.write_text(HEAD + "".join(rows), encoding="utf-8")
    return path


def _row(predictions: Predictions, near: NDArray[np.intp], protocol: str) -> str:
    fresh = predictions.select(~np.isin(predictions.rows, near))
    probs, truth = predictions.probs, predictions.truth
    return (
        f"| {predictions.name} | {LABEL_SETS[predictions.label_set]} | {len(predictions.classes)}"
        f" | {protocol} | {len(predictions.rows):,} | {accuracy(probs, truth):.2%}"
        f" | {macro_f1(probs, truth):.3f} | {ece(probs, truth):.3f}"
        f" | {accuracy(fresh.probs, fresh.truth):.2%} (n = {len(fresh.rows):,}) |\n"
    )
