"""Tables and plots of nets side by side, as docs/models.md shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from train.evaluation.metrics import ece
from train.evaluation.reports import write_report
from train.experiments.answers import answers_of
from train.experiments.figures import SETS, near_training
from train.experiments.score import macro_f1

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from train.experiments.answers import Answers

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
    """Write ``table.md``, and for each net and head a folder of report and plots; return the table.

    Args:
        nets: Of any kind.
        output: Folder; made where absent.
        split: Scored.
        mirrored: Both mirror views of every picture.
        classes: Merged into these, as in `train.data.sampling.Selection`; empty leaves them.
        data: Folder that holds ``fer2013/``.
        cache: What is kept.
    """
    near = near_training(split, data, cache)
    rows: list[str] = []
    for net in nets:
        for found in answers_of(net, split=split, mirrored=mirrored, data=data, cache=cache):
            answers = found.merged(classes) if classes else found
            rows.append(_row(answers, near, f"{split} | {2 if mirrored else 1}"))
            folder = output / f"{answers.name}-{answers.label_set}"
            write_report(folder, answers.probs, answers.truth, answers.classes)
    path = output / "table.md"
    path.write_text(HEAD + "".join(rows), encoding="utf-8")
    return path


def _row(answers: Answers, near: NDArray[np.intp], protocol: str) -> str:
    fresh = answers.only(~np.isin(answers.rows, near))
    right, without = (float((a.probs.argmax(axis=1) == a.truth).mean()) for a in (answers, fresh))
    return (
        f"| {answers.name} | {SETS[answers.label_set]} | {len(answers.classes)} | {protocol}"
        f" | {len(answers.rows):,} | {right:.2%} | {macro_f1(answers.probs, answers.truth):.3f}"
        f" | {ece(answers.probs, answers.truth):.3f} | {without:.2%} (n = {len(fresh.rows):,}) |\n"
    )
