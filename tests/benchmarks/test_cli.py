"""The command line of the benchmarks, as a user meets it."""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.cli import main
from benchmarks.reports.schema import (
    ProjectReport,
    RunReport,
    SubmissionReport,
    read_report,
)
from benchmarks.submission import STANDARD
from edge.outbox.store import Outbox
from tests.support.handmade_bundle import write_bundle
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]


def command(*arguments):
    return [sys.executable, "-m", "benchmarks", *map(str, arguments)]


def bench(*arguments, **environment):
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def report_path(tmp_path_factory, bundle):
    path = tmp_path_factory.mktemp("run") / "run.json"
    done = bench(
        "run", "--frames", 40, "--backend", "direct", "--bundle", bundle, "--json", path,
        "--budget-ms", 10000,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    assert "capture to outbox" in done.stdout
    return path


@pytest.mark.usefixtures("sample_clip", "landmarker")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(("run", "--frames", 0), 2, "--frames 0: expected 1 or more", id="no frames"),
        pytest.param(("run", "--seconds", 0), 2, "--seconds 0: expected more", id="no time"),
        pytest.param(("run", "--faces", 0), 2, "--faces 0", id="no faces"),
        pytest.param(("run", "--size", "big"), 2, "--size big: expected WIDTHx", id="no size"),
        pytest.param(("run", "--source", "none.mp4"), 66, "none.mp4: no such file", id="no clip"),
        pytest.param(("run", "--source", os.devnull), 66, "is not a regular file", id="no file"),
        pytest.param(
            ("run", "--source", "camera", "--camera", "/dev/video97"), 74, "/dev/video97",
            id="no camera",
        ),
        pytest.param(("project", "--target", "pi9"), 2, "the targets are", id="no such target"),
        pytest.param(("compare", "a.json", "b.json"), 66, "a.json: no such file", id="no report"),
        pytest.param(("peers", "--only", "nobody"), 2, "--only nobody: unknown", id="no peer"),
        pytest.param(
            ("dashboard", "read", "none.db"), 66, "none.db: no such database", id="no database"
        ),
        pytest.param(("docs", "--results", "docs"), 66, "docs: holds no report", id="no reports"),
        pytest.param(("suite", "nothing"), 2, "nothing: unknown", id="no measurement"),
        pytest.param(("stages", "--frames", 0), 2, "0 is too few", id="no frames"),
        pytest.param(("project", "--size", "big"), 2, "--size big: expected", id="no picture"),
        pytest.param(("run", "--threads", "many"), 2, "--threads many: expected", id="no threads"),
        pytest.param(
            ("run", "--submit", "no/folder/board.json"), 2, "there is no folder no/folder",
            id="nowhere to write",
        ),
    ],
)  # fmt: skip
def test_bad_input(arguments, code, said, bundle):
    """One clear line and an exit code, whatever is asked for."""
    own = arguments[0] in ("run", "stages") and "--submit" not in arguments
    wishes = ("--bundle", bundle) if own else ()
    done = CliRunner().invoke(main, [str(word) for word in (*arguments, *wishes)])
    assert done.exit_code == code, done.output
    assert said in done.output
    assert done.output.count("\n") == 1


def test_a_missing_model_is_one_line_for_a_crowd_too(tmp_path):
    """The reference is timed in a process of its own, which must not answer with a traceback."""
    nowhere = {"EMOSHIFT_ASSETS": str(tmp_path), "EMOSHIFT_CACHE": str(tmp_path)}
    done = bench("run", "--faces", 2, "--seconds", 1, **nowhere)
    assert done.returncode == 66
    assert "run: edge assets fetch" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.clip
@pytest.mark.usefixtures("sample_clip", "landmarker")
def test_a_report_holds_every_stage(report_path):
    """Each stage and each network is there, with the machine, the models and the mode."""
    report = read_report(report_path)
    assert isinstance(report, RunReport)
    assert report.mode == "measured"
    assert not report.incomplete
    assert report.frames == report.latency.n == 40
    assert {
        "grab", "faces", "faces: landmarks", "features", "models", "models: cnn_a",
        "models: lstm_a", "models: fusion", "transitions", "after the landmarks, per face",
    } <= set(report.stages)  # fmt: skip
    assert report.fresh > 0.5
    assert {"cnn_a", "lstm_a", "face_landmarker.task"} <= {m.name for m in report.models}
    assert all(len(m.sha256) == 64 for m in report.models)
    assert report.memory.rss_mb > 30


