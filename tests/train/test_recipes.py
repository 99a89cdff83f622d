"""Recipes are data: read strictly, and every shipped one is valid."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from emoshift.errors import ConfigError, InputError
from train.experiments.class_recipe import ConvolutionRecipe
from train.experiments.request import KINDS, Changes, Request, changed, recipe_of
from train.experiments.sequence_recipe import SequenceRecipe
from train.experiments.tune_recipe import TuneRecipe
from train.recipe import Phase, Recipe, read_recipe, recipe_from, recipe_kind
from train.training.run_folder import (
    RunConfig,
    changes,
    checkpoints,
    create_run,
    prune,
    read_config,
    summaries,
)

COMMANDS = {"sequences": SequenceRecipe, "tune": TuneRecipe}
"""Kinds of recipe that other commands than ``train run`` read."""
SHIPPED = sorted((Path(__file__).parents[2] / "train" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_survive_a_round_trip(path: Path) -> None:
    """What a run keeps of its recipe builds the same recipe again."""
    kind = (KINDS | COMMANDS)[recipe_kind(path)]
    recipe = read_recipe(path, kind)
    assert recipe_from(_plain(asdict(recipe)), kind, where="kept") == recipe


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Unknown, missing and ill-typed keys come in one message, each with its place."""
    path = tmp_path / "wrong.toml"
    path.write_text(
        'model = "residual"\nsed = 1\nbatch_size = "many"\n[[phases]]\nepochs = 1\nside_px = 48\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        read_recipe(path, Recipe)
    told = str(caught.value)
    for part in ("sed: unknown", "seed: missing", "batch_size", "phases[0].rate: missing"):
        assert part in told
    assert str(path) in told


def test_a_missing_recipe_and_broken_toml_are_expected_errors(tmp_path: Path) -> None:
    """Neither is a traceback."""
    with pytest.raises(InputError, match=r"none\.toml"):
        recipe_kind(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("= 1", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        recipe_kind(tmp_path / "broken.toml")


def test_phases_follow_one_another() -> None:
    """Epochs count through the phases, and the rate falls on a line within one."""
    short = Phase(epochs=2, side_px=32, rate=0.1)
    last = Phase(epochs=4, side_px=48, rate=0.1, end_rate=0.0)
    recipe = Recipe(seed=1, phases=(short, last))
    assert recipe.epochs == 6
    assert recipe.phase_at(1) == (short, 1)
    assert recipe.phase_at(2) == (last, 0)
    assert last.rate_at(0.25) == pytest.approx(0.075)
    assert short.rate_at(0.9) == pytest.approx(0.1)
    with pytest.raises(IndexError, match="past"):
        recipe.phase_at(6)


def test_changes_reach_every_kind_of_recipe() -> None:
    """Flags win over the file; a shipped recipe is found by its name."""
    asked = Changes(
        seed=9,
        epochs=3,
        batch_size=7,
        learning_rate=0.5,
        classes=("happy-sad-neutral",),
        samples_per_class=40,
        weights={"sad": 2.0},
    )
    recipe = recipe_of(Request(name="x", model="model_x", changes=asked))
    assert isinstance(recipe, ConvolutionRecipe)
    assert (recipe.seed, recipe.epochs, recipe.batch_size, recipe.rate) == (9, 3, 7, 0.5)
    assert recipe.data.classes == ("happy-sad-neutral",)
    assert recipe.data.samples_per_class == 40
    assert (recipe.data.weights.sad, recipe.data.weights.happy) == (2.0, 1.0)


def test_phases_keep_their_shares_and_the_highest_rate_is_as_asked() -> None:
    """A short run goes through the same phases; one that would have no epoch is left out."""
    table = {
        "phases": [
            {"epochs": 1, "side_px": 32, "rate": 0.01, "end_rate": 0.1},
            {"epochs": 9, "side_px": 32, "rate": 0.1},
            {"epochs": 30, "side_px": 48, "rate": 0.1, "end_rate": 0.0},
        ]
    }
    phases = changed(table, Changes(epochs=8, learning_rate=0.2))["phases"]
    assert [phase["epochs"] for phase in phases] == [2, 6]
    assert phases[-1]["rate"] == pytest.approx(0.2)
    assert phases[-1]["end_rate"] == 0.0
    assert changed(table, Changes()) == table


def test_a_request_names_a_recipe() -> None:
    """Neither recipe nor model, or a model that is not shipped, is told with what there is."""
    with pytest.raises(InputError, match="model_x"):
        recipe_of(Request(name="x"))
    with pytest.raises(InputError, match="expected one of"):
        recipe_of(Request(name="x", model="resnet"))
    with pytest.raises(ConfigError, match="labels"):
        recipe_of(Request(name="x", model="cnn_a", changes=Changes(labels="ferplus")))


def config(name: str, **recipe: object) -> RunConfig:
    return RunConfig(name=name, description="", recipe=dict(recipe), resumed=None)


def test_changes_name_every_value_that_differs() -> None:
    """Nested keys are told by their path; what stayed is not told."""
    before = {"rate": 0.1, "net": {"stem": 16, "top": 0}, "old": True}
    after = {"rate": 0.1, "net": {"stem": 24, "top": 0}, "new": [1]}
    assert changes(before, after) == ["net.stem: 16 -> 24", "new: null -> [1]", "old: true -> null"]


def test_a_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """The config reads back, the log tells what changed, the list tells how far it came."""
    from datetime import UTC, datetime

    first = config("first", seed=1)
    began = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    create_run(tmp_path, first, began=began)
    folder = create_run(tmp_path, config("second", seed=2), began=began, before=first)
    assert folder.name == "20261121-090000-second"
    assert read_config(folder) == config("second", seed=2)
    assert (folder / "experiment_changes.log").read_text(encoding="utf-8") == "seed: 1 -> 2\n"
    (folder / "training_history.csv").write_text("epoch,ferplus_accuracy\n3.0,0.5\n")
    assert summaries(tmp_path) == [
        "20261121-090000-first: no epoch yet",
        "20261121-090000-second: 3 epochs, ferplus_accuracy 0.5000",
    ]
    with pytest.raises(InputError, match="not the config of a run"):
        read_config(tmp_path)


def test_flags_that_are_no_part_of_the_recipe_are_in_the_log_too(tmp_path: Path) -> None:
    """A run that goes on elsewhere or from other pictures says so."""
    from datetime import UTC, datetime

    before = config("first", seed=1)
    after = replace(before, device="cpu", pictures="faces", asked={"epochs": 3})
    folder = create_run(tmp_path, after, began=datetime(2026, 11, 21, tzinfo=UTC), before=before)
    assert (folder / "experiment_changes.log").read_text(encoding="utf-8").splitlines() == [
        'device: "auto" -> "cpu"',
        'pictures: null -> "faces"',
    ]
    assert read_config(folder).asked == {"epochs": 3}


def test_pruning_keeps_the_last(tmp_path: Path) -> None:
    """Older checkpoints go, in order."""
    (tmp_path / "checkpoints").mkdir()
    for epoch in range(1, 6):
        (tmp_path / "checkpoints" / f"epoch-{epoch:03d}.npz").touch()
    prune(tmp_path, 2)
    assert [path.stem for path in checkpoints(tmp_path)] == ["epoch-004", "epoch-005"]
