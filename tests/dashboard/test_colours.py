"""The colours of the states are told apart by everybody, in both themes."""

from __future__ import annotations

import itertools
import re
from importlib import resources

import numpy as np
import pytest

from emoshift.emotions import STATES

STYLE = resources.files("dashboard.web").joinpath("static/style.css").read_text(encoding="utf-8")
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
# Severe protanopia and deuteranopia in linear RGB (Machado, Oliveira and Fernandes, 2009).
VISION = {
    "all colours": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "achromatopsia": np.tile(LUMINANCE, (3, 1)),
}
NEIGHBOURS = 2.0
AGAINST_THE_CARD = 3.0


def theme(name: str) -> dict[str, str]:
    """Read a theme's variables; the dark one replaces some of the light one's."""
    blocks = re.findall(r"(?::root|html\[data-theme=\"(\w+)\"\]) \{(.*?)\}", STYLE, re.DOTALL)
    found: dict[str, str] = {}
    for chosen, block in blocks:
        if chosen in ("", name):
            found |= dict(re.findall(r"--([\w-]+): (#\w+);", block))
    return found


def luminance(colour: str, vision: np.ndarray) -> float:
    """Relative luminance (WCAG 2.2) as the given eye sees the colour."""
    if len(colour) == 4:
        colour = "#" + "".join(2 * digit for digit in colour[1:])
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(np.clip(vision @ linear, 0, 1) @ LUMINANCE)


def contrast(one: str, other: str, vision: np.ndarray) -> float:
    """Contrast ratio (WCAG 2.2)."""
    dark, light = sorted((luminance(one, vision), luminance(other, vision)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("vision", list(VISION))
def test_neighbours_differ(name, vision):
    """States that lie side by side in bars and areas differ in contrast by at least 2 to 1."""
    colours = theme(name)
    for one, other in itertools.pairwise(STATES):
        ratio = contrast(colours[one], colours[other], VISION[vision])
        assert ratio >= NEIGHBOURS, f"{one}, {other}: {ratio:.2f}"


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_state_is_seen(name):
    """Each bar differs from the card it lies on by at least 3 to 1."""
    colours = theme(name)
    for state in STATES:
        assert contrast(colours[state], colours["card"], np.eye(3)) >= AGAINST_THE_CARD, state


def test_every_state_has_a_pattern():
    """Where colours fail altogether, patterns tell the states apart."""
    patterns = [re.search(rf"share\.s-{s}\) \{{ (.*?) \}}", STYLE) for s in STATES]
    assert all(patterns)
    assert len({found.group(1) for found in patterns if found}) == len(STATES)
