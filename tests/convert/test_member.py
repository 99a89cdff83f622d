"""What a member's recipe says of its network is held against what training wrote beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.member import convert_member
from convert.recipe import MemberRecipe
from emoshift.errors import ConfigError
from train.data.ferplus import LABELS

if TYPE_CHECKING:
    from pathlib import Path


def test_outputs_in_another_order_are_refused(tmp_path: Path) -> None:
    """As many classes in another order would otherwise be taken for the recipe's."""
    recipe = MemberRecipe(name="mine", kind="cnn", source="mine.keras")
    (tmp_path / "mine.keras").write_bytes(b"")
    card = {"labels": "ferplus", "classes": [*LABELS[1:], LABELS[0]]}
    (tmp_path / "mine.json").write_text(json.dumps(card), encoding="utf-8")
    crops = np.zeros((1, 48, 48), np.uint8)
    with pytest.raises(ConfigError, match=r"its outputs are disgust, fear, .* labels angry"):
        convert_member(recipe, tmp_path, crops, "int8")
    (tmp_path / "mine.json").write_text("no card", encoding="utf-8")
    with pytest.raises(ConfigError, match="not what training wrote"):
        convert_member(recipe, tmp_path, crops, "int8")
