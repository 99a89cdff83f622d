"""Fits the change detector on real clips, and judges it on people it was not fitted on."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize

from edge.transitions import TransitionParameters
from edge.transitions.parameters import Baseline
from emoshift.errors import InputError
from train.transitions.baselines import GRIDS, baseline
from train.transitions.evidence_regression import (
    FER2013_SHARES,
    FERPLUS_SHARES,
    LIFT,
    MOST,
    SHARPNESS,
    Evidence,
    known_frames,
    regress,
)
from train.transitions.judge import Judged, judge
from train.transitions.metrics import match, tally
from train.transitions.real_clips import AS_IT_IS
from train.transitions.run_many import run
from train.transitions.streams import detect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge.values import Transition
    from train.transitions.evidence_regression import Frames
    from train.transitions.real_clips import Group, View
    from train.transitions.streams import Stream

    Log = Callable[[str], None]

TALKING_BAR: Final = 0.5
"""At most one false change in two minutes of talking: what a teacher can bear."""
INNER: Final = 7
"""Parts of the people of a fit, each of which a margin is tried on without having seen it."""
FIXED: Final = {
    "tau": 1.0,
    "outlier": 0.003,
    "settled_lead": 2.0,
    "average_s": 0.2,
    "talking_average": 0.6,
    "talking_margin": 1.0,
    "first_margin": 0.8,
    "hold_s": 0.05,
    "settle_s": 0.4,
    "dwell_s": 0.4,
    "patience_s": 1.5,
    "patient_margin": 0.25,
}
"""Numbers that are not chosen anew in each fit: figures of unseen people settled them once, or they
made no difference. The more is chosen in each fit, the more chance there is in the choice: with the
average, the margin's growth in speech and `CAUTION` chosen too, the same people gave an F1 lower by
.06 (docs/adr/0042-averaged-evidence.md)."""
REST_TIME_S: Final = 6.0
LEAVE_SHARE: Final = 0.5
"""Margin back to neutral, against that into an emotion."""
PARTS: Final = ("talking", "baseline", "patience", "recurrent", "fer2013")
"""What can be left out, to see what it brings."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One real clip as the networks see it in one view."""

    group: Group
    person: str
    stream: Stream
    view: View = AS_IT_IS


MARGINS: Final = (1.4, 1.7, 2.0)
"""Margins into an emotion that are tried, nats. A wider one finds less and is wrong less often; the
least and the greatest were each chosen for some people."""
CAUTION: Final = 0.2
"""What neutral frames count in the regression, against others: of .12 and .2 the one that every fit
chose while it was chosen anew."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen:
    """The margin that did best on people not seen, with what was decided on them."""

    margin: float
    judged: Judged
    cases: tuple[Case, ...]
    events: tuple[Sequence[Transition], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fit on all people, and how fits without each person did on that person.

    Attributes:
        parameters: For the bundle.
        held_out: Judged on people the fit had not seen; ``None`` where that was not asked for.
        by_view: The same in each view by itself.
        seen: The same parameters on the very people they were fitted on.
        average: An exponential average with hysteresis over the same probabilities, its settings
            chosen without the person it is judged on, too.
        equal: The same with whichever of its settings finds most, on these very clips, with no
            more false changes on talkers than ``held_out``.
        folds: The people of each part.
    """

    parameters: TransitionParameters
    seen: Judged
    held_out: Judged | None = None
    by_view: tuple[Judged, ...] = ()
    average: Judged | None = None
    equal: Judged | None = None
    folds: tuple[tuple[str, ...], ...] = field(default_factory=tuple)


