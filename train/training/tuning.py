"""Search for settings of the blendshape networks with KerasTuner, in one process or in many."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import keras
import keras_tuner
from keras import layers

from emoshift.errors import ConfigError, InputError, OutputError
from train.networks.recurrent import build_recurrent
from train.recipe import TuneRecipe
from train.recipe_file import read_recipe
from train.training.run_folder import (
    CONFIG,
    RunConfig,
    changes,
    read_config,
    recorded_state,
    write_rows,
)
from train.training.tuning_data import CLASSES, WIDTH, read_dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from train.training.tuning_data import Dataset

OBJECTIVE: Final = "val_loss"
ORACLES: Final = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
}
FAILED_AT_MOST: Final = 5
MAY_CHANGE: Final = "trials:"
"""A search may go on with more trials, and with nothing else changed."""


def start_search(
    *,
    name: str,
    recipe_path: Path,
    description: str,
    data: Path,
    cache: Path,
    runs: Path,
    log: Callable[[str], None],
) -> Path:
    """Search by the recipe, or go on with a search of the same name, and return its folder.

    With KerasTuner's environment variables set this process is the chief of a search, or one of
    its workers; all of them need the same folder.

    Raises:
        ConfigError: The recipe is wrong, or differs from that of the search begun.
        InputError: The recipe or the measured features are missing.
    """
    recipe = read_recipe(recipe_path, TuneRecipe, log)
    role = _role()
    folder = _folder(runs / f"tune-{name}", recipe, name=name, description=description)
    tuner = _Tuner(recipe, folder)
    tuner.oracle.verbose = 0
    if role == "worker":
        _search(tuner, recipe, data=data, cache=cache, log=log)
        log("worker: no trial is left; the chief writes the results")
        return folder
    with recorded_state(folder, recipe.model):
        if role == "chief":
            log("chief: waiting for workers; it ends with the last trial")
            tuner.search()
        else:
            _search(tuner, recipe, data=data, cache=cache, log=log)
        for line in _write(tuner.oracle, folder):
            log(line)
    return folder


def build(trial: Any, recipe: TuneRecipe) -> keras.Model:
    """Build and compile the network that a trial's settings describe."""
    keras.utils.set_random_seed(recipe.seed)
    space = recipe.space
    units = trial.Choice("units", list(space.units))
    bounds = space.learning_rate
    rate = trial.Float("learning_rate", bounds.least, bounds.most, sampling="log")
    kind = trial.Choice("optimiser", list(space.optimisers))
    beta, momentum = space.beta.least, space.momentum.least
    if "adam" in space.optimisers:
        with trial.conditional_scope("optimiser", ["adam"]):
            beta = trial.Float("beta", space.beta.least, space.beta.most)
    if moved := [one for one in space.optimisers if one != "adam"]:
        with trial.conditional_scope("optimiser", moved):
            momentum = trial.Float("momentum", space.momentum.least, space.momentum.most)
    makers: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
        "adam": lambda: keras.optimizers.Adam(rate, beta_1=beta, clipnorm=1.0),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum=momentum, clipnorm=1.0),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate, momentum=momentum, clipnorm=1.0),
    }
    if recipe.net == "lstm":
        net = build_recurrent(WIDTH, units=units, noise=0.1, dropout=0.2)
    else:
        net = _dense(units)
    net.compile(
        optimizer=makers[kind](),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    return net


def _dense(units: int) -> keras.Model:
    """Two layers, the second half as wide; input ``(batch, WIDTH)``, output logits."""
    inputs = keras.Input((WIDTH,), name="channels")
    x = layers.GaussianNoise(0.1)(inputs)
    for width in (units, max(units // 2, 1)):
        x = layers.Dense(width, activation="relu")(x)
        x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x), name="dense")


def _role() -> str:
    """Return ``alone``, ``chief`` or ``worker``, by KerasTuner's own environment variables."""
    address = [f"KERASTUNER_ORACLE_{part}" for part in ("IP", "PORT")]
    given = [name for name in (*address, "KERASTUNER_TUNER_ID") if name in os.environ]
    if not set(given) & set(address):
        return "alone"
    if missing := [n for n in (*address, "KERASTUNER_TUNER_ID") if n not in given]:
        raise InputError(
            f"{missing[0]}: not set, though {given[0]} is; a search of many needs both"
        )
    return "chief" if "chief" in os.environ["KERASTUNER_TUNER_ID"] else "worker"


def _folder(folder: Path, recipe: TuneRecipe, *, name: str, description: str) -> Path:
    values = recipe.model_dump(mode="json")
    config = RunConfig(name=name, description=description, recipe=values, resumed=None)
    if (folder / CONFIG).exists():
        others = changes(read_config(folder).recipe, values)
        if other := [line for line in others if not line.startswith(MAY_CHANGE)]:
            raise ConfigError(
                str(folder), [f"{line}; give another --name for another search" for line in other]
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(config), indent=2, sort_keys=True) + "\n"
        (folder / CONFIG).write_text(text, encoding="utf-8")
    except OSError as why:
        raise OutputError(f"{folder}: {why.strerror}; choose another --runs") from why
    return folder


class _Tuner(keras_tuner.Tuner):  # type: ignore[misc]  # untyped
    """Trains a trial's network on the same data, and reports its epochs.

    Weights are not kept: a search gives settings, and a run trains with them.
    """

    def __init__(self, recipe: TuneRecipe, folder: Path) -> None:
        self.recipe = recipe
        super().__init__(
            oracle=ORACLES[recipe.search](
                objective=keras_tuner.Objective(OBJECTIVE, "min"),
                max_trials=recipe.trials,
                seed=recipe.seed,
                max_consecutive_failed_trials=FAILED_AT_MOST,
            ),
            hypermodel=lambda trial: build(trial, recipe),
            directory=str(folder),
            project_name="trials",
        )

    def run_trial(self, trial: Any, data: Dataset) -> Any:
        """Return the history, of which KerasTuner takes the best epoch."""
        net = self.hypermodel.build(trial.hyperparameters)
        return net.fit(
            data.inputs,
            data.targets,
            validation_data=(data.held_out_inputs, data.held_out_targets),
            epochs=self.recipe.epochs,
            batch_size=self.recipe.batch_size,
            verbose=0,
        )


def _search(
    tuner: _Tuner, recipe: TuneRecipe, *, data: Path, cache: Path, log: Callable[[str], None]
) -> None:
    dataset = read_dataset(recipe, data=data, cache=cache)
    log(f"{len(dataset.inputs)} to learn from, {len(dataset.held_out_inputs)} held out")
    try:
        tuner.search(dataset)
    except RuntimeError as why:
        cause = str(why).strip().splitlines()[-1]
        raise InputError(
            f"{FAILED_AT_MOST} settings in a row could not be trained; narrow the space ({cause})"
        ) from why


def _write(oracle: Any, folder: Path) -> list[str]:
    """Write ``trials.csv`` and ``best.json``, and return the best few as lines."""
    done = [trial for trial in oracle.trials.values() if trial.score is not None]
    done.sort(key=lambda trial: trial.score)
    if not done:
        raise InputError(f"{folder}: no trial came to an end; its own files say why")
    rows = [
        {
            "trial": trial.trial_id,
            OBJECTIVE: round(float(trial.score), 5),
            "val_accuracy": round(float(trial.metrics.get_best_value("val_accuracy")), 5),
            "epoch": trial.best_step + 1,
            **_settings(trial),
        }
        for trial in done
    ]
    write_rows(folder / "trials.csv", rows)
    (folder / "best.json").write_text(json.dumps(rows[0], indent=2) + "\n", encoding="utf-8")
    lines = [" ".join(f"{name} {value}" for name, value in row.items()) for row in rows[:5]]
    return [f"{len(done)} trials; the best:", *lines]


def _settings(trial: Any) -> dict[str, Any]:
    """Return the settings that were in force: no momentum where Adam was chosen."""
    found = trial.hyperparameters
    active = {p.name: found.get(p.name) for p in found.space if found.is_active(p)}
    return {n: float(f"{v:.4g}") if isinstance(v, float) else v for n, v in active.items()}
