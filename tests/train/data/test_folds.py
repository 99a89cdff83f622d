"""Parts of the training pictures."""

from __future__ import annotations

import numpy as np
import pytest

from emoshift.errors import InputError
from train.data.folds import Fold


def test_every_picture_is_in_one_part_with_its_copies() -> None:
    """The parts cover everything once, are about equal, and keep copies together."""
    crops = np.random.default_rng(3).integers(0, 256, (600, 8, 8)).astype(np.uint8)
    crops[300:] = crops[:300]
    parts = np.stack([Fold(number=one, count=3).holds(crops) for one in (1, 2, 3)])
    assert (parts.sum(axis=0) == 1).all()
    np.testing.assert_array_equal(parts[:, :300], parts[:, 300:])
    assert parts.sum(axis=1).min() > 140


def test_a_part_does_not_depend_on_the_other_pictures() -> None:
    """A subset is parted as the whole."""
    crops = np.random.default_rng(3).integers(0, 256, (90, 8, 8)).astype(np.uint8)
    part = Fold.parse("2/3")
    np.testing.assert_array_equal(part.holds(crops)[::2], part.holds(crops[::2]))


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/1", "a/b", "3", "1/3/3", "-1/3"])
def test_what_names_no_part_is_refused(text: str) -> None:
    """The message shows how a part is written."""
    with pytest.raises(InputError, match="1/3 for the first of three"):
        Fold.parse(text)


def test_a_part_is_written_as_it_is_read() -> None:
    """Round trip."""
    assert str(Fold.parse("2/5")) == "2/5"
