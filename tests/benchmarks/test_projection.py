"""Projecting onto boards."""

from __future__ import annotations

import math
from itertools import cycle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.board_simulation import BoardPlanner, Simulated, Work, simulate
from benchmarks.frame_parts import PYTHON, Parts, cost_there, split
from benchmarks.projection import project_board
from benchmarks.published.figures import known_targets, read_boards, read_sources
from benchmarks.published.ratios import LEVEL, Pair, Ratio, direct, predicted, slower
from benchmarks.published.validate import predict_left_out, trials
from benchmarks.reports.schema import Reference
from benchmarks.reports.statistics import summarise


def pairs(*ratios):
    return [
        Pair(network=f"net{i}", source="paper", before_ms=10.0, after_ms=10.0 * ratio)
        for i, ratio in enumerate(ratios)
    ]


def between(low, high):
    low, high = math.log(low), math.log(high)
    return Ratio(log=(low + high) / 2, half=(high - low) / 2, steps=(), sources=frozenset())


def test_every_figure_names_its_source():
    """No figure stands without where it was found, and no source is listed for nothing."""
    boards, sources = read_boards(), read_sources()
    used = {figures.source for board in boards.values() for figures in board.figures}
    assert used == set(sources)
    assert {"pi3", "pi4", "pi5", "zero2w", "n100"} <= set(known_targets())
    for board in boards.values():
        assert board.related is None or board.related in boards
        assert all(ms > 0 for figures in board.figures for ms in figures.ms.values())
        assert all(1 <= figures.threads <= board.cores for figures in board.figures)


def test_boards_go_by_the_name_in_their_device_tree():
    """A revision's number does not matter, another model does."""
    boards = read_boards()
    assert boards["pi4"].is_called("Raspberry Pi 4 Model B Rev 1.5")
    assert not boards["pi4"].is_called("Raspberry Pi 5 Model B Rev 1.0")
    assert boards["zero2w"].is_called("Raspberry Pi Zero 2 W Rev 1.0")


def test_the_interval_is_the_normal_samples():
    """Mean and deviation of the logarithms, Student's t with n - 1, and the next network's own."""
    ratio = predicted(pairs(2.0, 4.0, 8.0))
    assert ratio.estimate == pytest.approx(4.0)
    half = 2.920 * math.log(2) * math.sqrt(1 + 1 / 3)
    assert ratio.high == pytest.approx(4.0 * math.exp(half))
    assert ratio.low == pytest.approx(4.0 / math.exp(half))


@given(
    st.lists(st.floats(0.1, 50), min_size=3, max_size=30),
    st.floats(0.01, 100),
)
def test_units_do_not_matter(ratios, unit):
    """A board that is slower by a factor has an interval that is higher by that factor."""
    once, scaled = predicted(pairs(*ratios)), predicted(pairs(*(r * unit for r in ratios)))
    assert scaled.low == pytest.approx(once.low * unit)
    assert scaled.high == pytest.approx(once.high * unit)
    assert once.low <= once.estimate <= once.high


def test_two_steps_multiply():
    """What two independent ratios leave open adds as errors do."""
    whole = between(2, 8).then(between(3, 27))
    assert whole.estimate == pytest.approx(36)
    half = math.hypot(math.log(2), math.log(3))
    assert whole.high == pytest.approx(36 * math.exp(half))


def test_straight_where_enough_networks_are_known_in_both_places():
    """Nine times slower in every network here and there is nine times slower, without doubt."""
    boards = read_boards()
    (figures,) = (f for f in boards["pi5"].figures if (f.kind, f.threads) == ("int8", 4))
    here = {name: ms / 9 for name, ms in figures.ms.items()}
    assert len(direct(here, boards["pi5"], "int8", 4)) == len(figures.ms)
    ratio = slower(here, boards, "pi5", "int8", 4)
    assert (ratio.low, ratio.high) == (pytest.approx(9), pytest.approx(9))
    one = slower(here, boards, "pi5", "int8", 1)
    assert one.low < one.estimate < one.high
    assert one.estimate > 2 * ratio.estimate  # one thread instead of four


def test_a_board_is_known_by_its_relative():
    """The Zero 2 W, of which nothing is published with this runtime, over the Pi 4."""
    boards = read_boards()
    here = {"mobilenet-v1": 4.0, "mobilenet-v2": 3.0, "efficientdet-lite0": 11.0}
    over = slower(here, boards, "zero2w", "int8", 4)
    assert any("pi4 to zero2w by 7 networks" in step for step in over.steps)
    assert over.estimate > 2 * slower(here, boards, "pi4", "int8", 4).estimate


