"""A recipe is typed data; what cannot work is refused with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from convert.recipe import DEFAULT_RECIPE, load_recipe, parse_recipe
from emoshift.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

CNN: dict[str, Any] = {"name": "cnn_a", "kind": "cnn", "source": "a.keras"}
LSTM: dict[str, Any] = {
    "name": "lstm_a",
    "kind": "lstm",
    "source": "b.keras",
    "channels": "b.json",
    "samples": "b.npz",
}


def recipe(*members: dict[str, Any], **changes: Any) -> dict[str, Any]:
    plain = {"name": "test", "licence": "none", "training_data": ["none"], "sources": "src"}
    return {**plain, "members": list(members or (CNN, LSTM)), **changes}


def test_default_recipe() -> None:
    """The recipe that comes with the package is valid, and finds its sources from its own place."""
    default = load_recipe(DEFAULT_RECIPE)
    assert default.sources.parts[-2:] == ("models", "sources")
    assert {default.precision(m) for m in default.members} == {"int8"}


def test_precision_of_recurrent_members(tmp_path: Path) -> None:
    """In a float16 bundle recurrent members stay float32, whose state has one encoding."""
    parsed = parse_recipe(recipe(quantise="float16"), tmp_path / "r.toml")
    assert [parsed.precision(m) for m in parsed.members] == ["float16", "float32"]


def test_quantise_replaces_the_precision(tmp_path: Path) -> None:
    """The command line's precision takes the place of the recipe's."""
    path = tmp_path / "r.toml"
    path.write_text(DEFAULT_RECIPE.read_text())
    assert load_recipe(path, quantise="dynamic").quantise == "dynamic"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(recipe({**LSTM, "channels": None}), "needs channels", id="no channels"),
        pytest.param(recipe({**LSTM, "samples": None}), "needs samples", id="no samples"),
        pytest.param(recipe({**LSTM, "mirrored": True}), "mirrored is for pictures", id="mirrored"),
        pytest.param(recipe({**LSTM, "head": "a"}), "has one", id="head"),
        pytest.param(
            recipe({**LSTM, "quantise": "float16"}), "cannot be float16", id="float16 step"
        ),
        pytest.param(recipe({**CNN, "samples": "a.npz"}), "for lstm members", id="cnn samples"),
        pytest.param(recipe(CNN, CNN), "two members are called cnn_a", id="twice"),
        pytest.param(recipe(calibration={"pictures": 10}), "calibration.pictures", id="too few"),
        pytest.param(recipe(gate={"agreement": 2}), "gate.agreement", id="limit above one"),
        pytest.param(recipe(quantise="int4"), "quantise", id="unknown precision"),
        pytest.param(recipe(calibraton={}), "unknown key calibraton", id="typo"),
        pytest.param(recipe({**CNN, "name": "../a"}), "members.0.name", id="name with a path"),
    ],
)
def test_refused(tmp_path: Path, data: dict[str, Any], words: str) -> None:
    """Each impossible combination is reported, with the file and exit code 78."""
    with pytest.raises(ConfigError) as refused:
        parse_recipe(data, tmp_path / "r.toml")
    assert words in str(refused.value)
    assert "r.toml" in str(refused.value)
    assert refused.value.exit_code == 78


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "no such file", id="missing"),
        pytest.param(b"name = ", "not TOML", id="no TOML"),
        pytest.param(b"\xff", "another encoding than UTF-8", id="no text"),
    ],
)
def test_unreadable(tmp_path: Path, content: bytes | None, words: str) -> None:
    """A recipe that cannot be read is refused as such."""
    path = tmp_path / "r.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        load_recipe(path)
