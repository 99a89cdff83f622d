"""Folder readers take what people have, and list what they left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("cv2")

import cv2

from emoshift.errors import InputError
from train.data.ferplus import LABELS
from train.data.image_folder import (
    read_cached_folder,
    read_ckplus48,
    read_tree,
    subject_folds,
)
from train.data.images import classes_of, read_image_folder
from train.data.sampling import Selection

if TYPE_CHECKING:
    from pathlib import Path


def put(path: Path, side: int = 48) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((side, side), 90, np.uint8))


def test_other_words_sizes_and_colour(tmp_path: Path) -> None:
    """Anger is angry, any size becomes 48x48, and the order is that of the names."""
    put(tmp_path / "Happy" / "b.png", side=64)
    put(tmp_path / "anger" / "a.png")
    tree = read_tree(tmp_path)
    assert tree.names == ("Happy/b.png", "anger/a.png")
    assert tree.labels.tolist() == [LABELS.index("happy"), LABELS.index("angry")]
    assert tree.crops.shape == (2, 48, 48)
    assert tree.problems.summary() == "all readable"


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    """A broken file, an empty one, a text and a folder of no emotion are reported by name."""
    put(tmp_path / "sad" / "good.png")
    put(tmp_path / "bored" / "x.png")
    for name, content in (("cut.png", b"\x89PNG"), ("empty.jpg", b""), ("note.txt", b"hello")):
        (tmp_path / "sad" / name).write_bytes(content)
    tree = read_tree(tmp_path)
    assert tree.names == ("sad/good.png",)
    reported = "\n".join(tree.problems.lines)
    for name in ("bored/", "sad/cut.png", "sad/empty.jpg", "sad/note.txt"):
        assert name in reported


def test_nothing_to_read_is_an_expected_error(tmp_path: Path) -> None:
    """No folder, or no picture in it."""
    with pytest.raises(InputError, match="no such folder"):
        read_tree(tmp_path / "none")
    with pytest.raises(InputError, match="found no picture"):
        read_tree(tmp_path)


def test_kaggle_has_two_splits(tmp_path: Path) -> None:
    """The test folder is not mixed into the training one."""
    put(tmp_path / "train" / "fear" / "1.png")
    put(tmp_path / "test" / "fear" / "2.png")
    put(tmp_path / "test" / "fear" / "3.png")
    classes = classes_of(Selection(classes=("fear", "happy")), "ferplus", folder=True)
    train, test = read_image_folder(
        tmp_path, tmp_path / "cache", classes, seed=1, log=lambda _: None
    )
    assert (len(train.crops), len(test.crops)) == (1, 2)


def test_too_few_to_hold_any_out(tmp_path: Path) -> None:
    """One image, or one person, is said to be too few, not to be none."""
    put(tmp_path / "one" / "fear" / "1.png")
    for number in range(3):
        put(tmp_path / "CK+48" / "fear" / f"S010_004_{number}.png")
    classes = classes_of(Selection(classes=("fear", "happy")), "ferplus", folder=True)
    for folder, whom in (("one", "1 images"), ("CK+48", "1 people")):
        with pytest.raises(InputError, match=f"{whom} are too few"):
            read_image_folder(
                tmp_path / folder, tmp_path / "cache", classes, seed=1, log=lambda _: None
            )


def test_folds_never_share_a_person() -> None:
    """Pictures of one subject stay together, and every fold gets some."""
    subjects = [f"S{i % 23:03d}" for i in range(200)]
    folds = subject_folds(subjects, 5, seed=1)
    by_person = {
        s: {int(f) for t, f in zip(subjects, folds, strict=True) if t == s} for s in subjects
    }
    assert all(len(one) == 1 for one in by_person.values())
    assert set(folds.tolist()) == set(range(5))


@pytest.mark.data
def test_ckplus48(shared_data: Path) -> None:
    """981 pictures of 118 subjects, as published."""
    tree = read_ckplus48(shared_data / "ckplus48")
    assert len(tree.crops) == 981
    assert len(set(tree.subjects)) == 118
    assert not tree.problems.lines


def test_a_folder_is_decoded_again_when_it_changes(tmp_path: Path) -> None:
    """The cache answers the second time, and not for other pictures."""
    root, cache = tmp_path / "faces", tmp_path / "cache"
    put(root / "sad" / "1.png")
    (root / "sad" / "2.png").write_bytes(b"broken")
    first, second = read_cached_folder(root, cache), read_cached_folder(root, cache)
    assert len(list(cache.iterdir())) == 1
    assert second.names == first.names == ("sad/1.png",)
    assert np.array_equal(second.crops, first.crops)
    assert second.problems == first.problems
    put(root / "sad" / "2.png")
    assert read_cached_folder(root, cache).names == ("sad/1.png", "sad/2.png")


def test_ckplus_keeps_its_subjects_in_the_cache(tmp_path: Path) -> None:
    """So that a split by subject is one after the second reading too."""
    put(tmp_path / "CK+48" / "anger" / "S010_004_01.png")
    for _ in range(2):
        assert read_cached_folder(tmp_path, tmp_path / "cache").subjects == ("S010",)
