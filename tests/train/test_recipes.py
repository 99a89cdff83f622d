"""Recipes are data: read strictly, and every shipped one is valid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emoshift.errors import ConfigError, InputError, UsageError
from train.recipe import (
    ConvolutionRecipe,
    Phase,
    ResidualRecipe,
    RunRecipe,
    SequenceRecipe,
    TuneRecipe,
)
from train.recipe_file import (
    RecipeOverrides,
    overridden,
    parse_recipe,
    parse_run_recipe,
    read_recipe,
    read_table,
    renamed,
)
from train.training.run_folder import (
    RunConfig,
    changes,
    checkpoints,
    create_run,
    prune,
    read_config,
    recorded_state,
    run_state,
    summaries,
    write_rows,
)
from train.training.run_options import RunOptions, recipe_of

if TYPE_CHECKING:
    from train.training.run_folder import State

SHIPPED = sorted((Path(__file__).parents[2] / "train" / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_survive_a_round_trip(path: Path) -> None:
    """What a run keeps of its recipe builds the same recipe again."""
    table = read_table(path)
    assert renamed(table) == table
    kind = {"sequences": SequenceRecipe, "tune": TuneRecipe}.get(table["model"])
    if kind is None:
        recipe: RunRecipe = parse_run_recipe(table, where=str(path))
        assert parse_run_recipe(recipe.model_dump(mode="json"), where="kept") == recipe
    else:
        other = parse_recipe(table, kind, where=str(path))
        assert parse_recipe(other.model_dump(mode="json"), kind, where="kept") == other


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    """Unknown, missing and impossible values come in one message, each with its place."""
    path = tmp_path / "wrong.toml"
    path.write_text(
        'model = "residual"\nsed = 1\nbatch_size = "128"\nmomentum = 2.0\n'
        "[[phases]]\nepochs = 0\nimage_size = 48\n"
        "[augmentation]\nrotation = 3.0\n[network]\nwidths = [8]\nblocks = [1, 2]\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        read_recipe(path, ResidualRecipe)
    message = str(caught.value)
    for part in (
        f"{path}: 8 problems",
        "sed: unknown; did you mean seed?",
        "seed: missing",
        "batch_size: input should be a valid integer; found '128'",
        "momentum: input should be less than or equal to 1; found 2.0",
        "phases[0].epochs: input should be greater than or equal to 1; found 0",
        "phases[0].learning_rate: missing",
        "augmentation.rotation: unknown; did you mean rotation_deg?",
        "network: found 1 widths and 2 blocks, expected as many",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("table", "reported"),
    [
        pytest.param(
            {}, "model: missing, expected one of residual, mobilenet, huggingface", id="no model"
        ),
        pytest.param({"model": "resnet"}, "model: found 'resnet', expected one", id="unknown"),
        pytest.param(
            {"model": "tune", "net": "dense", "seed": 1},
            "model: found 'tune', expected one of residual",
            id="another command's",
        ),
        pytest.param(
            {"model": "tune", "net": "dense", "seed": 1}, "`train tune` takes this one", id="which"
        ),
    ],
)
def test_a_recipe_of_no_run_says_so(table: dict[str, object], reported: str) -> None:
    """With what is expected, and which command takes it."""
    with pytest.raises(ConfigError) as caught:
        parse_run_recipe(table, where="x.toml")
    assert reported in str(caught.value)


def test_a_missing_recipe_and_broken_toml_are_expected_errors(tmp_path: Path) -> None:
    """Neither is a traceback."""
    with pytest.raises(InputError, match=r"none\.toml"):
        read_table(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("= 1", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        read_table(tmp_path / "broken.toml")


def test_earlier_keys_are_read_and_named(tmp_path: Path) -> None:
    """A recipe of an earlier version gives the same run; each old key is named with its new one."""
    lines: list[str] = []
    path = tmp_path / "old.toml"
    path.write_text(
        'model = "residual"\nseed = 1\naverage = 0.99\n'
        "[[phases]]\nepochs = 1\nside_px = 40\nrate = 0.1\nend_rate = 0.0\n",
        encoding="utf-8",
    )
    assert read_recipe(path, ResidualRecipe, lines.append) == ResidualRecipe(
        seed=1,
        ema_decay=0.99,
        phases=(Phase(epochs=1, image_size=40, learning_rate=0.1, end_learning_rate=0.0),),
    )
    assert f"{path}: side_px is now called image_size; change it in the file" in lines
    assert len(lines) == 4
    plateau = {"model": "model_x", "rate": 0.1, "plateau": {"least": 0.01}}
    assert renamed(plateau)["plateau"] == {"min_learning_rate": 0.01}
    space = {"space": {"rate": {"least": 0.1, "most": 1.0}}}
    assert renamed(space) == {"space": {"learning_rate": {"least": 0.1, "most": 1.0}}}


def test_phases_follow_one_another() -> None:
    """Epochs count through the phases, and the learning rate falls on a line within one."""
    short = Phase(epochs=2, image_size=32, learning_rate=0.1)
    last = Phase(epochs=4, image_size=48, learning_rate=0.1, end_learning_rate=0.0)
    recipe = ResidualRecipe(seed=1, phases=(short, last))
    assert recipe.epochs == 6
    assert recipe.phase_at(1) == (short, 1)
    assert recipe.phase_at(2) == (last, 0)
    assert last.learning_rate_at(0.25) == pytest.approx(0.075)
    assert short.learning_rate_at(0.9) == pytest.approx(0.1)
    with pytest.raises(IndexError, match="past"):
        recipe.phase_at(6)


def test_a_phase_may_follow_a_half_cosine() -> None:
    """Slowly at first and in the end, and through the middle where a line goes through it."""
    phase = Phase(epochs=4, image_size=48, learning_rate=0.2, end_learning_rate=0.0, curve="cosine")
    rates = [phase.learning_rate_at(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([0.2, 0.1707107, 0.1, 0.0292893, 0.0])


def test_overrides_reach_every_kind_of_recipe() -> None:
    """Flags win over the file; a shipped recipe is found by its name."""
    overrides = RecipeOverrides(
        seed=9,
        epochs=3,
        batch_size=7,
        learning_rate=0.5,
        classes=("happy-sad-neutral",),
        samples_per_class=40,
        weights={"sad": 2.0},
    )
    recipe = recipe_of(RunOptions(name="x", model="model_x", overrides=overrides))
    assert isinstance(recipe, ConvolutionRecipe)
    assert (recipe.seed, recipe.epochs, recipe.batch_size) == (9, 3, 7)
    assert recipe.learning_rate == 0.5
    assert recipe.data.classes == ("happy-sad-neutral",)
    assert recipe.data.samples_per_class == 40
    assert (recipe.data.weights.sad, recipe.data.weights.happy) == (2.0, 1.0)


def test_phases_keep_their_shares_and_the_highest_rate_is_as_requested() -> None:
    """A short run goes through the same phases; one that would have no epoch is left out."""
    table = {
        "phases": [
            {"epochs": 1, "image_size": 32, "learning_rate": 0.01, "end_learning_rate": 0.1},
            {"epochs": 9, "image_size": 32, "learning_rate": 0.1},
            {"epochs": 30, "image_size": 48, "learning_rate": 0.1, "end_learning_rate": 0.0},
        ]
    }
    phases = overridden(table, RecipeOverrides(epochs=8, learning_rate=0.2))["phases"]
    assert [phase["epochs"] for phase in phases] == [2, 6]
    assert phases[-1]["learning_rate"] == pytest.approx(0.2)
    assert phases[-1]["end_learning_rate"] == 0.0
    assert overridden(table, RecipeOverrides()) == table


def test_a_run_names_a_recipe() -> None:
    """Neither recipe nor model, or a model that is not shipped, is reported with what there is."""
    with pytest.raises(UsageError, match="--model NAME"):
        recipe_of(RunOptions(name="x"))
    with pytest.raises(InputError, match=r"expected one of .*model_x"):
        recipe_of(RunOptions(name="x", model="resnet"))
    with pytest.raises(ConfigError, match="labels: unknown"):
        recipe_of(RunOptions(name="x", model="cnn_a", overrides=RecipeOverrides(labels="ferplus")))


def config(name: str, **recipe: object) -> RunConfig:
    return RunConfig(name=name, description="", recipe=dict(recipe), resumed=None)


def test_changes_name_every_value_that_differs() -> None:
    """Nested keys are reported by their path; what stayed is not reported."""
    before = {"rate": 0.1, "net": {"stem": 16, "top": 0}, "old": True}
    after = {"rate": 0.1, "net": {"stem": 24, "top": 0}, "new": [1]}
    assert changes(before, after) == ["net.stem: 16 -> 24", "new: null -> [1]", "old: true -> null"]


def test_a_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """The config reads back, the log says what changed, the list says how far it came."""
    from datetime import UTC, datetime

    first = config("first", seed=1)
    began = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    create_run(tmp_path, first, began=began)
    folder = create_run(
        tmp_path, config("second", seed=2, model="model_x"), began=began, before=first
    )
    assert folder.name == "20261121-090000-second"
    assert read_config(folder) == config("second", seed=2, model="model_x")
    assert (folder / "experiment_changes.log").read_text(encoding="utf-8") == (
        'model: null -> "model_x"\nseed: 1 -> 2\n'
    )
    write_rows(
        folder / "training_history.csv",
        [{"epoch": 1.0, "ferplus_accuracy": 0.5}, {"epoch": 2.0, "ferplus_accuracy": 0.25}],
    )
    first_run, second_run = summaries(tmp_path)
    assert (first_run.name, first_run.epochs, first_run.best) == ("20261121-090000-first", 0, None)
    assert (first_run.state, first_run.score) == ("unknown", "-")
    assert (second_run.model, second_run.epochs) == ("model_x", 2)
    assert second_run.best == ("ferplus_accuracy", 0.5, 1)
    with pytest.raises(InputError, match="give the folder of a run"):
        read_config(tmp_path)
    (tmp_path / "experiment_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="not the config of a run"):
        read_config(tmp_path)


def test_flags_that_are_no_part_of_the_recipe_are_in_the_log_too(tmp_path: Path) -> None:
    """A run that goes on elsewhere or from other images says so."""
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


@pytest.mark.parametrize(
    ("error", "state"),
    [
        pytest.param(None, "finished", id="ended"),
        pytest.param(KeyboardInterrupt, "stopped", id="Ctrl-C"),
        pytest.param(ValueError, "failed", id="an error"),
    ],
)
def test_how_a_run_ended_is_kept(
    error: type[BaseException] | None, state: State, tmp_path: Path
) -> None:
    """While it runs it is running, also for others who look."""
    try:
        with recorded_state(tmp_path, "model_x"):
            assert run_state(tmp_path) == "running"
            if error is not None:
                raise error
    except (KeyboardInterrupt, ValueError):
        pass
    assert run_state(tmp_path) == state


def test_a_run_without_its_process_was_interrupted(tmp_path: Path) -> None:
    """Its file says that it runs, and nobody holds it."""
    (tmp_path / "run_state.json").write_text('{"model": "x", "state": "running"}', encoding="utf-8")
    assert run_state(tmp_path) == "interrupted"
    (tmp_path / "run_state.json").write_text("{", encoding="utf-8")
    assert run_state(tmp_path) == "unknown"
    (tmp_path / "net.keras").touch()
    assert run_state(tmp_path) == "finished"


def test_tables_have_six_digits_and_every_column(tmp_path: Path) -> None:
    """What is missing in a row is left empty; text stays as it is."""
    write_rows(tmp_path / "t.csv", [{"a": 1 / 3, "n": 12.0}, {"a": 2e-9, "name": "x"}])
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines() == [
        "a,n,name",
        "0.333333,12,",
        "2e-09,,x",
    ]
