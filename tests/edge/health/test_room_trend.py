"""A room that changes over weeks is to be calibrated again; one bad day is no change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.health.room_trend import DAYS, ENOUGH_READINGS, RoomTrend

if TYPE_CHECKING:
    from pathlib import Path

Day = tuple[int, float | None, float | None]


def calls(folder: Path, days: list[Day], *, readings: int = ENOUGH_READINGS) -> bool:
    trend = RoomTrend(folder / "trend.json", "bundle-1")
    for day, drift, abstained in days:
        for _ in range(readings):
            trend.add(day, drift=drift, abstained=abstained)
    return trend.calls_for_calibration()


def weeks(first: tuple[float | None, float], last: tuple[float | None, float]) -> list[Day]:
    """Two school weeks as the first, two as the last."""
    days = [*range(5), *range(7, 12)]
    return [(d, *first) for d in days] + [(14 + d, *last) for d in days]


@pytest.mark.parametrize(
    ("days", "called"),
    [
        pytest.param(weeks((0.3, 0.2), (0.3, 0.2)), False, id="as ever"),
        pytest.param(weeks((0.6, 0.2), (0.6, 0.2)), False, id="a high figure that stays"),
        pytest.param(weeks((0.3, 0.2), (0.6, 0.2)), True, id="drift has risen"),
        pytest.param(weeks((0.3, 0.2), (0.3, 0.36)), True, id="abstention has risen"),
        pytest.param(weeks((None, 0.2), (None, 0.36)), True, id="without a baseline"),
        pytest.param(weeks((0.6, 0.5), (0.3, 0.2)), False, id="it has fallen"),
        pytest.param([(d, 0.1 + 0.1 * d, 0.2) for d in range(12)], False, id="less than two weeks"),
        pytest.param([(3 * d, 0.1 + 0.1 * d, 0.2) for d in range(9)], False, id="too few days"),
        pytest.param(
            [*[(d, 0.3, 0.2) for d in range(20)], (20, 2.0, 0.9)],
            True,
            id="one very bad day counts",
        ),
        pytest.param(
            [*[(d, 0.3, 0.2) for d in range(20)], (20, 1.0, 0.5)], False, id="one bad day does not"
        ),
    ],
)
def test_what_calls_for_a_calibration(tmp_path: Path, days: list[Day], called: bool) -> None:
    assert calls(tmp_path, days) is called


def test_an_empty_room_says_nothing(tmp_path: Path) -> None:
    """Days with few readings, and readings of nobody, do not count."""
    days = weeks((0.3, 0.2), (0.9, 0.9))
    assert not calls(tmp_path, days, readings=ENOUGH_READINGS - 1)
    assert not calls(tmp_path, [(day, 0.9, None) for day, *_ in days])


def test_a_restart_forgets_nothing_and_another_model_begins_anew(tmp_path: Path) -> None:
    path, days = tmp_path / "trend.json", weeks((0.3, 0.2), (0.6, 0.2))
    for day, drift, abstained in days:
        trend = RoomTrend(path, "bundle-1")
        for _ in range(ENOUGH_READINGS):
            trend.add(day, drift=drift, abstained=abstained)
        trend.save()
    assert RoomTrend(path, "bundle-1").calls_for_calibration()
    assert not RoomTrend(path, "bundle-1+site-000000000000").calls_for_calibration()


def test_years_fit_into_a_small_file(tmp_path: Path) -> None:
    calls(tmp_path, [(day, 0.3, 0.2) for day in range(1000)])
    assert (tmp_path / "trend.json").stat().st_size < 10_000


@pytest.mark.parametrize("text", ["", "[]", '{"model": "bundle-1", "days": [{"x": 1}]}', "{"])
def test_a_damaged_file_begins_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "trend.json").write_text(text)
    assert not calls(tmp_path, weeks((0.3, 0.2), (0.3, 0.2))[:DAYS])
