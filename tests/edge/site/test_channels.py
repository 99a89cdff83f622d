"""Recorded channels: a file anybody can read, without a picture, and with nothing else in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.site.channels import read_channels, write_channels
from edge.site.script import read_script
from emoshift.errors import InputError
from tests.support.recordings import SHOWN, record

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_kept_reads_back(tmp_path: Path) -> None:
    """Every number, to what it means."""
    channels = record(SHOWN[:3])
    write_channels(channels, tmp_path / "room.jsonl")
    back = read_channels(tmp_path / "room.jsonl")
    assert back.segments == channels.segments
    assert (back.bundle_id, back.networks) == (channels.bundle_id, channels.networks)
    assert len(back.rows) == len(channels.rows)
    for one, other in zip(back.rows, channels.rows, strict=True):
        assert (one.at_s, one.face, one.degraded) == (other.at_s, other.face, other.degraded)
        assert np.allclose(one.log_probs, other.log_probs, atol=1e-3)
        assert (one.blendshapes is None) == (other.blendshapes is None)


def test_nothing_else_is_kept(tmp_path: Path) -> None:
    """Probabilities, blendshapes, speech, time and a number: no picture, no landmark, no name."""
    write_channels(record(SHOWN[:3]), tmp_path / "room.jsonl")
    _, *lines = (tmp_path / "room.jsonl").read_text().splitlines()
    for line in lines:
        data = json.loads(line)
        assert set(data) == {"t", "face", "log_probs", "talking", "degraded", "blendshapes"}
        assert np.shape(data["log_probs"]) == (3, 7)
        assert data["blendshapes"] is None or len(data["blendshapes"]) == 52


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected recorded channels"),
        ("{}\n", "expected recorded channels"),
        ("[1, 2]\n", "expected recorded channels"),
        ("no json\n", "line 1"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "room.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_channels(path)


@pytest.mark.parametrize("key", ["t", "log_probs", "talking", "blendshapes"])
def test_a_damaged_line_is_named(tmp_path: Path, key: str) -> None:
    path = tmp_path / "room.jsonl"
    write_channels(record(SHOWN[:3]), path)
    lines = path.read_text().splitlines()
    lines[4] = json.dumps({**json.loads(lines[4]), key: "x"})
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="line 5"):
        read_channels(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "expected a list of spans"),
        ('[{"from_s": 0, "to_s": 4, "shows": "joy"}]', "entry 1: shows 'joy'; expected one of"),
        ('[{"from_s": 4, "to_s": 4, "shows": "happy"}]', "no span"),
        ('[{"from_s": 4}]', "expected from_s, to_s and shows"),
        ("{", "not JSON"),
    ],
)
def test_a_script_that_says_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "script.json").write_text(text)
    with pytest.raises(InputError, match=said):
        read_script(tmp_path / "script.json")
