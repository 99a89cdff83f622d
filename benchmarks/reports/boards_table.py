"""The table for who wants to buy a board: measured where an owner sent it in, else projected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.published.figures import read_boards
from benchmarks.reports.schema import Interval, ProjectReport, SubmissionReport
from benchmarks.reports.tables import ReportTable, ends
from benchmarks.submission import ONE_DUE, THIRTY_DUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.published.figures import Board
    from benchmarks.reports.schema import AnyReport, FrameProjection

BUDGET_MS: Final = 100.0
_HEAD: Final = (
    "board", "one face, ms", "thirty faces, ms", "looks a second at each of thirty",
    f"within {BUDGET_MS:g} ms", "figures are",
)  # fmt: skip
_FACES: Final = (1, 30)


def boards_table(reports: Iterable[AnyReport]) -> ReportTable:
    """One row for each board that is known, and for each that somebody measured."""
    reports = tuple(reports)
    submissions = sorted(
        (r for r in reports if isinstance(r, SubmissionReport) and r.mode == "measured"),
        key=lambda report: report.started,
    )
    projections = {
        faces: max(
            (r for r in reports if isinstance(r, ProjectReport) and r.workload.faces == faces),
            key=lambda report: report.started,
            default=None,
        )
        for faces in _FACES
    }
    rows, shown = [], []
    for board in _by_speed(read_boards(), projections[_FACES[0]]):
        own = [s for s in submissions if board.is_called(s.device.name)]
        if own:
            shown += own
            rows.append(_measured(own[-1]))
        elif board.target:
            frames = [_projected_frames(projections[faces], board.key) for faces in _FACES]
            if all(frames):
                rows.append(_projected(board.name, [f for f in frames if f is not None]))
    others = {s.device.name: s for s in submissions if s not in shown}
    return ReportTable(_HEAD, tuple(rows + [_measured(s) for s in others.values()]))


def _by_speed(boards: Mapping[str, Board], one_face: ProjectReport | None) -> list[Board]:
    """The fastest first, boards without a projection last."""

    def speed(board: Board) -> float:
        frame = _projected_frames(one_face, board.key)
        return frame.p95.estimate if frame is not None else float("inf")

    return sorted(boards.values(), key=speed)


def _projected_frames(report: ProjectReport | None, key: str) -> FrameProjection | None:
    for board in report.boards if report is not None else ():
        if board.key == key:
            return board.settings[0].due
    return None


def _measured(report: SubmissionReport) -> tuple[str, ...]:
    one, thirty = report.runs[ONE_DUE], report.runs[THIRTY_DUE]
    throttled = any(run.throttled for run in report.runs.values())
    return _row(
        report.device.name,
        [_exact(one.latency.p95), _exact(thirty.latency.p95)],
        "" if thirty.looks is None else ends(_exact(thirty.looks)),
        "measured, throttling" if throttled else "measured",
    )


def _projected(name: str, frames: Sequence[FrameProjection]) -> tuple[str, ...]:
    return _row(name, [f.p95 for f in frames], ends(frames[-1].looks), "projected")


def _row(name: str, p95: Sequence[Interval], looks: str, how: str) -> tuple[str, ...]:
    answers = [_within(value) for value in p95]
    within = answers[0] if len(set(answers)) == 1 else f"one face {answers[0]}, thirty {answers[1]}"
    return (name, *(ends(value) for value in p95), looks, within, how)


def _within(p95: Interval) -> str:
    if p95.high <= BUDGET_MS:
        return "yes"
    return "no" if p95.low > BUDGET_MS else "perhaps"


def _exact(value: float) -> Interval:
    return Interval(estimate=value, low=value, high=value)
