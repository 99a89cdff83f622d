"""The board's own word on temperature and throttling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.health.board import board_name, read_condition

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("zones", "word", "temperature_c", "throttled", "hot"),
    [
        pytest.param(["48312"], "0", 48.312, False, False, id="cool pi"),
        pytest.param(["48312"], "50000", 48.312, False, False, id="throttled earlier, not now"),
        pytest.param(["61000"], "4", 61.0, True, True, id="throttling"),
        pytest.param(["81000", "35000"], None, 81.0, None, True, id="hot jetson"),
        pytest.param([], None, None, None, False, id="says nothing"),
        pytest.param(["not a number", "-1000"], "zz", None, None, False, id="nonsense"),
    ],
)
def test_condition(
    tmp_path: Path,
    zones: list[str],
    word: str | None,
    temperature_c: float | None,
    *,
    throttled: bool | None,
    hot: bool,
) -> None:
    """The hottest zone counts; only throttling that happens now does."""
    for number, zone in enumerate(zones):
        write(tmp_path / f"class/thermal/thermal_zone{number}/temp", zone)
    if word is not None:
        write(tmp_path / "devices/platform/soc/soc:firmware/get_throttled", word)
    condition = read_condition(tmp_path)
    assert (condition.temperature_c, condition.throttled) == (temperature_c, throttled)
    assert condition.hot is hot


@pytest.mark.parametrize("soc", ["soc", "soc@107c000000"])
def test_throttling_is_found_on_every_pi(tmp_path: Path, soc: str) -> None:
    """The firmware's folder carries an address on newer boards."""
    write(tmp_path / f"devices/platform/{soc}/{soc}:firmware/get_throttled", "8")
    assert read_condition(tmp_path).hot


def test_a_board_is_named_by_its_device_tree(tmp_path: Path) -> None:
    """A Pi says what it is; other machines name their processor."""
    write(tmp_path / "cpuinfo", "processor : 0\nmodel name\t: Some CPU @ 2 GHz\n")
    assert board_name(tmp_path) == "Some CPU @ 2 GHz"
    write(tmp_path / "device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    assert board_name(tmp_path) == "Raspberry Pi 5 Model B Rev 1.0"