def test_old_kernels_are_not_counted_as_todays():
    """Times of a runtime without XNNPACK say how boards differ, not how fast this project is."""
    boards = read_boards()
    here = {name: 1.0 for figures in boards["pi3"].figures for name in figures.ms}
    sources = {pair.source for pair in direct(here, boards["pi3"], "int8", 4)}
    assert sources == {"xnnpack-2022"}


def test_a_left_out_figure_is_predicted_without_itself():
    """One network that is unlike all others misses; the others' intervals are the wider for it."""
    left_out = predict_left_out(pairs(2.0, 2.1, 1.9, 2.05, 30.0))
    assert [one.hit for one in left_out] == [True, True, True, True, False]
    assert left_out[-1].estimate_ms == pytest.approx(20, rel=0.05)


def test_siblings_can_be_left_out_too():
    """A family is one witness: its members agree with one another more than with others."""
    assert Pair(network="ssdlite-mobilenet-v2", source="", before_ms=1, after_ms=1).family == "ssd"
    named = [
        Pair(network=name, source="paper", before_ms=1.0, after_ms=after)
        for name, after in (("a-1", 2.0), ("a-2", 2.1), ("b-1", 3.0), ("c-1", 3.1), ("d-1", 2.9))
    ]
    found = {one.pair.network: one for one in predict_left_out(named, siblings=False)}
    assert found["a-1"].estimate_ms == pytest.approx(3.0, rel=0.01)
    assert not found["a-1"].hit
    few = predict_left_out(named[:3], siblings=False)
    assert few == ()


def test_published_figures_lie_where_the_others_put_them():
    """As many as the intervals promise: Pi 4 from Pi 5, N100 from Pi 4, and all the rest."""
    found = trials(read_boards())
    what = {trial.what for trial in found}
    assert {"pi4 from pi5", "n100 from pi4", "n100 from pi5"} <= what
    hits = sum(trial.hits for trial in found)
    figures = sum(len(trial.left_out) for trial in found)
    assert figures > 500
    assert hits / figures == pytest.approx(LEVEL, abs=0.04)
    apart = [one for trial in found for one in trial.without_siblings]
    assert len(apart) > 100
    assert sum(one.hit for one in apart) / len(apart) > 0.8


def test_a_frame_is_divided_into_its_networks():
    """The rest is Python; the detector is in no part of it; what a frame lacks took no time."""
    frames = [
        {"faces": 20.0, "detector_round": 8.0, "mesh": 6.0, "small_face": 1.0, "landmarks": 9.0,
         "features": 1.0, "models": 4.0, "cnn": 3.0, "transitions": 1.0},
        {"faces": 2.0, "small_face": 1.5, "features": 0.5, "models": 0.0, "transitions": 0.5},
    ]  # fmt: skip
    parts = split(frames, {"cnn": "int8"}, 0.1)
    assert parts.kinds == {
        "mesh": "float32", "small_face": "int8", "cnn": "int8",
        PYTHON: "python",
    }  # fmt: skip
    assert parts.ms[PYTHON].tolist() == [8.0, 1.5]
    assert parts.ms["cnn"].tolist() == [3.0, 0.0]
    assert parts.rounds_ms.tolist() == [8.0]
    assert parts.rounds_per_s == pytest.approx(5.0)


def test_landmarks_that_are_not_timed_apart_are_one_float_network():
    """So a back end that reports no network is projected whole."""
    parts = split([{"faces": 5.0, "landmarks": 4.0, "transitions": 1.0}], {}, 0.1)
    assert parts.kinds == {"landmarks": "float32", PYTHON: "python"}
    assert parts.ms[PYTHON].tolist() == [2.0]


def steady(ms, n=20):
    return Parts(
        kinds={"net": "int8", PYTHON: "python"},
        ms={"net": np.full(n, float(ms)), PYTHON: np.full(n, 1.0)},
        rounds_ms=np.full(5, 4.0),
        rounds_per_s=5.0,
    )


def test_a_frame_costs_what_its_parts_cost_there():
    """Networks by their own factors, all else as Python is; the detector is beside the frame."""
    frame = {"faces": 20.0, "detector_round": 8.0, "landmarks": 9.0, "mesh": 6.0,
             "small_face": 1.0, "features": 1.0, "models": 4.0, "cnn": 3.0,
             "transitions": 1.0}  # fmt: skip
    work = cost_there(
        frame, {"mesh": 10.0, "small_face": 30.0, "cnn": 20.0, PYTHON: 2.0},
        members=["cnn"], faces=3, measured=2, looks=1, classified=1,
    )  # fmt: skip
    assert work.looks_s == pytest.approx(6 * 10 / 1e3)
    assert work.landmarks_s == pytest.approx((1 * 30 + 2 * 2) / 1e3)
    assert work.classification_s == pytest.approx((3 * 20 + 2 * 2) / 1e3)
    assert work.rest_s == pytest.approx((12 - 9 + 1) * 2 / 1e3)
    assert work.seconds == pytest.approx(0.166)