def parameters_of(
    evidence: Evidence, margin: float, without: frozenset[str] = frozenset()
) -> TransitionParameters:
    """The device's parameters, some parts left out."""
    silent, own = "talking" in without, "baseline" not in without
    return TransitionParameters.model_validate(
        {
            **FIXED,
            "weights": evidence.weights,
            "talking_weights": evidence.talking_weights,
            "sharpness": SHARPNESS,
            "ferplus_prior": FERPLUS_SHARES,
            "fer2013_prior": FER2013_SHARES,
            "bias": evidence.bias,
            "enter_margin": margin,
            "leave_margin": LEAVE_SHARE * margin,
            "margin_scale": (1.0, 1.0, 1.0),
            **({"talking_average": 0.0, "talking_margin": 0.0} if silent else {}),
            **({"patience_s": 0.0} if "patience" in without else {}),
            "baseline": Baseline(
                time_s=REST_TIME_S,
                most=MOST if own else 0.0,
                lift=LIFT if own else 0.0,
                usual=evidence.usual,
            ),
        }
    )


def objective(judged: Judged) -> float:
    """What a margin is chosen by: changes found, once talking is borne."""
    c = judged.changes
    angry, fear = (_share(*judged.onsets_by_emotion.get(e, (0, 0))) for e in ("angry", "fear"))
    return (
        _known(c.f1_1, 0.0)
        + 0.2 * _share(judged.onsets_right, judged.onsets)
        + 0.03 * (angry + fear)
        - 0.15 * max(0.0, judged.talk_false_per_min - TALKING_BAR)
        - 0.03 * judged.rooms_wrong / judged.views
        + 0.01 * (judged.acted_right - 0.3 * judged.acted_false) / judged.views
        - 0.1 * max(0.0, _known(c.delay_mean_s, 1.0) - 0.45)
    )


def choose(cases: Sequence[Case], *, without: frozenset[str] = frozenset()) -> Chosen:
    """Choose the margin that does best on people whom the regression has not seen."""
    found: list[list[Sequence[Transition]]] = [[()] * len(cases) for _ in MARGINS]
    for part in people(cases, INNER):
        frames = _frames([case for case in cases if case.person not in part], without)
        evidence = regress(frames, caution=CAUTION, without=without)
        places = [place for place, case in enumerate(cases) if case.person in part]
        events = run(
            [cases[place].stream for place in places],
            [parameters_of(evidence, margin, without) for margin in MARGINS],
        )
        for of_margin, decided in zip(found, events, strict=True):
            for place, e in zip(places, decided, strict=True):
                of_margin[place] = e
    judged = [judge_cases(cases, events) for events in found]
    best = int(np.argmax([objective(one) for one in judged]))
    return Chosen(
        margin=MARGINS[best], judged=judged[best], cases=tuple(cases), events=tuple(found[best])
    )


def _frames(cases: Sequence[Case], without: frozenset[str]) -> Frames:
    return known_frames([(case.group, case.stream) for case in cases], without)


def _fitted_on(
    cases: Sequence[Case], without: frozenset[str]
) -> tuple[TransitionParameters, Chosen]:
    """Fit on some people: the margin, the regression on all of them, and what follows."""
    chosen = choose(cases, without=without)
    evidence = regress(_frames(cases, without), caution=CAUTION, without=without)
    parameters = parameters_of(evidence, chosen.margin, without)
    return calibrated(chosen, parameters), chosen


