"""From made-up channels to a bundle in use on three simulated devices, or taken back on all."""

from __future__ import annotations

import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashboard.roll_out import Figures, find_worse, usual_rise
from edge.bundle.installed import Library
from edge.bundle.loader import load_bundle
from edge.site.channels import networks_digest, write_channels
from emoshift.emotions import Emotion
from emoshift.topics import Address
from tests.support.handmade_bundle import cnn_member, lstm_member, write_bundle
from tests.support.recordings import record
from tests.support.simulated_device import SimulatedDevice

if TYPE_CHECKING:
    from edge.bundle.manifest import Manifest

ROOT = Path(__file__).parents[2]
GOOD = Figures(readings=10, abstained=0.2, fps=14.0, p95_ms=60.0)


@pytest.mark.parametrize(
    ("after", "usual", "said"),
    [
        pytest.param(GOOD, 0.0, [], id="as before"),
        pytest.param({"abstained": 0.29}, 0.0, [], id="a little less sure"),
        pytest.param({"abstained": 0.35}, 0.0, ["not sure 35%"], id="less sure"),
        pytest.param({"abstained": 0.35}, 0.1, [], id="less sure, as everywhere that day"),
        pytest.param({"fps": 9.0}, 0.0, ["9.0 frames a second"], id="slower"),
        pytest.param({"p95_ms": 95.0}, 0.0, [], id="within the budget"),
        pytest.param({"p95_ms": 140.0}, 0.0, ["140 ms"], id="too late"),
        pytest.param({"problem": "offline"}, 0.0, ["offline"], id="gone"),
        pytest.param({"readings": 1}, 0.0, ["only 1 health messages"], id="hardly seen"),
        pytest.param({"abstained": None, "fps": None, "p95_ms": None}, 0.0, [], id="says nothing"),
    ],
)
def test_what_is_worse(after: dict[str, object] | Figures, usual: float, said: list[str]) -> None:
    values = after if isinstance(after, dict) else {}
    changed = Figures(**{name: values.get(name, getattr(GOOD, name)) for name in GOOD.__slots__})
    found = find_worse(GOOD, changed, usual=usual)
    assert len(found) == len(said)
    assert all(part in line for part, line in zip(said, found, strict=True))


def test_a_noisy_day_is_no_fault_of_the_bundle() -> None:
    """What rose on devices that were not changed is not held against those that were."""
    noisy = Figures(readings=10, abstained=0.3, fps=14.0, p95_ms=60.0)
    assert usual_rise([GOOD, GOOD, GOOD], [noisy, noisy, GOOD]) == pytest.approx(0.1)
    assert usual_rise([noisy], [GOOD]) == 0
    assert usual_rise([], []) == 0


def command(*words: object) -> subprocess.CompletedProcess[str]:
    """Run one of the programs as its user would."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def retrain(folder: Path) -> tuple[Manifest, Path, Manifest]:
    """Recorded channels to a bundle, by the commands of the documentation.

    Returns:
        The bundle before, the folder of the new one, and the new one.
    """
    old = write_bundle(folder / "old", cnn_member(), lstm_member())
    new = write_bundle(folder / "new", cnn_member(), lstm_member())
    before = load_bundle(old).manifest
    files = []
    for seed in range(2):
        files += ["--channels", folder / f"room-{seed}.jsonl"]
        channels = record(
            seed=seed, rest_looks={Emotion.SAD: 0.5}, networks=networks_digest(before)
        )
        write_channels(channels, files[-1])
    block = folder / "temporal.json"
    done = command("train.cli", "detector", "fit", "--bundle", new, *files, "-o", block)
    assert done.returncode == 0, done.stderr
    assert "half held back, after" in done.stdout
    done = command("convert.cli", "retune", new, block)
    assert done.returncode == 0, done.stderr
    return before, new, load_bundle(new).manifest


@pytest.mark.parametrize("unsure", [0.6, pytest.param(0.22, marks=pytest.mark.slow)])
def test_from_channels_to_a_fleet(tmp_path: Path, mqtt: int, unsure: float) -> None:
    """A good bundle reaches all devices; one that is less sure is taken back after the first."""
    before, folder, after = retrain(tmp_path)
    assert after.bundle_id != before.bundle_id
    assert after.temporal is not None
    assert "2 recordings" in after.temporal.fitted_on
    names = ["room-1", "room-2", "room-3"]
    for name in names:
        (tmp_path / f"{name}.toml").write_text(
            f'[models]\nlibrary = "{tmp_path / name}"\nallow_unsigned = true\n'
        )
        done = command(
            "edge", "models", "install", tmp_path / "old", "--config", tmp_path / f"{name}.toml"
        )
        assert done.returncode == 0, done.stderr
    config = f"--config {shlex.quote(str(tmp_path))}/{{device}}.toml"
    models = f"{sys.executable} -m edge models"
    with ExitStack() as stack:
        for name in names:
            device = SimulatedDevice(
                Address("hill", name), tmp_path / name, port=mqtt, unsure={after.bundle_id: unsure}
            )
            stack.enter_context(device)
        done = command(
            *("dashboard", "roll-out", *(f"hill/{name}" for name in names)),
            *("--broker", f"127.0.0.1:{mqtt}", "--model", after.bundle_id),
            *("--install-with", f"{models} install {shlex.quote(str(folder))} {config}"),
            *("--back-with", f"{models} rollback {config}"),
            *("--first", 1, "--watch-s", 4, "--within-s", 20),
        )  # fmt: skip
    in_use = [Library(tmp_path / name).load().manifest.bundle_id for name in names]
    if unsure < 0.3:
        assert done.returncode == 0, done.stdout + done.stderr
        assert in_use == [after.bundle_id] * 3
        assert f"{after.bundle_id} is in use on 3 devices" in done.stdout
    else:
        assert done.returncode == 1, done.stdout + done.stderr
        assert in_use == [before.bundle_id] * 3
        assert "hill/room-1  not sure 60% of the time, 20% before" in done.stdout
        assert "room-2" not in done.stdout.partition("watching for")[2]
        history = [use.name for use in Library(tmp_path / "room-1").history()]
        assert history == [before.bundle_id, after.bundle_id, before.bundle_id]


def test_a_device_that_is_away_stops_it_before_it_begins(tmp_path: Path, mqtt: int) -> None:
    """Nothing is installed anywhere."""
    touched = tmp_path / "touched"
    done = command(
        *("dashboard", "roll-out", "hill/room-1", "--broker", f"127.0.0.1:{mqtt}"),
        *("--model", "new", "--watch-s", 1),
        *("--install-with", f"touch {touched}", "--back-with", "true"),
    )  # fmt: skip
    assert done.returncode == 69
    assert "not changed anything: hill/room-1: unknown" in done.stderr
    assert not touched.exists()
