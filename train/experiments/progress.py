"""How far a run has come and how long it will take."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
TRIED = 6
"""Steps that are timed, after two that compile and warm up."""


def along(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Yield ``items`` beside a progress bar on a terminal's standard error, silently elsewhere."""
    if not sys.stderr.isatty():
        yield from items
        return
    with click.progressbar(items, length=total, label=label, file=sys.stderr) as bar:
        yield from bar


def seconds_a_step(step: Callable[[], object]) -> float:
    """Run some steps and return how long one takes; the caller puts the net back."""
    for _ in range(2):
        step()
    began = time.monotonic()
    for _ in range(TRIED):
        step()
    return (time.monotonic() - began) / TRIED


def forecast(seconds: float) -> str:
    """Say how long, as people do."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
