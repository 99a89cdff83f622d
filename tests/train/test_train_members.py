"""``scripts/train-members``: which networks it trains, by what, and how it goes on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A stand-in for the command: it notes how it was called, and leaves what a run leaves.
TRAIN = """#!/usr/bin/env bash
set -eu
echo "$*" >> "$CALLS"
command=$1 state=finished
shift
while [ $# -gt 0 ]; do
  case $1 in
    --name) name=$2 ;;
    --runs) runs=$2 ;;
    -o) echo labels > "$2" ;;
  esac
  shift
done
[ "$command" = run ] || exit 0
folder=$runs/20261126-090000-$name
mkdir -p "$folder/checkpoints"
echo epoch > "$folder/checkpoints/epoch-001.npz"
if [ "$name" = "${STOPS:-}" ]; then
  echo '{"model": "residual", "state": "stopped"}' > "$folder/run_state.json"
  exit 130
fi
echo "$name" > "$folder/net.keras"
echo '{"model": "residual", "state": "finished"}' > "$folder/run_state.json"
"""


def train_members(folder: Path, *more: str, **environment: str) -> tuple[int, list[str]]:
    """Return the exit code and the calls of the command."""
    command, calls = folder / "train", folder / "calls"
    command.write_text(TRAIN, encoding="utf-8")
    command.chmod(0o755)
    calls.write_text("", encoding="utf-8")
    done = subprocess.run(
        [ROOT / "scripts" / "train-members", folder / "out", *more],
        env={
            **os.environ,
            "TEACHERS": "",
            "TRAIN": str(command),
            "RUNS": str(folder / "runs"),
            "CALLS": str(calls),
            **environment,
        },
        capture_output=True,
        check=False,
    )
    return done.returncode, calls.read_text(encoding="utf-8").splitlines()


def test_the_labels_that_come_along_teach_both_members(tmp_path: Path) -> None:
    """Two runs from nothing, with what is asked for beside; the networks lie under their names."""
    code, calls = train_members(tmp_path, "--epochs", "1")
    assert code == 0
    assert len(calls) == 2
    for member, call in zip(("a", "b"), calls, strict=True):
        assert f"--recipe train/recipes/cnn_{member}.toml" in call
        assert "--teacher models/sources/taught_labels.npz" in call
        assert call.endswith("--epochs 1")
        assert (tmp_path / "out" / f"cnn_{member}.keras").read_text() == f"cnn-{member}\n"


def test_teachers_can_be_trained_anew(tmp_path: Path) -> None:
    """Five of each kind, each without a part; those that know faces count more."""
    code, calls = train_members(tmp_path, TEACHERS="train")
    assert code == 0
    teachers, (taught,), members = calls[:10], calls[10:11], calls[11:]
    for kind in ("faces", "large"):
        own = [call for call in teachers if f"train/recipes/teacher_{kind}.toml" in call]
        assert [call.split("--leave-out ")[1] for call in own] == [f"{k}/5" for k in range(1, 6)]
    words = taught.split()
    nets = [word.split("-teacher-")[1] for word in words if word.endswith("net.keras")]
    weights = [words[i + 1] for i, word in enumerate(words) if word == "--weight"]
    assert nets[:2] == ["faces-1/net.keras", "large-1/net.keras"]
    assert weights == ["0.6", "0.4"] * 5
    assert all(f"--teacher {tmp_path}/runs/taught_labels.npz" in call for call in members)


def test_what_is_done_stays_done(tmp_path: Path) -> None:
    """A stopped run goes on from its checkpoint; a finished one is not trained again."""
    code, calls = train_members(tmp_path, STOPS="cnn-b")
    assert (code, len(calls)) == (130, 2)
    code, (call,) = train_members(tmp_path)
    assert code == 0
    assert "--name cnn-b" in call
    assert f"--resume {tmp_path}/runs/20261126-090000-cnn-b/checkpoints/epoch-001.npz" in call


@pytest.mark.parametrize("teachers", ["yes", "Train"])
def test_an_unknown_source_of_teachers_is_refused(teachers: str, tmp_path: Path) -> None:
    """Before anything is trained."""
    assert train_members(tmp_path, TEACHERS=teachers) == (64, [])