def loop(classification_s, *, landmarks_s=0.0, faces=1, seconds=10.0, budget_s=0.1):
    """Run the loop on a board where each face costs so much, all of them due all the time."""
    planner = BoardPlanner(budget_s, lambda: (0, 0))
    taken = []

    def step(captured_s, pictures):
        taken.append((captured_s, pictures))
        count = planner.classification_limit(-1.0, at_most=faces)
        return Work(
            faces=faces, measured=0, looks=0, classified=count, landmarks_s=landmarks_s,
            looks_s=0.0,
            classification_s=count * classification_s, rest_s=0.002,
        )  # fmt: skip

    return simulate(step, planner, seconds=seconds, settle_s=3.0, starts_s=5.0), taken


def test_a_quick_board_takes_every_picture():
    """Nothing is missed, and a frame is as long as its work."""
    found, taken = loop(0.010)
    assert found.fps == pytest.approx(30, rel=0.01)
    assert found.looks == pytest.approx(30, rel=0.02)
    assert found.latency_ms == pytest.approx(12, abs=0.1)
    assert {pictures for _, pictures in taken} == {1}
    assert taken[0][0] == pytest.approx(5.0 + 1 / 30)


def test_a_slow_board_takes_the_newest_picture():
    """What was captured meanwhile is missed, and a frame waits for its turn."""
    found, taken = loop(0.078)
    assert found.fps == pytest.approx(1 / 0.080, rel=0.02)
    assert np.median([pictures for _, pictures in taken]) in (2, 3)
    assert found.latency_ms.min() >= 80 - 1e-6
    assert found.latency_ms.max() <= 80 + 1e3 / 30 + 1e-6


def test_a_full_room_is_planned_within_the_budget():
    """Thirty faces of five milliseconds do not fit in a frame: fewer are looked at, more often."""
    found, _ = loop(0.005, faces=30)
    assert np.percentile(found.latency_ms, 95) < 100
    assert 4 < found.looks < 7
    unplanned, _ = loop(0.005, faces=30, budget_s=10.0)
    assert np.percentile(unplanned.latency_ms, 95) > 150


def test_the_ends_of_an_interval_are_in_order():
    """Where frames are cut, slower parts need not make longer frames: the interval spans all."""
    by_end = cycle((75.0, 90.0, 60.0))  # estimate, low, high

    def run_there(factors):
        assert set(factors) == {"net", PYTHON}
        return Simulated(latency_ms=np.full(5, next(by_end)), fps=12.0, looks=3.0)

    board = project_board("pi4", REFERENCES, usual=steady(5), every=steady(5), run_there=run_there)
    p95 = board.settings[0].due.p95
    assert (p95.low, p95.estimate, p95.high) == (60, 75, 90)
    every = board.settings[0].every
    assert every.p95.low < every.p95.estimate < every.p95.high
    assert every.fps.low < every.fps.high <= 30


REFERENCES = tuple(
    Reference(network=name, network_kind=kind, measured=summarise(np.full(5, ms)))
    for kind in ("float32", "int8")
    for name, ms in (
        ("mobilenet-v1", 4.0), ("mobilenet-v2", 3.0), ("efficientdet-lite0", 11.0),
        ("efficientdet-lite1", 22.0), ("efficientdet-lite2", 35.0),
    )
)  # fmt: skip


@pytest.mark.parametrize(("ms", "threads"), [(0.5, 1), (5.0, 3)])
def test_a_tiny_network_is_not_helped_by_threads(ms, threads):
    """Nothing as small is published with several threads, so one is counted."""
    there = Simulated(latency_ms=np.full(5, 50.0), fps=12.0, looks=3.0)
    board = project_board(
        "pi4", REFERENCES, usual=steady(ms), every=steady(ms), run_there=lambda _: there
    )
    daemons, single = board.settings
    assert (daemons.threads, single.threads) == (3, 1)
    assert daemons.parts[0].threads == threads
    assert single.parts[0].threads == 1
    assert daemons.parts[0].ms.high <= single.parts[0].ms.high
    assert board.sources
