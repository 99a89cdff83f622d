"""Calibrates on clips of a person, and judges on others of the same person and of other people."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.calibration.sessions import Trial, session, trials
from edge.site.adjust import adjusted
from edge.site.fit import fit_correction
from train.transitions.metrics import match
from train.transitions.run_many import run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.bundle.site_layer import Correction
    from edge.transitions import TransitionParameters
    from edge.values import Transition
    from train.transitions.fit import Case
    from train.transitions.streams import Stream


@dataclass(slots=True, kw_only=True)
class Counts:
    """Changes found, missed and false, and in how many minutes."""

    found: int = 0
    missed: int = 0
    false: int = 0
    minutes: float = 0.0

    def add(self, case: Case, events: Sequence[Transition]) -> None:
        """Count one clip."""
        matched = match(case.stream.truth, events, 1.0)
        self.found += len(matched.found)
        self.missed += len(matched.missed)
        self.false += len(matched.false)
        self.minutes += case.stream.truth.duration_s / 60

    @property
    def f1(self) -> float:
        """Of changes found within a second; NaN where there was none."""
        whole = 2 * self.found + self.missed + self.false
        return 2 * self.found / whole if whole else float("nan")

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "found": self.found,
            "missed": self.missed,
            "false": self.false,
            "minutes": round(self.minutes, 2),
            "f1": round(self.f1, 4),
        }


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Before and after, over all trials.

    Attributes:
        trials: How many.
        changed: In how many of them a correction was kept.
        same: Other clips of the person calibrated on, before and after.
        helped: The part of ``same`` in the trials that changed anything.
        others: Every clip of everybody else in these trials, likewise.
        kept: Who was calibrated on, and what was kept.
    """

    trials: int = 0
    changed: int = 0
    same: tuple[Counts, Counts] = field(default_factory=lambda: (Counts(), Counts()))
    helped: tuple[Counts, Counts] = field(default_factory=lambda: (Counts(), Counts()))
    others: tuple[Counts, Counts] = field(default_factory=lambda: (Counts(), Counts()))
    kept: list[tuple[str, Correction]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "trials": self.trials,
            "changed": self.changed,
            "same_person": [one.to_json() for one in self.same],
            "same_person_where_changed": [one.to_json() for one in self.helped],
            "other_people": [one.to_json() for one in self.others],
            "kept": [
                {"person": person, **correction.model_dump()} for person, correction in self.kept
            ],
        }


def measure(
    cases: Sequence[Case],
    parameters: Mapping[str, TransitionParameters],
    *,
    sensitivity: float,
    longest_s: float = float("inf"),
    others: bool = True,
    log: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run every trial.

    Args:
        cases: All clips.
        parameters: For each person those of a fit without that person.
        sensitivity: Of the device.
        longest_s: No more of the clips is calibrated on.
        others: Whether to judge on other people, too.
        log: Told how it goes.
    """
    outcome = Outcome()
    for trial in trials(cases):
        shipped = parameters[trial.person].model_copy(update={"sensitivity": sensitivity})
        correction = _calibrate(trial, shipped, longest_s)
        outcome.trials += 1
        settings = [shipped, adjusted(shipped, correction)]
        _count(trial.unseen, settings, outcome.same)
        if correction.changes_nothing:
            continue
        outcome.changed += 1
        outcome.kept.append((trial.person, correction))
        _count(trial.unseen, settings, outcome.helped)
        log(f"{trial.person}: {correction.model_dump()}")
        if others:
            rest = [case for case in cases if case.person != trial.person]
            _count(rest, settings, outcome.others)
    return outcome


def _calibrate(trial: Trial, shipped: TransitionParameters, longest_s: float) -> Correction:
    stream, segments = session(trial.seen, longest_s=longest_s)
    return fit_correction(shipped, segments, partial(_decide, stream)).correction


def _decide(stream: Stream, settings: Sequence[TransitionParameters]) -> list[list[Transition]]:
    return [events for [events] in run([stream], settings)]


def _count(
    cases: Sequence[Case],
    settings: Sequence[TransitionParameters],
    counts: tuple[Counts, Counts],
) -> None:
    for count, found in zip(counts, run([c.stream for c in cases], settings), strict=True):
        for case, events in zip(cases, found, strict=True):
            count.add(case, events)
