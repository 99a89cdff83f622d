"""Tables and paragraphs, written for a terminal or as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.reports.schema import Interval


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Cells as text: one head, rows of the same length."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = str | ReportTable
"""A paragraph or a table."""


def as_text(blocks: Iterable[Block]) -> str:
    """Write blocks for a terminal: the first column to the left, the others to the right."""
    return "\n\n".join(_aligned(block, "plain") for block in blocks)


def as_markdown(blocks: Iterable[Block]) -> str:
    """Write blocks as Markdown."""
    return "\n\n".join(_aligned(block, "pipe") for block in blocks)


def _aligned(block: Block, style: str) -> str:
    if isinstance(block, str):
        return block
    align = ("left", *("right",) * (len(block.head) - 1))
    text: str = tabulate(
        block.rows, block.head, tablefmt=style, colalign=align, disable_numparse=True
    )
    return text


def interval(value: Interval, digits: int = 2) -> str:
    """Return an estimate with its interval."""
    return f"{value.estimate:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"


def people(faces: int | None) -> str:
    """Say how many faces there are."""
    return "one face" if faces == 1 else f"{faces} faces"


def ends(value: Interval) -> str:
    """Return both ends of an interval, as exactly as they deserve."""
    low, high = (_rounded(end) for end in (value.low, value.high))
    return low if low == high else f"{low} to {high}"


def _rounded(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
