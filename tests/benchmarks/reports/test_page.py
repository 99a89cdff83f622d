"""The page of results."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from benchmarks.reports.boards_table import boards_table
from benchmarks.reports.page import make_page
from benchmarks.reports.schema import Interval, read_report
from benchmarks.submission import STANDARD, THIRTY_DUE

ROOT = Path(__file__).parents[3]


def test_the_page_is_fresh():
    """docs/research/benchmarks.md is what the committed reports give; make it: edge-bench docs."""
    results = ROOT / "benchmarks" / "results"
    if not any(results.glob("*/*.json")):
        pytest.skip("no results are committed")
    assert (ROOT / "docs" / "research" / "benchmarks.md").read_text(encoding="utf-8") == make_page(
        results
    )


def test_a_change_is_told_before_and_after(tmp_path):
    """Reports of two versions under changes/ become one table; equal ones are 1.00 times."""
    measured = next(ROOT.glob("benchmarks/results/*/stages-1-face.json"), None)
    if measured is None:
        pytest.skip("no report of the stages is committed")
    folder = tmp_path / "board" / "changes" / "fewer-copies"
    folder.mkdir(parents=True)
    for place in (tmp_path / "board", folder):
        for name in ("before", "after"):
            shutil.copy(measured, place / f"{name}.json")
    page = make_page(tmp_path)
    assert "### Before and after: fewer copies" in page
    assert re.search(r"\| +1\.00 \|", page.partition("Before and after")[2])


def test_the_page_says_what_runs_do_not_have_in_common(tmp_path):
    """Another bundle, and a processor that slowed itself down, stand beside the table."""
    measured = next(ROOT.glob("benchmarks/results/*/run-1-face.json"), None)
    if measured is None:
        pytest.skip("no run is committed")
    (tmp_path / "board").mkdir()
    for name, bundle, throttled in (("new", "default-2", False), ("old", "default-1", True)):
        run = json.loads(measured.read_text())
        run["workload"]["bundle"], run["throttled"] = bundle, throttled
        run["started"] = f"2026-11-2{bundle[-1]}T08:00:00+00:00"
        (tmp_path / "board" / f"{name}.json").write_text(json.dumps(run))
    page = make_page(tmp_path)
    assert "**The processor throttled** in old:" in page
    assert "made with another: `old` (2026-11-21, `default-1`)." in page
    (tmp_path / "board" / "old.json").unlink()
    page = make_page(tmp_path)
    assert "throttled" not in page.partition("## How far")[0]
    assert "made with another" not in page


@pytest.fixture
def results(tmp_path):
    """The committed projections, in a folder that others' files can be put into."""
    for report in ROOT.glob("benchmarks/results/*/project-*.json"):
        folder = tmp_path / "results" / report.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(report, folder)
    if not (tmp_path / "results").is_dir():
        pytest.skip("no projections are committed")
    return tmp_path / "results"


def sent_in(results, name, *, thirty_ms=80.0, throttled=False, started="2026-11-26T08:00:00+00:00"):
    """Put an owner's file of a made-up board beside the projections."""
    run = next(ROOT.glob("benchmarks/results/*/run-1-face.json"), None)
    if run is None:
        pytest.skip("no run is committed")
    data = json.loads(run.read_text())
    runs = {}
    for standard in STANDARD:
        one = json.loads(run.read_text())
        one["throttled"] = throttled
        one["latency"]["p95"] = thirty_ms if standard == THIRTY_DUE else 20.0
        runs[standard] = one
    common = {key: data[key] for key in ("schema", "mode", "command", "device", "software")}
    common["device"] = {**common["device"], "name": name}
    folder = results / f"{name}-{started[:10]}".replace(" ", "-").lower()
    folder.mkdir(parents=True)
    (folder / "submission.json").write_text(
        json.dumps(common | {"kind": "submission", "started": started, "system_name": "Debian 13",
                             "runs": runs})
    )  # fmt: skip


def rows(results):
    reports = [read_report(path) for path in sorted(results.glob("*/*.json"))]
    return {row[0]: row for row in boards_table(reports).rows}


def test_the_page_begins_with_the_boards(results):
    """A buyer reads boards, milliseconds and whether they suffice before anything else."""
    page = make_page(results)
    table = page.split("\n\n")[2].splitlines()
    assert "board" in table[0]
    assert "within 100 ms" in table[0]
    assert any("Raspberry Pi 4" in line and "projected" in line for line in table)
    assert "## How far to trust the projections" in page


def test_an_owners_figures_replace_the_projection(results):
    """The board's own row becomes a measured one; all others stay projected."""
    before = rows(results)
    sent_in(results, "Raspberry Pi 4 Model B Rev 1.5")
    after = rows(results)
    assert len(after) == len(before)
    assert not any("BCM2711" in name for name in after)
    name, one, thirty, _, within, how = after["Raspberry Pi 4 Model B Rev 1.5"]
    assert (one, thirty, within, how) == ("20", "80", "yes", "measured")
    assert all(row[-1] == "projected" for board, row in after.items() if board != name)
    assert "### Sent in by its owner" in make_page(results)


def test_a_board_nobody_projects_is_shown_too(results):
    """The newest of several files counts; throttling and a missed budget are said."""
    sent_in(results, "Orange Pi 9", thirty_ms=70.0, started="2026-11-01T08:00:00+00:00")
    sent_in(results, "Orange Pi 9", thirty_ms=130.0, throttled=True)
    row = rows(results)["Orange Pi 9"]
    assert row[2] == "130"
    assert row[-2:] == ("one face yes, thirty no", "measured, throttling")


@pytest.mark.parametrize(
    ("low", "high", "said"), [(20, 100, "yes"), (90, 110, "perhaps"), (101, 300, "no")]
)
def test_projected_boards_may_stay_open(results, low, high, said):
    """An interval around the budget promises nothing."""
    reports = [read_report(path) for path in results.glob("*/project-*.json")]
    newest = [
        report.model_copy(
            update={
                "boards": tuple(
                    board.model_copy(
                        update={"settings": tuple(_set(s, low, high) for s in board.settings)}
                    )
                    for board in report.boards
                )
            }
        )
        for report in reports
    ]
    assert {row[4] for row in boards_table(newest).rows} == {said}


def _set(setting, low, high):
    p95 = Interval(estimate=(low + high) / 2, low=low, high=high)
    return setting.model_copy(update={"due": setting.due.model_copy(update={"p95": p95})})
