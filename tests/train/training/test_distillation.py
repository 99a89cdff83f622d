"""Distillation: what a teacher's word does to the targets."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoshift.errors import ConfigError, InputError

pytest.importorskip("keras", reason="needs the training environment: make test-train")

from train.data.folds import Fold
from train.data.images import read_images
from train.evaluation.metrics import softmax
from train.evaluation.predictions import image_logits
from train.recipe import ResidualRecipe
from train.recipe_file import parse_recipe
from train.saved_net import open_scorer
from train.training.distillation import blend, read_teacher, write_teacher
from train.training.run import RunOptions, start_run
from train.training.two_head_task import build_compiled, write_two_head

TAUGHT_LABELS = Path(__file__).parents[3] / "models" / "sources" / "taught_labels.npz"
TOY = """
model = "residual"
seed = 4
batch_size = 8
[[phases]]
epochs = 1
image_size = 48
learning_rate = 0.02
[network]
stem = 4
widths = [4]
blocks = [1]
"""
VOTES = np.array([[0.75, 0.25], [0.0, 0.0]], np.float32)
TAUGHT = np.array([[0.5, 0.5], [0.1, 0.9]], np.float32)


def test_no_share_leaves_the_votes_alone() -> None:
    """A teacher with share 0 changes neither targets nor weights."""
    targets, weights = blend(VOTES, np.array([0.8, 0.0], np.float32), TAUGHT, 0.0)
    np.testing.assert_allclose(targets, VOTES)
    np.testing.assert_allclose(weights, [0.8, 0.0])


def test_a_row_without_votes_is_the_teachers() -> None:
    """Where no annotator saw an emotion, the teacher alone speaks, with its share as weight."""
    targets, weights = blend(VOTES, np.array([1.0, 0.0], np.float32), TAUGHT, 0.4)
    np.testing.assert_allclose(targets[1], TAUGHT[1], rtol=1e-6)
    np.testing.assert_allclose(weights, [1.0, 0.4], rtol=1e-6)
    np.testing.assert_allclose(targets[0], [0.65, 0.35], rtol=1e-6)


@given(share=st.floats(0.01, 1.0), trust=st.floats(0.0, 1.0))
def test_targets_stay_distributions(share: float, trust: float) -> None:
    """Whatever the share and the trust, every target sums to 1 and no weight exceeds 1."""
    votes = np.array([[0.2, 0.8]], np.float32) if trust > 0 else np.zeros((1, 2), np.float32)
    targets, weights = blend(votes, np.array([trust], np.float32), TAUGHT[:1], share)
    assert targets.sum() == pytest.approx(1.0, abs=1e-5)
    assert 0 < weights[0] <= 1 + 1e-6


def test_a_teacher_of_other_rows_is_refused(tmp_path: Path) -> None:
    """A teacher's file made from another data set says so instead of teaching nonsense."""
    path = tmp_path / "teacher.npz"
    np.savez(path, rows=np.arange(2), ferplus=np.zeros((2, 8)), fer2013=np.zeros((2, 7)))
    with pytest.raises(InputError, match="is about 2 rows, expected 3"):
        read_teacher(path, np.arange(3))
    with pytest.raises(InputError, match="not what `train teach` writes"):
        read_teacher(tmp_path / "none.npz", np.arange(3))


def test_a_teacher_may_be_asked_for_some_of_its_rows(tmp_path: Path) -> None:
    """A network that leaves a part out learns from the teacher of all the others."""
    path = tmp_path / "teacher.npz"
    ferplus = np.arange(32, dtype=np.float32).reshape(4, 8)
    np.savez(path, rows=np.arange(4), ferplus=ferplus, fer2013=np.zeros((4, 7), np.float32))
    teacher = read_teacher(path, np.array([1, 3]))
    np.testing.assert_array_equal(teacher.ferplus, ferplus[[1, 3]])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_networks_count_by_their_weights(made_up: Path, tmp_path: Path) -> None:
    """The mean is that of probabilities, and reads back as it was but for rounding."""
    nets = [tmp_path / f"{seed}.keras" for seed in (1, 2)]
    for seed, net in enumerate(nets, start=1):
        recipe = parse_recipe({**tomllib.loads(TOY), "seed": seed}, ResidualRecipe, where="toy")
        write_two_head(recipe, build_compiled(recipe).get_weights(), net)
    where = {"data": made_up, "cache": tmp_path / "cache"}
    path = tmp_path / "teacher.npz"
    one, two = (write_teacher([net], path, **where) for net in nets)
    both = write_teacher(nets, path, weights=(0.6, 0.4), **where)
    for head in ("ferplus", "fer2013"):
        first, second, mixed = (getattr(each, head) for each in (one, two, both))
        assert np.abs(first - second).max() > 0.01
        np.testing.assert_allclose(mixed, 0.6 * first + 0.4 * second, atol=1e-6)
        np.testing.assert_allclose(getattr(read_teacher(path, both.rows), head), mixed, atol=5e-4)
    with pytest.raises(InputError, match="found 1 weights for 2 networks"):
        write_teacher(nets, path, weights=(1.0,), **where)


def test_the_labels_that_come_along_are_a_teachers() -> None:
    """They are about Training, every row a distribution in both heads."""
    rows = np.arange(28_709)
    teacher = read_teacher(TAUGHT_LABELS, rows)
    for head, classes in (("ferplus", 8), ("fer2013", 7)):
        probabilities = getattr(teacher, head)
        assert probabilities.shape == (len(rows), classes)
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_teachers_answer_only_for_the_part_they_left_out(made_up: Path, tmp_path: Path) -> None:
    """Each image is taught by the network that has not seen it; a part without one is refused."""
    cache = tmp_path / "cache"
    recipe = tmp_path / "toy.toml"
    recipe.write_text(TOY, encoding="utf-8")
    nets = []
    for part in ("1/2", "2/2"):
        run = start_run(
            RunOptions(
                name=f"part-{part[0]}",
                recipe=recipe,
                leave_out=part,
                data=made_up,
                cache=cache,
                runs=tmp_path / "runs",
            ),
            log=lambda _: None,
        )
        nets.append(run / "net.keras")
    path = tmp_path / "teacher.npz"
    with pytest.raises(InputError, match="images have no teacher"):
        write_teacher(nets[:1], path, data=made_up, cache=cache)
    teacher = write_teacher(nets, path, data=made_up, cache=cache)
    images = read_images(made_up, cache, "Training")
    for part, net in zip(("1/2", "2/2"), nets, strict=True):
        held = Fold.parse(part).holds(images.crops)
        assert 0 < held.sum() < len(held)
        alone = softmax(
            image_logits(open_scorer(net), images.crops[held], mirrored=True)["ferplus"]
        )
        np.testing.assert_allclose(teacher.ferplus[held], alone, atol=1e-5)
    last = nets[0].parent / "checkpoints" / "epoch-001.npz"
    again = RunOptions(name="again", recipe=recipe, resume=last, data=made_up, cache=cache)
    with pytest.raises(ConfigError, match="left out 1/2, found nothing"):
        start_run(again, log=lambda _: None)
    begun = RunOptions(
        name="begun", recipe=recipe, weights=nets[0], leave_out="2/2", data=made_up, cache=cache
    )
    with pytest.raises(ConfigError, match="come from left out 1/2, --leave-out says 2/2"):
        start_run(begun, log=lambda _: None)
    done = replace(again, leave_out="1/2", runs=tmp_path / "again")
    with pytest.raises(InputError, match="1 epochs are done and the recipe asks for 1"):
        start_run(done, log=lambda _: None)
    assert not (tmp_path / "again").exists()
