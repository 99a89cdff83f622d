"""Votes are never joined to another picture than their own."""

from __future__ import annotations

import logging
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.datasets import read_images as read_for_conversion
from emoshift.errors import InputError
from tests.support.conversion import write_fer
from train.data.annotated import read_annotated
from train.data.fer2013 import OFFICIAL_MD5
from train.data.images import read_images

if TYPE_CHECKING:
    from collections.abc import Callable

Lines = list[str]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files that belong together: 1,200 Training rows, 80 PublicTest, 80 PrivateTest."""
    return write_fer(tmp_path_factory.mktemp("data") / "fer2013", training=1200)


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy of them to spoil."""
    return Path(shutil.copytree(written, tmp_path / "fer2013"))


def edit(path: Path, change: Callable[[Lines], Lines]) -> None:
    head, *rows = path.read_text(encoding="ascii").splitlines()
    path.write_text("\n".join([head, *change(rows)]) + "\n", encoding="ascii")


def without(*numbers: int) -> Callable[[Lines], Lines]:
    return lambda rows: [row for number, row in enumerate(rows) if number not in numbers]


def moved(rows: Lines) -> Lines:
    """One row further on, the length and the splits as they were."""
    return [rows[0], *rows[:1199], *rows[1200:]]


def shuffled(rows: Lines) -> Lines:
    order = np.random.default_rng(1).permutation(1200)
    return [*(rows[i] for i in order), *rows[1200:]]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        pytest.param("fer2013.csv", without(7), "1359 pictures but 1360 rows", id="fewer pictures"),
        pytest.param("fer2013new.csv", without(7), "1360 pictures but 1359", id="fewer votes"),
        pytest.param("fer2013.csv", moved, "labels agree with the votes", id="pictures moved"),
        pytest.param("fer2013.csv", shuffled, "labels agree with the votes", id="shuffled"),
        pytest.param("fer2013new.csv", shuffled, "rows are missing or moved", id="votes shuffled"),
        pytest.param(
            "fer2013.csv",
            lambda rows: [*rows[1200:], *rows[:1200]],
            "row 0 is of PublicTest among the pictures, of Training among the votes",
            id="splits in another order",
        ),
        pytest.param(
            "fer2013new.csv",
            lambda rows: [row.replace("fer0", "face0") for row in rows],
            "'Image name' holds other names",
            id="other names",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    folder: Path, name: str, change: Callable[[Lines], Lines], words: str
) -> None:
    """Training and conversion refuse the same data, with the same words, and say what to take."""
    edit(folder / name, change)
    for read in (
        lambda: read_images(folder.parent, folder / "cache", "Training"),
        lambda: read_for_conversion(folder, "Training"),
    ):
        with pytest.raises(InputError, match=words) as refused:
            read()
        assert "whole and in their order" in str(refused.value)
        assert "\n" not in str(refused.value)


def test_rows_missing_from_both_files_are_refused(folder: Path) -> None:
    """FER+'s own numbering shows the gap, even where both files have the same length."""
    for name in ("fer2013.csv", "fer2013new.csv"):
        edit(folder / name, without(7))
    with pytest.raises(InputError, match="missing or moved after row 6"):
        read_annotated(folder)


def test_the_first_rows_of_both_files_are_an_honest_excerpt(folder: Path) -> None:
    """An excerpt without gaps is read."""
    for name in ("fer2013.csv", "fer2013new.csv"):
        edit(folder / name, lambda rows: rows[:900])
    assert len(read_annotated(folder).votes.counts) == 900


def test_an_unofficial_file_is_named_once(
    folder: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """A line names both checksums, also when the pictures come out of the cache."""
    with caplog.at_level(logging.WARNING):
        read_annotated(folder, tmp_path / "cache")
        read_annotated(folder, tmp_path / "cache")
    [line] = [record.getMessage() for record in caplog.records]
    assert "not the official FER2013" in line
    assert OFFICIAL_MD5 in line


def test_the_checksum_is_that_of_the_csv_inside_the_zip(folder: Path, tmp_path: Path) -> None:
    """Plain and zipped files are known by the same checksum, decoded or out of the cache."""
    plain = read_annotated(folder).fer
    with zipfile.ZipFile(folder / "fer2013.csv.zip", "w") as archive:
        archive.write(folder / "fer2013.csv", "fer2013.csv")
    (folder / "fer2013.csv").unlink()
    for _ in range(2):
        zipped = read_annotated(folder, tmp_path / "cache").fer
        assert zipped.md5 == plain.md5
        assert not zipped.official


@pytest.mark.data
def test_the_official_files(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The official files fit together, and the official counts of FER+8 come out."""
    cache = tmp_path_factory.getbasetemp() / "official"
    annotated = read_annotated(shared_data / "fer2013", cache)
    assert annotated.fer.official
    majority = annotated.votes.majority() >= 0
    counts = {
        usage: int(majority[annotated.fer.rows(usage)].sum())
        for usage in ("Training", "PublicTest", "PrivateTest")
    }
    assert counts == {"Training": 25_060, "PublicTest": 3_199, "PrivateTest": 3_153}