@pytest.mark.clip
@pytest.mark.usefixtures("sample_clip", "landmarker")
def test_one_face_is_reported_as_one(tmp_path, bundle):
    """At a camera's pace. A starved machine may miss the face, and never sees two."""
    path = tmp_path / "run.json"
    done = bench(
        "run", "--frames", 40, "--pace", "live", "--landmarks", "every", "--backend", "direct",
        "--bundle", bundle, "--json", path, "--budget-ms", 10000,
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    assert set(read_report(path).by_faces) - {"0"} == {"1"}


@pytest.mark.clip
@pytest.mark.usefixtures("sample_clip", "landmarker")
def test_over_budget_is_an_exit_code(bundle):
    """A budget nobody can hold ends with 1, and the table says so."""
    done = bench("run", "--frames", 5, "--bundle", bundle, "--budget-ms", 0.001)
    assert done.returncode in (1, 3)
    assert "OVER the budget" in done.stdout


@pytest.mark.clip
@pytest.mark.usefixtures("sample_clip", "landmarker")
def test_an_interrupted_run_keeps_what_it_measured(tmp_path, bundle, sample_clip):
    """Ctrl-C still writes the report, marked incomplete."""
    path = tmp_path / "run.json"
    process = subprocess.Popen(
        command("run", "--seconds", 600, "--bundle", bundle, "--json", path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "EMOSHIFT_CACHE": str(tmp_path), "EMOSHIFT_ASSETS": assets(sample_clip)},
    )
    try:
        wait_until(lambda: list(tmp_path.glob("bench-*/outbox.db")))
        (store,) = tmp_path.glob("bench-*/outbox.db")
        with Outbox.open(store, writer=False) as outbox:  # the first face's first state
            wait_until(lambda: outbox.stats().stored)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "INCOMPLETE" in out
    assert json.loads(path.read_text())["incomplete"] is True


def assets(clip):
    return str(clip.parent)


@pytest.mark.clip
@pytest.mark.usefixtures("sample_clip", "landmarker")
def test_a_run_compared_with_itself_is_the_same(report_path):
    """No stage is faster or slower than itself."""
    done = bench("compare", report_path, report_path, "--fail-above", "1.01")
    assert done.returncode == 0, done.stderr
    assert "capture to outbox" in done.stdout
    assert "slower" not in done.stdout
    assert "faster" not in done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "emoshift.bench/9"}, "schema is 'emoshift.bench/9', expected"),
        ({"device": "other"}, "device is other-board"),
        ({"mode": "emulated"}, "mode is emulated"),
    ],
)
@pytest.mark.clip
@pytest.mark.usefixtures("sample_clip", "landmarker")
def test_unlike_is_not_compared(tmp_path, report_path, change, said):
    """Reports of another device, mode or schema are refused in one line."""
    data = json.loads(report_path.read_text())
    if "device" in change:
        data["device"]["key"] = "other-board"
    else:
        data.update(change)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(data))
    done = bench("compare", report_path, other)
    assert done.returncode == 66
    assert said in done.stderr


def test_a_submission_has_only_the_standard_runs():
    """Boards are compared by the same runs, so nothing of them can be chosen."""
    done = CliRunner().invoke(main, ["run", "--faces", "2", "--submit", "board.json"])
    assert done.exit_code == 2
    assert "--submit goes with --seconds alone" in done.output


@pytest.mark.clip
@pytest.mark.usefixtures("sample_clip", "landmarker")
def test_what_is_sent_in_names_the_board_and_nobody(tmp_path):
    """One file with the four runs, the machine's condition, and no host, person or path."""
    path = tmp_path / "board.json"
    done = bench("run", "--submit", path, "--seconds", 1)
    assert done.returncode == 0, done.stderr
    report = read_report(path)
    assert isinstance(report, SubmissionReport)
    assert set(report.runs) == set(STANDARD)
    assert {run.workload.faces for run in report.runs.values()} == {1, 30}
    assert {run.workload.landmarks for run in report.runs.values()} == {"due", "every"}
    assert all(run.looks for run in report.runs.values())
    assert report.command == "edge-bench run --seconds 1 --submit FILE"
    text = path.read_text()
    assert "temperature_c" in text
    assert "throttled" in text
    words = {socket.gethostname(), getpass.getuser(), str(Path.home()), str(tmp_path)}
    assert not [word for word in words if f'"{word}' in text or f" {word}" in text]


@pytest.mark.clip
@pytest.mark.usefixtures("sample_clip", "landmarker")
def test_a_projection_is_a_report_of_intervals(tmp_path, bundle):
    """Every network apart, by its kind; the detector beside the frame; one thread and the rest."""
    path = tmp_path / "project.json"
    done = bench("project", "--target", "pi4", "--rounds", 1, "--bundle", bundle, "--output", path)
    assert done.returncode == 0, done.stderr
    assert "PROJECTED" in done.stdout
    report = read_report(path)
    assert isinstance(report, ProjectReport)
    assert report.mode == "projected"
    (board,) = report.boards
    assert [setting.threads for setting in board.settings] == [3, 1]
    kinds = {part.name: part.part_kind for part in board.settings[0].parts}
    assert kinds["cnn_a"] == kinds["lstm_a"] == "int8"
    assert "float32" in kinds.values()
    assert "python" in kinds.values()
    for setting in board.settings:
        assert setting.due.p95.low <= setting.due.p95.estimate <= setting.due.p95.high
        assert setting.detector.core.high <= 1


def test_published_figures_are_validated_without_measuring():
    """The table says how many figures lie where the others put them."""
    done = CliRunner().invoke(main, ["project", "--validate"])
    assert done.exit_code == 0
    assert "n100 from pi4" in done.output
    assert "90% are meant to" in done.output


def test_help_is_quick():
    """Help answers without loading a model runtime or OpenCV."""
    code = (
        "import sys; from benchmarks.cli import main\n"
        "try: main(['run', '-h'], prog_name='edge-bench')\n"
        "except SystemExit: pass\n"
        "print(sorted({'cv2', 'mediapipe', 'ai_edge_litert', 'matplotlib'} & set(sys.modules)),"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr.strip() == "[]"
    assert "--budget-ms" in done.stdout
