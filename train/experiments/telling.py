"""What a user is told after every epoch, and what is kept of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from train.experiments.progress import forecast
from train.training.run_folder import prune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def teller(
    folder: Path, epochs: int, keep: int, tell: Callable[[str], None]
) -> Callable[[dict[str, float], bool, Path], None]:
    """Return what a training loop calls after an epoch.

    It copies the best checkpoint, prunes all but the last ``keep`` (0 keeps all), and tells the
    figures and how long the rest will take.
    """

    def told(record: dict[str, float], best_so_far: bool, path: Path) -> None:
        if best_so_far:
            shutil.copyfile(path, folder / "best_checkpoint.npz")
        if keep:
            prune(folder, keep)
        left = (epochs - record["epoch"]) * record["seconds"]
        figures = " ".join(f"{key} {value:.4g}" for key, value in record.items())
        tell(f"{figures}; {forecast(left)} left" if left else figures)

    return told