def fit(
    cases: Sequence[Case],
    *,
    folds: int = 0,
    without: frozenset[str] = frozenset(),
    jobs: int = 1,
    log: Log = lambda _: None,
) -> Fitted:
    """Fit on everybody; with ``folds``, also on everybody but one group of people, in turn.

    Args:
        cases: All clips.
        folds: Parts the people are divided into; every clip of a person lies in one part.
        without: Of `PARTS`.
        jobs: Processes that share the folds.
        log: Called with how it goes.

    Raises:
        InputError: All people lie in one part, so that nobody is left to fit on.
    """
    held_out = average = equal = None
    by_view: tuple[Judged, ...] = ()
    parts = people(cases, folds) if folds else ()
    if len(parts) == 1:
        raise InputError(
            f"{len(parts[0])} people in {folds} part{'s' * (folds > 1)} leave nobody to fit on; two"
            " parts of two people are the least, and --folds 0 leaves unseen people out"
        )
    if parts:
        unseen: list[tuple[Case, list[Transition]]] = []
        work = partial(_on_unseen, cases, without=without)
        # A fork would copy locks that threads of other libraries, such as JAX, hold just then.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            for part, (margin, result) in zip(parts, pool.map(work, parts), strict=True):
                unseen += result
                one = judge_cases([c for c, _ in result], [e for _, e in result])
                log(
                    f"without {', '.join(sorted(part))}: margin {margin}: F1"
                    f" {one.changes.f1_1:.2f} (n = {one.changes.changes}), talking"
                    f" {one.talk_false_per_min:.1f}, onsets {one.onsets_right} of {one.onsets}"
                )
        held_out = judge_cases([c for c, _ in unseen], [e for _, e in unseen])
        by_view = judge_views(unseen)
        average, equal = compare_average(cases, parts, held_out.talk_false_per_min)
    parameters, chosen = _fitted_on(cases, without)
    log(f"everybody: margin {chosen.margin}")
    parameters = parameters.model_copy(update={"margin_scale": _margin_scale(cases, parameters)})
    [events] = run([case.stream for case in cases], [parameters])
    return Fitted(
        parameters=parameters,
        seen=judge_cases(cases, events),
        held_out=held_out,
        by_view=by_view,
        average=average,
        equal=equal,
        folds=tuple(tuple(sorted(part)) for part in parts),
    )


def _on_unseen(
    cases: Sequence[Case], part: frozenset[str], *, without: frozenset[str]
) -> tuple[float, list[tuple[Case, list[Transition]]]]:
    """Fit without some people; what is decided on them."""
    parameters, chosen = _fitted_on([c for c in cases if c.person not in part], without)
    unseen = [case for case in cases if case.person in part]
    [events] = run([case.stream for case in unseen], [parameters])
    return chosen.margin, list(zip(unseen, events, strict=True))


def compare_average(
    cases: Sequence[Case], parts: Sequence[frozenset[str]], most_false_per_min: float
) -> tuple[Judged, Judged | None]:
    """Judge the plain average: settings chosen on other people, and the best at equal alarms."""
    grid = GRIDS["average + hysteresis"][1]
    events = [
        [detect(baseline("average + hysteresis", settings), case.stream) for case in cases]
        for settings in grid
    ]
    chosen: list[tuple[Case, list[Transition]]] = []
    for part in parts:
        seen = [place for place, case in enumerate(cases) if case.person not in part]
        merits = []
        for found in events:
            judged = judge_cases([cases[i] for i in seen], [found[i] for i in seen])
            merits.append(objective(judged))
        best = events[int(np.argmax(merits))]
        chosen += [(c, best[i]) for i, c in enumerate(cases) if c.person in part]
    judged_all = [judge_cases(cases, found) for found in events]
    quiet = [j for j in judged_all if j.talk_false_per_min <= most_false_per_min + 1e-9]
    equal = max(quiet, key=lambda j: _known(j.changes.f1_1, 0.0), default=None)
    return judge_cases([c for c, _ in chosen], [e for _, e in chosen]), equal


def people(cases: Sequence[Case], parts: int) -> tuple[frozenset[str], ...]:
    """Divide people into parts with about as many seconds each; nobody is in two."""
    seconds: dict[str, float] = {}
    for case in cases:
        seconds[case.person] = seconds.get(case.person, 0.0) + case.stream.truth.duration_s
    loads, members = [0.0] * parts, [set[str]() for _ in range(parts)]
    for person in sorted(seconds, key=lambda p: (-seconds[p], p)):
        lightest = loads.index(min(loads))
        loads[lightest] += seconds[person]
        members[lightest].add(person)
    return tuple(frozenset(part) for part in members if part)


