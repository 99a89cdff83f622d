"""The readers keep the official order, and list what they could not read."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("numpy")

from emoshift.emotions import Emotion
from emoshift.errors import InputError
from train.data.fer2013 import fer2013_source, read_fer2013
from train.data.ferplus import COLUMNS, EMOTIONS, LABELS, Votes, read_votes

if TYPE_CHECKING:
    from pathlib import Path

DAMAGED = """emotion,pixels,Usage
3,{good},Training
3,1 2 3,Training
9,{good},Training
x,{good},PublicTest
4,{good},Nowhere
5,{good},PrivateTest
"""


def votes(**given: int) -> Votes:
    counts = np.zeros((1, len(COLUMNS)), np.int8)
    for name, count in given.items():
        counts[0, COLUMNS.index(name)] = count
    return Votes(counts=counts)


def test_damaged_rows_are_counted_and_named_and_the_rest_keeps_its_place(tmp_path: Path) -> None:
    """A bad row is reported by number; the rows after it keep their row numbers."""
    path = tmp_path / "fer2013.csv"
    path.write_text(DAMAGED.format(good=" ".join(["7"] * 2304)), encoding="ascii")
    found = read_fer2013(path)
    assert found.labels.tolist() == [3, -1, -1, -1, -1, 5]
    assert len(found.problems) == 4
    assert "line 3: 3 pixels" in found.problems.summary()
    assert found.rows("PrivateTest").tolist() == [5]


def test_the_zip_reads_as_the_plain_file(made_up: Path, tmp_path: Path) -> None:
    """Both official forms give the same rows."""
    plain = fer2013_source(made_up)
    packed = tmp_path / "fer2013.csv.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(plain, "fer2013.csv")
    np.testing.assert_array_equal(read_fer2013(plain).pixels, read_fer2013(packed).pixels)


def test_a_changed_source_is_decoded_again(made_up: Path, tmp_path: Path) -> None:
    """The cache never outlives the file it was made from."""
    source, cache = fer2013_source(made_up), tmp_path / "cache"
    first = read_fer2013(source, cache)
    np.testing.assert_array_equal(read_fer2013(source, cache).pixels, first.pixels)
    lines = source.read_text(encoding="ascii").splitlines()
    source.write_text("\n".join(lines[:11]) + "\n", encoding="ascii")
    assert len(read_fer2013(source, cache).labels) == 10


def test_a_missing_set_is_one_line(tmp_path: Path) -> None:
    """The message says where and what was expected."""
    with pytest.raises(InputError, match=r"fer2013\.csv"):
        fer2013_source(tmp_path)
    with pytest.raises(InputError, match=r"fer2013new\.csv"):
        read_votes(tmp_path / "fer2013new.csv")


def test_the_head_is_numbered_as_the_device_numbers_emotions() -> None:
    """The device may drop the eighth output and use the rest as it stands."""
    assert LABELS[:7] == tuple(emotion.label for emotion in Emotion)
    assert LABELS[7:] == ("contempt",)


@pytest.mark.parametrize(
    ("given", "label"),
    [
        pytest.param({"happiness": 6, "neutral": 4}, LABELS.index("happy"), id="most"),
        pytest.param({"happiness": 5, "neutral": 5}, -1, id="exactly half"),
        pytest.param({"unknown": 6, "neutral": 4}, -1, id="no emotion"),
        pytest.param({"contempt": 9}, LABELS.index("contempt"), id="contempt"),
        pytest.param({}, -1, id="nobody voted"),
    ],
)
def test_majority(given: dict[str, int], label: int) -> None:
    """A row counts where one emotion has more than half of the votes."""
    assert votes(**given).majority().tolist() == [label]


def test_distribution_ignores_what_is_no_emotion_but_trust_falls() -> None:
    """Votes for no face leave the shares alone and lower the weight."""
    row = votes(sadness=4, fear=4, NF=2)
    assert row.distribution()[0, [LABELS.index("sad"), LABELS.index("fear")]].tolist() == [0.5, 0.5]
    assert row.weight()[0] == pytest.approx(0.8)


def test_single_votes_are_dropped(made_up: Path) -> None:
    """One annotator alone does not count, as in the official protocol."""
    assert not (read_votes(made_up / "fer2013" / "fer2013new.csv").counts == 1).any()


@pytest.mark.data
def test_official_counts(shared_data: Path) -> None:
    """The protocol's counts are reproduced from the votes alone."""
    majority = read_votes(shared_data / "fer2013" / "fer2013new.csv").majority() >= 0
    splits = np.split(majority, [28_709, 32_298])
    assert [int(part.sum()) for part in splits] == [25_060, 3_199, 3_153]
    assert EMOTIONS == 8
