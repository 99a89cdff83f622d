"""Compare networks on CK+48's sequences, fold by fold of subjects, and write the results."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from emoshift.errors import InputError
from train.data.ckplus48 import read_sequences
from train.data.image_folder import subject_folds
from train.evaluation.metrics import softmax
from train.evaluation.reports import write_report
from train.recipe import SequenceRecipe
from train.recipe_file import read_recipe
from train.training.run_folder import RunConfig, create_run, recorded_state, write_rows
from train.training.sequence_plots import plot_episodes, plot_folds
from train.training.sequence_trainer import PHASES, Fold, SequenceResult, SequenceTrainer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from train.data.ckplus48 import FaceSequences
RESULTS: Final = "folds.csv"
FIELDS: Final = ("net", "phase", "seed", "fold", "n", "right")


def start_comparison(
    *,
    name: str,
    recipe_path: Path,
    description: str,
    data: Path,
    runs: Path,
    log: Callable[[str], None],
) -> Path:
    """Compare by the recipe and return the run's folder.

    Raises:
        ConfigError: The recipe is wrong.
        InputError: The recipe or the data is missing.
    """
    recipe = read_recipe(recipe_path, SequenceRecipe, log)
    sequences = read_sequences(data / "ckplus48")
    config = RunConfig(
        name=name,
        description=description,
        recipe=recipe.model_dump(mode="json"),
        resumed=None,
    )
    folder = create_run(runs, config, began=datetime.now().astimezone())
    people = len(set(sequences.subjects))
    log(f"{len(sequences.labels)} sequences, {people} people; {sequences.problems.summary()}")
    with recorded_state(folder, recipe.model):
        for line in compare(recipe, sequences, folder, log=log):
            log(line)
    return folder


def compare(
    recipe: SequenceRecipe,
    sequences: FaceSequences,
    folder: Path,
    *,
    log: Callable[[str], None] = print,
) -> list[str]:
    """Train every network on every fold and seed, and return the figures as a Markdown table.

    Writes ``folds.csv`` as it goes, and at the end ``epochs.csv``, ``episodes.csv``,
    ``episodes.png``, ``folds.png``, ``summary.json``, ``table.md``, and for each network and
    phase a report with its confusion matrix over the first seed's folds together.
    """
    fold_of = subject_folds(sequences.subjects, recipe.folds, recipe.fold_seed)
    if empty := set(range(recipe.folds)) - set(fold_of.tolist()):
        raise InputError(f"{len(set(sequences.subjects))} subjects leave {len(empty)} folds empty")
    least = len(fold_of) - int(np.bincount(fold_of).max())
    if least < recipe.batch_size:
        raise InputError(
            f"{least} sequences to learn from in a fold, expected at least one batch of"
            f" {recipe.batch_size}; set a smaller batch_size"
        )
    rows: list[dict[str, str | float]] = []
    logits: dict[tuple[str, str], NDArray[np.float32]] = {}
    results: list[tuple[str, int, int, SequenceResult]] = []
    trainers = [SequenceTrainer(recipe, shape, len(sequences.names)) for shape in recipe.nets]
    for seed in range(recipe.seed, recipe.seed + recipe.seeds):
        for fold in range(recipe.folds):
            held_out = fold_of == fold
            data = _fold(sequences, held_out)
            for trainer in trainers:
                result, net = trainer.train(data, seed), trainer.shape.name
                results.append((net, seed, fold, result))
                for phase in PHASES:
                    found = result.logits[phase]
                    right = int((found.argmax(axis=1) == data.held_out_labels).sum())
                    row = (net, phase, seed, fold, len(found), right)
                    rows.append(dict(zip(FIELDS, row, strict=True)))
                    no_logits = np.zeros((len(held_out), data.classes), np.float32)
                    together = logits.setdefault((net, phase), no_logits)
                    if seed == recipe.seed:
                        together[held_out] = found
                write_rows(folder / RESULTS, rows)
                log(_one_line(net, seed, fold, rows[-len(PHASES) :]))
    _write_details(folder, results)
    _write_reports(folder, sequences, logits)
    summary = summarise(rows)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    table = _table(recipe, summary)
    (folder / "table.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    plot_folds(rows, folder / "folds.png")
    plot_episodes([(name, one.episodes) for name, _, _, one in results], folder / "episodes.png")
    return table


def summarise(rows: list[dict[str, str | float]]) -> list[dict[str, str | float]]:
    """Return for each network and phase the share of right sequences and its spreads.

    ``mean`` is over all sequences, each predicted once a seed; ``fold_std`` the standard deviation
    of the folds' accuracies (each the mean over seeds), ``seed_std`` that of the seeds'.
    """
    found: list[dict[str, str | float]] = []
    for net, phase in dict.fromkeys((row["net"], row["phase"]) for row in rows):
        mine = [row for row in rows if (row["net"], row["phase"]) == (net, phase)]
        by_seed = _shares(mine, "seed")
        found.append(
            {
                "net": net,
                "phase": phase,
                "n": sum(int(row["n"]) for row in mine) // len(by_seed),
                "mean": float(np.mean(by_seed)),
                "fold_std": float(np.std(_shares(mine, "fold"), ddof=1)),
                "seed_std": float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else 0.0,
            }
        )
    return found


def _table(recipe: SequenceRecipe, summary: list[dict[str, str | float]]) -> list[str]:
    """Return one row a network, one column a phase: accuracy and its deviation over folds."""
    last = recipe.seed + recipe.seeds - 1
    seeds = f"seed {last}" if recipe.seeds == 1 else f"seeds {recipe.seed} to {last}"
    folds = f"{recipe.folds} folds of people, {seeds}"
    lines = [
        f"| n = {summary[0]['n']}, {folds} | {' | '.join(PHASES)} |",
        "| --- |" + " ---: |" * len(PHASES),
    ]
    for net in dict.fromkeys(one["net"] for one in summary):
        cells = [
            f"{one['mean']:.1%} +- {one['fold_std']:.1%}" for one in summary if one["net"] == net
        ]
        lines.append(f"| {net} | {' | '.join(cells)} |")
    return lines


def _shares(rows: list[dict[str, str | float]], key: str) -> list[float]:
    groups = dict.fromkeys(row[key] for row in rows)
    return [
        sum(int(row["right"]) for row in rows if row[key] == one)
        / sum(int(row["n"]) for row in rows if row[key] == one)
        for one in groups
    ]


def _fold(sequences: FaceSequences, held_out: NDArray[np.bool_]) -> Fold:
    return Fold(
        frames=sequences.frames[~held_out],
        labels=sequences.labels[~held_out],
        held_out=sequences.frames[held_out],
        held_out_labels=sequences.labels[held_out],
        classes=len(sequences.names),
    )


def _one_line(net: str, seed: int, fold: int, rows: list[dict[str, str | float]]) -> str:
    shares = ", ".join(f"{row['phase']} {int(row['right']) / int(row['n']):.1%}" for row in rows)
    return f"{net} seed {seed} fold {fold}: {shares} of {rows[0]['n']}"


def _write_details(folder: Path, results: list[tuple[str, int, int, SequenceResult]]) -> None:
    history: list[dict[str, str | float]] = []
    episodes: list[dict[str, str | float]] = []
    for net, seed, fold, result in results:
        which: dict[str, str | float] = {"net": net, "seed": seed, "fold": fold}
        history.extend(
            {**which, **one, "phase": PHASES[int(one["phase"])]} for one in result.history
        )
        episodes.extend(
            {**which, "episode": number, "reward": reward, "penalty": penalty}
            for number, (reward, penalty) in enumerate(result.episodes.tolist(), start=1)
        )
    write_rows(folder / "epochs.csv", history)
    write_rows(folder / "episodes.csv", episodes)


def _write_reports(
    folder: Path,
    sequences: FaceSequences,
    logits: dict[tuple[str, str], NDArray[np.float32]],
) -> None:
    for (net, phase), found in logits.items():
        write_report(
            folder / f"{net}-{phase}", softmax(found), sequences.labels, list(sequences.names)
        )
