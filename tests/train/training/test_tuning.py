"""A search for settings goes on where it stopped, and can be shared between processes."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("keras_tuner", reason="needs the training environment: make test-train")
pytest.importorskip("pyarrow", reason="needs the training environment: make test-train")

from click.testing import CliRunner

from emoshift.errors import InputError
from train.cli import main
from train.features.landmarks import BLENDSHAPES, POINTS, Measured
from train.features.measure import TABLE
from train.features.table import write_table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

TOY = """
model = "tune"
net = "dense"
seed = 3
search = "random"
trials = {trials}
epochs = {epochs}
batch_size = 16
[space]
units = [4, 8]
"""
WAIT_S = 800
"""A machine that trains something else takes long to load TensorFlow twice."""
ROOT = Path(__file__).parents[3]


@pytest.fixture
def measured(made_up: Path, tmp_path: Path) -> list[str]:
    """Options of a made-up FER2013 with features of noise for its 96 pictures."""
    rng = np.random.default_rng(2)
    (tmp_path / "cache").mkdir()
    rows = [
        Measured(
            points=rng.uniform(0, 48, (POINTS, 3)).astype(np.float32),
            blendshapes=rng.uniform(0, 1, BLENDSHAPES).astype(np.float32),
            matrix=np.eye(4, dtype=np.float32),
        )
        for _ in range(96)
    ]
    write_table(tmp_path / "cache" / TABLE, rows)
    folders = {"--data": made_up, "--cache": tmp_path / "cache", "--runs": tmp_path / "runs"}
    return [str(word) for option in folders.items() for word in option]


def recipe(folder: Path, *, trials: int, epochs: int = 1, extra: str = "") -> str:
    path = folder / "recipe.toml"
    path.write_text(TOY.format(trials=trials, epochs=epochs) + extra, encoding="utf-8")
    return str(path)


def trials_of(runs: Path, name: str) -> list[dict[str, str]]:
    with (runs / f"tune-{name}" / "trials.csv").open(newline="", encoding="utf-8") as stream:
        return sorted(csv.DictReader(stream), key=lambda row: row["trial"])


def test_more_trials_go_on_and_another_search_is_refused(
    measured: list[str], tmp_path: Path
) -> None:
    """Trials that are done stay as they are; a changed space needs another name."""
    call = ["tune", "--name", "toy", *measured, "--recipe"]
    first = CliRunner().invoke(main, [*call, recipe(tmp_path, trials=2)], catch_exceptions=False)
    assert first.exit_code == 0, first.output
    before = trials_of(tmp_path / "runs", "toy")
    assert len(before) == 2
    assert all(row["units"] in {"4", "8"} and float(row["val_loss"]) > 0 for row in before)

    more = CliRunner().invoke(main, [*call, recipe(tmp_path, trials=3)], catch_exceptions=False)
    assert "3 trials; the best:" in more.output
    after = trials_of(tmp_path / "runs", "toy")
    assert [{k: row[k] for k in before[0]} for row in after[:2]] == before

    other = recipe(tmp_path, trials=3, extra="beta = { least = 0.5, most = 0.6 }\n")
    refused = CliRunner().invoke(main, [*call, other])
    assert refused.exit_code == 78
    assert "space.beta.least: 0.8 -> 0.5" in refused.output


@pytest.mark.parametrize(
    ("extra", "reported"),
    [
        pytest.param(
            "learning_rate = { least = 0.1, most = 0.01 }",
            "space.learning_rate: found 0.1",
            id="order",
        ),
        pytest.param('optimisers = ["magic"]', "optimisers[0]", id="optimiser"),
        pytest.param("rates = 3", "space.rates: unknown", id="key"),
    ],
)
def test_a_wrong_space_is_reported(
    extra: str, reported: str, measured: list[str], tmp_path: Path
) -> None:
    """Before anything is trained."""
    wrong = recipe(tmp_path, trials=1, extra=extra)
    found = CliRunner().invoke(main, ["tune", "--name", "toy", *measured, "--recipe", wrong])
    assert found.exit_code == 78
    assert reported in found.output


def test_half_an_address_is_reported(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that would wait for ever for a chief without a port says so."""
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    call = ["tune", "--name", "toy", *measured, "--recipe", recipe(tmp_path, trials=1)]
    found = CliRunner().invoke(main, call)
    assert found.exit_code == 66
    assert "KERASTUNER_ORACLE_PORT: not set" in found.output


def process(arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start ``train tune`` as a user would."""
    return subprocess.Popen(
        [sys.executable, "-m", "train.cli", "tune", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_chief_and_worker(measured: list[str], tmp_path: Path) -> None:
    """The chief hands out trials over loopback, the worker trains them, the chief sums up."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    call = ["--name", "shared", *measured, "--recipe", recipe(tmp_path, trials=2)]
    where = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    both = [process(call, **where, KERASTUNER_TUNER_ID=one) for one in ("chief", "tuner0")]
    try:
        chief, worker = (one.communicate(timeout=WAIT_S)[0] for one in both)
    finally:
        for one in both:
            one.kill()
    assert [one.returncode for one in both] == [0, 0], chief + worker
    assert "2 trials; the best:" in chief
    assert "no trial is left" in worker
    assert len(trials_of(tmp_path / "runs", "shared")) == 2


def test_a_killed_search_goes_on(measured: list[str], tmp_path: Path) -> None:
    """The trial that was cut is tried again with its settings, and none is lost or added."""
    long = ["--name", "cut", *measured, "--recipe", recipe(tmp_path, trials=2, epochs=100_000)]
    running = process(long)
    begun = tmp_path / "runs" / "tune-cut" / "trials" / "oracle.json"
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until and running.poll() is None:
        if begun.exists() and '"0"' in begun.read_text(encoding="utf-8"):
            break
        time.sleep(0.1)
    running.send_signal(signal.SIGKILL)
    output = running.communicate()[0]
    assert begun.exists(), output
    config = tmp_path / "runs" / "tune-cut" / "experiment_config.json"
    config.write_text(config.read_text(encoding="utf-8").replace("100000", "1"), encoding="utf-8")
    call = ["tune", "--name", "cut", *measured, "--recipe", recipe(tmp_path, trials=2)]
    found = CliRunner().invoke(main, call, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    assert [row["trial"] for row in trials_of(tmp_path / "runs", "cut")] == ["0", "1"]


def test_features_of_other_pictures_are_refused(measured: list[str], tmp_path: Path) -> None:
    """What was measured on other pictures is never joined to these by their place."""
    path = tmp_path / "cache" / TABLE
    rows: list[Measured | None] = [None] * 96
    tune = ["tune", "--name", "one", "--recipe", recipe(tmp_path, trials=1), *measured]
    write_table(path, rows, pictures="others")
    found = CliRunner().invoke(main, tune)
    assert found.exit_code == InputError.exit_code
    assert "measured on other pictures" in found.output
    write_table(path, rows[1:])
    found = CliRunner().invoke(main, tune)
    assert "measured on 95 pictures, found 96" in found.output
