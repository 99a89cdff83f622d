"""The command line: what it accepts, and how it says no."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from emoshift.command_line import split_broker
from emoshift.errors import UsageError


def edge(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from edge.cli import main; main(prog_name='edge')", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment},
    )


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("broker", "broker", None),
        ("broker:1884", "broker", 1884),
        ("10.0.0.7:1", "10.0.0.7", 1),
        ("[::1]:1883", "::1", 1883),
        ("::1", "::1", None),
        ("broker:", "broker", None),
    ],
)
def test_brokers(text: str, host: str, port: int | None) -> None:
    """Names and both kinds of addresses, with and without a port."""
    assert split_broker(text) == (host, port)


@pytest.mark.parametrize("text", ["", ":1883", "broker:0", "broker:65536", "broker:x"])
def test_what_is_no_broker(text: str) -> None:
    """One line says what was expected."""
    with pytest.raises(UsageError, match="expected HOST or HOST:PORT"):
        split_broker(text)


def test_check_reports_every_problem_and_opens_nothing(tmp_path: Path) -> None:
    """A wrong file gives code 78 and no traceback; a good one says so."""
    wrong, good = tmp_path / "wrong.toml", tmp_path / "good.toml"
    wrong.write_text("[camra]\n[mqtt]\nprot = 1\n")
    good.write_text("[camera]\nsource = '/dev/video9'\n")
    refused = edge("check", str(wrong))
    assert refused.returncode == 78
    assert refused.stderr.startswith(f"Error: {wrong}: 2 problems")
    assert "Traceback" not in refused.stderr
    assert edge("check", str(good)).stdout.startswith(f"{good}: good\nSingle faces are published:")
    good.write_text("[privacy]\npublish = 'class'\n")
    assert "No single face is published:" in edge("check", str(good)).stdout


def test_run_needs_a_legal_basis(tmp_path: Path) -> None:
    """The daemon does not start while nobody has said by what right it watches."""
    config = tmp_path / "edge.toml"
    config.write_text(f"[outbox]\npath = '{tmp_path / 'outbox.db'}'\n")
    refused = edge("run", "--config", str(config))
    assert refused.returncode == 78
    assert "device.legal_basis" in refused.stderr
    assert not (tmp_path / "outbox.db").exists()


@pytest.mark.parametrize("command", ["edge", "edge replay"])
def test_help_is_quick(command: str) -> None:
    """Help must answer where OpenCV or a model runtime is what is broken."""
    code = (
        "import sys; from edge.cli import main\n"
        f"try: main({command.split()[1:]} + ['-h'], prog_name='edge')\n"
        "except SystemExit: pass\n"
        "heavy = {'cv2', 'mediapipe', 'paho', 'ai_edge_litert'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stderr.strip() == "[]"
    assert "Usage:" in done.stdout


@pytest.mark.clip
def test_a_clip_gives_the_same_events_twice(sample_clip: Path, landmarker: Path) -> None:
    """Replaying is repeatable, random labels included."""
    assets = str(landmarker.parent.parent)
    first, second = (
        edge("replay", str(sample_clip), "--json", EMOSHIFT_CACHE=assets) for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    assert first.stdout
    assert first.stdout == second.stdout


def test_replay_of_no_clip(tmp_path: Path) -> None:
    """One line, code 66."""
    done = edge("replay", str(tmp_path / "none.mp4"))
    assert done.returncode == 66
    assert done.stderr.count("\n") == 1
    assert "no such file" in done.stderr
