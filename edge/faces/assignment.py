"""Which detection belongs to which track: the pairing of greatest total score."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Worths = dict[tuple[int, int], float]


def best_pairs(scores: Mapping[tuple[int, int], float]) -> list[tuple[int, int]]:
    """Choose pairs so that no row and no column is used twice and their scores sum highest.

    Rows and columns that can meet are solved group by group; in a classroom nearly every group is
    one face and one track, so that the work grows with the number of faces.

    Args:
        scores: Positive score of each possible pair ``(row, column)``; others cannot be chosen.

    Returns:
        The pairs chosen, sorted.
    """
    chosen: list[tuple[int, int]] = []
    for group in _groups(scores):
        if len(group) == 1:
            chosen.extend(group)
        else:
            chosen.extend(_solve(group))
    return sorted(chosen)


def _groups(scores: Mapping[tuple[int, int], float]) -> Iterable[Worths]:
    """Split the pairs into sets that share no row and no column."""
    by_row: dict[int, list[int]] = defaultdict(list)
    by_column: dict[int, list[int]] = defaultdict(list)
    for row, column in scores:
        by_row[row].append(column)
        by_column[column].append(row)
    waiting = set(by_row)
    while waiting:
        rows, todo = set(), [waiting.pop()]
        while todo:
            row = todo.pop()
            rows.add(row)
            for column in by_row[row]:
                for other in by_column[column]:
                    if other in waiting:
                        waiting.remove(other)
                        todo.append(other)
        yield {(row, column): scores[row, column] for row in rows for column in by_row[row]}


def _solve(group: Worths) -> list[tuple[int, int]]:
    """Solve one group by shortest augmenting paths (Jonker and Volgenant, 1987)."""
    rows = sorted({row for row, _ in group})
    columns = sorted({column for _, column in group})
    # A column of its own, score nothing, lets every row stay alone.
    width = len(columns) + len(rows)
    cost = [
        [-group.get((row, column), -1e9) for column in columns] + [0.0] * len(rows) for row in rows
    ]
    row_price = [0.0] * (len(rows) + 1)
    column_price = [0.0] * (width + 1)
    holder = [0] * (width + 1)  # row (from 1) that holds each column (from 1); 0 is nobody
    for row in range(1, len(rows) + 1):
        holder[0] = row
        here = 0
        shortest = [float("inf")] * (width + 1)
        came_from = [0] * (width + 1)
        done = [False] * (width + 1)
        while holder[here] != 0:
            done[here] = True
            at_row, step, best = holder[here], float("inf"), 0
            for column in range(1, width + 1):
                if done[column]:
                    continue
                reduced = cost[at_row - 1][column - 1] - row_price[at_row] - column_price[column]
                if reduced < shortest[column]:
                    shortest[column], came_from[column] = reduced, here
                if shortest[column] < step:
                    step, best = shortest[column], column
            for column in range(width + 1):
                if done[column]:
                    row_price[holder[column]] += step
                    column_price[column] -= step
                else:
                    shortest[column] -= step
            here = best
        while here:
            holder[here] = holder[came_from[here]]
            here = came_from[here]
    return [
        (rows[holder[column] - 1], columns[column - 1])
        for column in range(1, len(columns) + 1)
        if holder[column] and (rows[holder[column] - 1], columns[column - 1]) in group
    ]
