"""Projecting onto boards."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.projection import (
    Figure,
    known_targets,
    project_stages,
    read_target,
    reference,
)
from benchmarks.reports.statistics import summarise
from emoshift.errors import UsageError


def took(ms):
    return summarise(np.full(5, ms))


def test_every_target_names_its_sources():
    """Each board has both models' figures and says where they stand."""
    assert {"pi4", "pi5"} <= set(known_targets())
    for name in known_targets():
        target = read_target(name)
        assert set(target.figures) == {"float32", "int8"}
        assert target.sources
        assert all(f.low_ms <= f.high_ms and f.one_thread >= 1 for f in target.figures.values())


def test_unknown_target():
    """One line that names those there are."""
    with pytest.raises(UsageError, match=r"the targets are .*pi4"):
        read_target("pi9")


def test_stages_are_multiplied_by_their_own_factor():
    """Networks go by int8, finding faces by float32 and up to three times that, Python by both."""
    figure = Figure(low_ms=80, high_ms=80, one_thread=2)
    references = {
        "float32": reference("float32", took(10.0), figure),  # 8 to 16
        "int8": reference("int8", took(20.0), figure),  # 4 to 8
    }
    measured = {"faces": took(5.0), "features": took(1.0), "models": took(2.0)}
    stages, total = project_stages(measured, references)
    assert (stages["faces"].low, stages["faces"].high) == (40, 240)
    assert (stages["models"].low, stages["models"].high) == (8, 16)
    assert (stages["features"].low, stages["features"].high) == (4, 16)
    assert (total.low, total.high) == (52, 272)