def judge_cases(cases: Sequence[Case], events: Sequence[Sequence[Transition]]) -> Judged:
    """The figures of clips with what was decided on each."""
    views = len({case.view for case in cases})
    decided = [(c.group, c.stream.truth, e) for c, e in zip(cases, events, strict=True)]
    return judge(decided, views=max(1, views))


def judge_views(decided: Sequence[tuple[Case, Sequence[Transition]]]) -> tuple[Judged, ...]:
    """The figures of each view by itself, in the order in which the views come."""
    found = []
    for view in dict.fromkeys(case.view for case, _ in decided):
        own = [(case, events) for case, events in decided if case.view == view]
        found.append(judge_cases([case for case, _ in own], [events for _, events in own]))
    return tuple(found)


def calibrated(chosen: Chosen, parameters: TransitionParameters) -> TransitionParameters:
    """Add what follows from events on people not seen: onset lead and confidence."""
    labelled = [
        (case.stream.truth, found)
        for case, found in zip(chosen.cases, chosen.events, strict=True)
        if case.group in {"natural", "joined", "onset", "still", "clips"}
    ]
    lags = [
        found[e].onset_s - truth.changes[c].at_s
        for truth, found in labelled
        for c, e in match(truth, found, 2.0).found
    ]
    # The parameters tried take nothing off an onset in advance, but for the default.
    usual_s = TransitionParameters().onset_lead_s
    lead_s = round(min(max(0.0, float(np.median(lags)) + usual_s), 1.0), 3) if lags else 0.0
    tallies = [tally(truth, found) for truth, found in labelled]
    odds = np.clip([c for t in tallies for c in t.confidences], 1e-6, 1 - 1e-6)
    right = np.array([r for t in tallies for r in t.right], bool)
    line = _logistic(np.log(odds / (1 - odds)), right)
    return parameters.model_copy(update={"onset_lead_s": lead_s, "confidence": line})


def _margin_scale(
    cases: Sequence[Case], parameters: TransitionParameters
) -> tuple[float, float, float]:
    """Margins at sensitivity 0 and 1, against 1 in the middle.

    At 0: the largest that still finds 85 % of what the middle finds. At 1: the smallest with at
    most four times the false changes of the middle on talkers, and one more a minute.
    """
    tried = (2.4, 2.0, 1.7, 1.4, 1.2, 1.0, 0.85, 0.7, 0.55, 0.4, 0.25)
    settings = [
        parameters.model_copy(update={"margin_scale": (scale, scale, scale)}) for scale in tried
    ]
    judged = [judge_cases(cases, found) for found in run([c.stream for c in cases], settings)]
    middle = judged[tried.index(1.0)]
    found = middle.changes.recall if middle.changes.changes else 0.0
    low, high = 1.0, 1.0
    for scale, one in reversed(list(zip(tried, judged, strict=True))):
        if scale > low and (one.changes.changes == 0 or one.changes.recall >= 0.85 * found):
            low = scale
    for scale, one in zip(tried, judged, strict=True):
        if scale < high and one.talk_false_per_min <= 4 * middle.talk_false_per_min + 1:
            high = scale
    return low, 1.0, high


def _logistic(odds: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """Intercept and slope of the log-odds of being right, lightly held to (0, 1)."""
    signs = np.where(right, -1.0, 1.0)

    def loss(line: NDArray[np.float64]) -> float:
        held = 0.25 * float((line[0] ** 2) + (line[1] - 1) ** 2)
        return float(np.logaddexp(0.0, signs * (line[0] + line[1] * odds)).sum()) + held

    found = minimize(loss, np.array([0.0, 1.0]), bounds=[(None, None), (0.0, None)])
    return round(float(found.x[0]), 4), round(float(found.x[1]), 4)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _known(value: float, otherwise: float) -> float:
    return otherwise if np.isnan(value) else value
