"""Calibration takes labelled training images, evenly, and the same ones every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.calibrate import choose
from convert.datasets import (
    ChannelSequences,
    SplitImages,
    read_images,
    read_sequences,
    seven,
    write_sequences,
)
from convert.recipe import Calibration
from emoshift.errors import InputError
from tests.support.conversion import write_fer
from train.data.ferplus import LABELS

if TYPE_CHECKING:
    from pathlib import Path


def images(counts: list[int], split: str = "Training") -> SplitImages:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int8)
    crops = np.arange(len(labels), dtype=np.uint32)[:, None, None] + np.zeros((48, 48), np.uint32)
    return SplitImages(
        split=split,
        rows=np.arange(len(labels)),
        crops=crops.astype(np.uint8),
        labels=labels,
        fer2013=np.zeros_like(labels),
    )


def test_a_split_that_is_missing_is_named(tmp_path: Path) -> None:
    """Before anything is converted, which takes minutes."""
    with pytest.raises(InputError, match="holds no row of PublicTest"):
        read_images(write_fer(tmp_path, others=0), "PublicTest")


def test_even_shares() -> None:
    """Every emotion gives the same share, a rare one all it has."""
    chosen = choose(images([100] * 7 + [5]), Calibration(pictures=145))
    assert "angry 20, disgust 20" in chosen.described
    assert "contempt 5" in chosen.described
    assert len(chosen.crops) == 145


def test_same_seed_same_pictures() -> None:
    """The seed alone decides which images are taken."""
    some = images([60] * 8)
    a, b, c = (choose(some, Calibration(pictures=120, seed=s)).crops for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_unlabelled_rows_are_left_out() -> None:
    """Rows without a majority are never taken."""
    some = images([40] * 8)
    some.labels[:] = -1
    some.labels[:110] = 3
    assert choose(some, Calibration(pictures=200)).described.startswith("110 pictures")


def test_training_only() -> None:
    """Images of another split are refused, whatever the recipe says."""
    with pytest.raises(InputError, match="Training only, never of PublicTest"):
        choose(images([50] * 8, "PublicTest"), Calibration())


def test_too_few() -> None:
    """Fewer than a hundred labelled images are reported with what to do."""
    with pytest.raises(InputError, match=r"99 labelled images in Training; .* --calibration"):
        choose(images([99]), Calibration())


def test_reader(tmp_path: Path) -> None:
    """The official csv and votes are read, standardised, with FER+ majority labels."""
    found = read_images(write_fer(tmp_path), "PublicTest")
    assert found.crops.shape == (80, 48, 48)
    assert set(found.labels.tolist()) == set(range(len(LABELS)))
    assert abs(float(found.crops.mean()) - 128) < 2
    assert found.rows[0] == 160


def drop_votes(folder: Path) -> None:
    (folder / "fer2013new.csv").unlink()


def shorten_votes(folder: Path) -> None:
    path = folder / "fer2013new.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:100]))


def spoil_votes(folder: Path) -> None:
    path = folder / "fer2013new.csv"
    path.write_text(path.read_text().replace("contempt", "disdain"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(drop_votes, r"fer2013new\.csv: no such file; .* --calibration", id="no votes"),
        pytest.param(shorten_votes, "320 pictures but 99 rows of votes", id="votes cut"),
        pytest.param(spoil_votes, r"lacks the column contempt", id="other labels"),
    ],
)
def test_bad_data(tmp_path: Path, damage: object, words: str) -> None:
    """Data that are incomplete or do not fit together are refused in one line."""
    folder = write_fer(tmp_path)
    assert callable(damage)
    damage(folder)
    with pytest.raises(InputError, match=words) as refused:
        read_images(folder, "Training")
    assert "\n" not in str(refused.value)


def test_seven() -> None:
    """Contempt and missing labels become -1, the others keep their emotion."""
    given = np.array([0, 6, 7, -1], np.int8)
    assert seven(given).tolist() == [0, 6, -1, -1]


def test_sequences_round_trip(tmp_path: Path) -> None:
    """Sequences come back within half a level."""
    rng = np.random.default_rng(1)
    some = rng.uniform(-4, 4, (3, 5, 2)).astype(np.float32)
    given = ChannelSequences(
        calibration=some,
        held_out=some + 0.1,
        stills=some[0],
        still_rows=np.arange(5),
        report=some[1],
        report_rows=np.arange(5),
        origin="here",
    )
    write_sequences(tmp_path / "s.npz", given)
    back = read_sequences(tmp_path / "s.npz")
    np.testing.assert_allclose(back.calibration, some, atol=0.5 / 31.75 + 1e-6)
    assert back.origin == "here"


@pytest.mark.parametrize("content", [None, b"PK no", b""], ids=["missing", "damaged", "empty"])
def test_bad_sequences(tmp_path: Path, content: bytes | None) -> None:
    """A file of sequences that is missing or damaged is reported in one line."""
    path = tmp_path / "s.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"s\.npz"):
        read_sequences(path)
