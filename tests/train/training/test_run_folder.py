"""What lies in a run's folder is found again in its order, and said in the list of runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from train.training.run_folder import (
    HISTORY,
    RunConfig,
    checkpoints,
    create_run,
    latest_checkpoint,
    prune,
    summaries,
    write_rows,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_the_last_checkpoint_is_that_of_the_last_epoch(tmp_path: Path) -> None:
    """Also past epoch 999; only older ones are removed."""
    (tmp_path / "checkpoints").mkdir()
    for epoch in (998, 999, 1000, 1001):
        (tmp_path / "checkpoints" / f"epoch-{epoch:03d}.npz").touch()
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert latest.name == "epoch-1001.npz"
    prune(tmp_path, 2)
    assert [path.stem for path in checkpoints(tmp_path)] == ["epoch-1000", "epoch-1001"]


def test_runs_of_the_small_face_network_have_a_best_score(tmp_path: Path) -> None:
    """The score by which its best epoch is chosen is the one that is listed."""
    config = RunConfig(name="far", description="", recipe={"model": "small_face"}, resumed=None)
    folder = create_run(tmp_path, config, began=datetime.now(UTC))
    scores = (0.5, 0.8, 0.7)
    write_rows(
        folder / HISTORY,
        [{"epoch": float(i), "shapes_32": score} for i, score in enumerate(scores, start=1)],
    )
    [summary] = summaries(tmp_path)
    assert summary.best == ("shapes_32", 0.8, 2)
