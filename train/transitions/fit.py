"""Fits the change detector on real clips, and judges it on people it was not fitted on."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.optimize import minimize

from edge.transitions import TransitionParameters
from edge.transitions.emissions import EmissionModel
from edge.transitions.parameters import Baseline
from emoshift.emotions import Emotion
from train.transitions.baselines import GRIDS, baseline
from train.transitions.composed_streams import compose
from train.transitions.judge import Judged, judge
from train.transitions.metrics import Scores, match, score, tally
from train.transitions.run_many import CHUNK, run
from train.transitions.streams import Stream, detect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge.values import Transition
    from train.transitions.real_clips import Group
    from train.transitions.streams import Series

    Log = Callable[[str], None]

N: Final = len(Emotion)
FERPLUS_SHARES: Final = (0.0878, 0.0105, 0.0310, 0.2663, 0.1434, 0.1241, 0.3369)
"""Mean FER+ vote of Training, contempt left out (`edge.transitions` divides it out)."""
FER2013_SHARES: Final = (0.1392, 0.0152, 0.1427, 0.2513, 0.1682, 0.1105, 0.1729)
"""Labels of FER2013 Training: 3,995, 436, 4,097, 7,215, 4,830, 3,171 and 4,965 of 28,709."""
FASTEST_FPS: Final = 16.0
"""Clips with more frames a second are thinned for the search; they are judged whole."""
LONGEST_S: Final = 40.0
"""Longer clips are searched in parts."""
TALKING_BAR: Final = 0.5
"""At most one false change in two minutes of talking: what a teacher can bear."""
SCALES: Final = (1.0, 0.85, 0.7, 0.6, 0.5)
"""Factors of the margins, of which the operating point is chosen: the one that finds most changes
of people the fit has not seen while their talking stays within the bar."""

PARTS: Final = ("talking", "baseline", "recurrent", "fer2013")
"""What can be left out, to see what it brings."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One real clip as the networks see it."""

    group: Group
    person: str
    stream: Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Where one number is searched; ``log`` when its ratio matters."""

    low: float
    high: float
    log: bool = False

    def draw(self, rng: np.random.Generator) -> float:
        """Any value of the range."""
        if self.log:
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))


SEARCHED: Final = {
    "fer2013": Range(low=0.2, high=0.8),
    "recurrent": Range(low=0.2, high=0.5),
    "recurrent_talking": Range(low=0.0, high=0.5),
    "mouth_discount": Range(low=0.0, high=0.5),
    "tau": Range(low=0.0, high=0.8),
    "average_s": Range(low=0.12, high=0.4, log=True),
    "talking_average": Range(low=0.0, high=1.5),
    "enter_margin": Range(low=0.4, high=1.5, log=True),
    "leave_margin": Range(low=0.2, high=1.2, log=True),
    "first_margin": Range(low=0.3, high=1.5, log=True),
    "talking_margin": Range(low=0.0, high=1.5),
    "baseline_s": Range(low=3.0, high=12.0, log=True),
    "baseline_most": Range(low=0.8, high=2.4),
    "baseline_lift": Range(low=0.0, high=0.8),
    "usual_shift": Range(low=-2.0, high=0.0),
}
"""What is searched, `parameters_of` turns it into the device's parameters. Fewer numbers are fitted
than the detector has: on so few people a free fit of all of them found more on its own people and
less on others (``docs/adr``)."""
FIXED: Final = {"outlier": 0.01, "sharpness": 1.0, "hold_s": 0.1, "settle_s": 0.4, "dwell_s": 0.4}
"""Numbers that a wide search left undecided."""
SEARCHES: Final = 4
"""Searches with seeds of their own, on made-up streams of their own; their settings' mean is taken,
which does better on unseen people than any one of them."""
_BIAS_SD: Final = 0.15
_BIAS_COST: Final = 0.05

_NOT_NEUTRAL: Final = np.append(np.ones(N - 1), 0.0)

Setting = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A fit on all people, and how fits without each person did on that person.

    Attributes:
        parameters: For the bundle.
        held_out: Judged on people the fit had not seen; ``None`` where that was not asked for.
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
    average: Judged | None = None
    equal: Judged | None = None
    folds: tuple[tuple[str, ...], ...] = field(default_factory=tuple)


def draw_setting(rng: np.random.Generator) -> Setting:
    """A random setting."""
    setting: Setting = {name: found.draw(rng) for name, found in SEARCHED.items()}
    setting["bias"] = np.append(rng.normal(0, _BIAS_SD, N - 1), 0.0)
    return setting


def near_setting(setting: Setting, rng: np.random.Generator) -> Setting:
    """One to three numbers of a setting moved some way to a random one."""
    other, moved = draw_setting(rng), dict(setting)
    for name in rng.choice(sorted(setting), size=rng.integers(1, 4), replace=False):
        if name == "bias":
            step = rng.normal(0, 0.12, N) * (rng.random(N) < 0.5)
            step[Emotion.NEUTRAL] = 0.0
            moved[name] = setting[name] + step
        else:
            moved[name] = 0.6 * setting[name] + 0.4 * other[name]
    return moved


def mean_setting(settings: Sequence[Setting]) -> Setting:
    """The mean of several settings, geometric where ratios matter."""
    mean: Setting = {"bias": np.mean([s["bias"] for s in settings], axis=0)}
    for name, found in SEARCHED.items():
        values = np.array([s[name] for s in settings])
        mean[name] = float(np.exp(np.log(values).mean()) if found.log else values.mean())
    return mean


def parameters_of(
    setting: Setting, cases: Sequence[Case], without: frozenset[str] = frozenset()
) -> TransitionParameters:
    """The device's parameters for a setting, some parts left out.

    The usual resting face is measured on the talkers of ``cases``.
    """
    second = 0.0 if "fer2013" in without else setting["fer2013"]
    recurrent = 0.0 if "recurrent" in without else setting["recurrent"]
    weights = (1 - second, second, recurrent)
    left = 1 - setting["mouth_discount"]
    more = 0.0 if "recurrent" in without else setting["recurrent_talking"]
    speech = (weights[0] * left, weights[1] * left, recurrent + more)
    silent = "talking" in without
    bare = TransitionParameters.model_validate(
        {
            "weights": _rounded(weights),
            "talking_weights": _rounded(weights if silent else speech),
            "ferplus_prior": FERPLUS_SHARES,
            "fer2013_prior": FER2013_SHARES,
            "bias": _rounded(setting["bias"]),
            "talking_average": 0.0 if silent else round(setting["talking_average"], 4),
            "talking_margin": 0.0 if silent else round(setting["talking_margin"], 4),
            "margin_scale": (1.0, 1.0, 1.0),
            **FIXED,
            **{
                name: round(setting[name], 4)
                for name in ("tau", "average_s", "enter_margin", "leave_margin", "first_margin")
            },
        }
    )
    baseline = Baseline(
        time_s=round(setting["baseline_s"], 3),
        most=0.0 if "baseline" in without else round(setting["baseline_most"], 4),
        lift=0.0 if "baseline" in without else round(setting["baseline_lift"], 4),
        usual=_rounded(usual_scores(cases, bare) + setting["usual_shift"] * _NOT_NEUTRAL),
    )
    return bare.model_copy(update={"baseline": baseline})


def usual_scores(cases: Sequence[Case], parameters: TransitionParameters) -> NDArray[np.float64]:
    """Mean over the talkers of the median score of each emotion over neutral; shape ``(7,)``."""
    model = EmissionModel([parameters])
    medians = []
    for case in cases:
        for series in case.stream.series if case.group == "still" else ():
            if series.log_probs is None or series.talking is None:
                continue
            scores = model.scores(series.log_probs[None], series.talking[None])[0]
            medians.append(np.median(scores - scores[:, [Emotion.NEUTRAL]], axis=0))
    return np.mean(medians, axis=0) if medians else np.append(np.full(N - 1, -2.5), 0.0)


def objective(judged: Judged, made: Scores) -> float:
    """What the search maximises: changes found, once talking is borne.

    Half of F1 is that of the real clips, half that of made-up expressions on real talkers, of which
    there are many more. False changes on talkers, real and with made-up resting faces, weigh once
    they exceed the bar.
    """
    c = judged.changes
    angry, fear = (_share(*judged.onsets_by_emotion.get(e, (0, 0))) for e in ("angry", "fear"))
    return (
        0.5 * _known(c.f1_1, 0.0)
        + 0.5 * _known(made.f1_1, 0.0)
        + 0.2 * _share(judged.onsets_right, judged.onsets)
        + 0.03 * (angry + fear)
        - 0.04 * max(0.0, judged.talk_false_per_min - TALKING_BAR)
        - 0.02 * max(0.0, _known(made.false_per_min_still, 0.0) - TALKING_BAR)
        - 0.03 * judged.rooms_wrong
        + 0.01 * (judged.acted_right - 0.3 * judged.acted_false)
        - 0.1 * max(0.0, _known(c.delay_mean_s, 1.0) - 0.45)
        - 0.1 * max(0.0, _known(made.delay_mean_s, 1.0) - 0.45)
    )


def search(
    cases: Sequence[Case],
    *,
    seed: int,
    draws: int,
    without: frozenset[str] = frozenset(),
    log: Log = lambda _: None,
) -> Setting:
    """Find a good setting: the mean of what `SEARCHES` searches find."""
    return mean_setting(
        [
            _search(
                _Streams.of(cases, seed=SEARCHES * seed + part),
                draws=draws,
                without=without,
                log=log,
            )
            for part in range(SEARCHES)
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Streams:
    """What settings are tried on: real clips, thinned, and made-up faces over their speech."""

    seed: int
    cases: Sequence[Case]
    real: Sequence[Case]
    made: Sequence[Stream]

    @classmethod
    def of(cls, cases: Sequence[Case], *, seed: int) -> _Streams:
        """Make them; the seed decides the made-up ones."""
        thin = [
            replace(case, stream=thinned(piece)) for case in cases for piece in pieces(case.stream)
        ]
        still, changing = compose(
            [c.stream for c in thin if c.group == "still" and talks(c.stream)],
            [c.stream for c in cases if c.group == "onset" and c.stream.series],
            seed=seed,
        )
        return cls(seed=seed, cases=cases, real=thin, made=still + changing)

    def values(self, settings: Sequence[Setting], without: frozenset[str]) -> list[float]:
        """The objective of each setting, less the cost of its biases."""
        events = run(
            [case.stream for case in self.real] + list(self.made),
            [parameters_of(setting, self.cases, without) for setting in settings],
        )
        values = []
        for setting, found in zip(settings, events, strict=True):
            judged = judge_cases(self.real, found[: len(self.real)])
            made = zip(self.made, found[len(self.real) :], strict=True)
            held = _BIAS_COST * float((setting["bias"] ** 2).sum())
            values.append(objective(judged, score([tally(s.truth, e) for s, e in made])) - held)
        return values


def _search(streams: _Streams, *, draws: int, without: frozenset[str], log: Log) -> Setting:
    """Find the best of many settings: a third at random, the others near the best so far."""
    rng = np.random.default_rng(streams.seed)
    best, value, tried = draw_setting(rng), -np.inf, 0
    while tried < draws:
        settings = [
            draw_setting(rng) if tried < draws // 3 else near_setting(best, rng)
            for _ in range(CHUNK)
        ]
        tried += len(settings)
        values = streams.values(settings, without)
        if max(values) > value:
            best, value = settings[int(np.argmax(values))], max(values)
            log(f"search {streams.seed + 1}, {tried} of {draws}: {value:.3f}")
    return best


def fit(
    cases: Sequence[Case],
    *,
    seed: int = 0,
    draws: int = 192,
    folds: int = 0,
    without: frozenset[str] = frozenset(),
    jobs: int = 1,
    log: Log = lambda _: None,
) -> Fitted:
    """Fit on everybody; with ``folds``, also on everybody but one group of people, in turn.

    Args:
        cases: All clips.
        seed: Of the search and of the made-up streams.
        draws: Settings tried in each search.
        folds: Parts the people are divided into; every clip of a person lies in one part.
        without: Of `PARTS`.
        jobs: Processes that share the folds.
        log: Called with how it goes.
    """
    held_out = average = equal = None
    parts = people(cases, folds) if folds else ()
    scale = 1.0
    if parts:
        ours: list[list[tuple[Case, list[Transition]]]] = [[] for _ in SCALES]
        work = partial(_on_unseen, cases, seed=seed, draws=draws, without=without)
        with ProcessPoolExecutor(jobs) as pool:
            for part, (one, results) in zip(parts, pool.map(work, parts), strict=True):
                for found, result in zip(ours, results, strict=True):
                    found.extend(result)
                log(
                    f"without {', '.join(sorted(part))}: F1 {one.changes.f1_1:.2f} (n ="
                    f" {one.changes.changes}), talking {one.talk_false_per_min:.1f}, onsets"
                    f" {one.onsets_right}/{one.onsets}"
                )
        judged = [judge_cases([c for c, _ in found], [e for _, e in found]) for found in ours]
        for s, one in zip(SCALES, judged, strict=True):
            log(
                f"margins times {s:g}: F1 {one.changes.f1_1:.3f}, talking"
                f" {one.talk_false_per_min:.2f}, onsets {one.onsets_right}"
            )
        bearable = [p for p, one in enumerate(judged) if one.talk_false_per_min <= TALKING_BAR]
        chosen = max(bearable, key=lambda p: _known(judged[p].changes.f1_1, 0.0), default=0)
        scale, held_out = SCALES[chosen], judged[chosen]
        average, equal = compare_average(cases, parts, held_out.talk_false_per_min)
    best = search(cases, seed=seed, draws=draws, without=without, log=log)
    best |= {name: best[name] * scale for name in ("enter_margin", "leave_margin", "first_margin")}
    parameters = calibrated(cases, parameters_of(best, cases, without))
    parameters = parameters.model_copy(update={"margin_scale": _margin_scale(cases, parameters)})
    [events] = run([case.stream for case in cases], [parameters])
    return Fitted(
        parameters=parameters,
        seen=judge_cases(cases, events),
        held_out=held_out,
        average=average,
        equal=equal,
        folds=tuple(tuple(sorted(part)) for part in parts),
    )


def _on_unseen(
    cases: Sequence[Case],
    part: frozenset[str],
    *,
    seed: int,
    draws: int,
    without: frozenset[str],
) -> tuple[Judged, list[list[tuple[Case, list[Transition]]]]]:
    """Fit without some people; what is decided on them, with the margins times each of `SCALES`."""
    seen = [case for case in cases if case.person not in part]
    unseen = [case for case in cases if case.person in part]
    best = search(seen, seed=seed, draws=draws, without=without)
    parameters = calibrated(seen, parameters_of(best, seen, without))
    tried = [parameters.model_copy(update={"margin_scale": (s, s, s)}) for s in SCALES]
    events = run([case.stream for case in unseen], tried)
    found = [list(zip(unseen, e, strict=True)) for e in events]
    return judge_cases(unseen, events[0]), found


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
            merits.append(objective(judged, judged.changes))
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
    return judge([(c.group, c.stream.truth, e) for c, e in zip(cases, events, strict=True)])


def talks(stream: Stream) -> bool:
    """Whether a clip's main face talks most of the time."""
    series = max(stream.series, key=lambda s: len(s.times_s), default=None)
    return (
        series is not None
        and series.talking is not None
        and float(np.median(series.talking)) > 0.25
    )


def pieces(stream: Stream) -> list[Stream]:
    """Cut the stream of one face into parts of `LONGEST_S`, each with its part of the truth.

    Parts are searched side by side, so that one long clip does not cost as much as all others.
    """
    truth = stream.truth
    if len(stream.series) != 1 or truth.duration_s <= 1.5 * LONGEST_S:
        return [stream]
    [series] = stream.series
    parts = []
    for begin_s in np.arange(0.0, truth.duration_s, LONGEST_S):
        end_s = min(begin_s + LONGEST_S, truth.duration_s)
        inside = (series.times_s >= begin_s) & (series.times_s < end_s)
        if not inside.any():
            continue
        part = replace(
            truth,
            start=truth.state_at(float(begin_s)),
            changes=tuple(
                replace(c, at_s=c.at_s - begin_s) for c in truth.changes if begin_s < c.at_s < end_s
            ),
            may=tuple((a - begin_s, b - begin_s) for a, b in truth.may),
            duration_s=float(end_s - begin_s),
        )
        shown = _rows(series, inside)
        parts.append(Stream(truth=part, series=(replace(shown, times_s=shown.times_s - begin_s),)))
    return parts


def thinned(stream: Stream) -> Stream:
    """The same stream with fewer frames a second, where it has more than `FASTEST_FPS`."""
    return replace(stream, series=tuple(_thinned(series) for series in stream.series))


def _thinned(series: Series) -> Series:
    n = len(series.times_s)
    span_s = float(series.times_s[-1] - series.times_s[0])
    if n < 3 or (n - 1) <= FASTEST_FPS * span_s:
        return series
    return _rows(series, slice(None, None, 2))


def _rows(series: Series, rows: slice | NDArray[np.bool_]) -> Series:
    return replace(
        series,
        times_s=series.times_s[rows],
        probs=series.probs[rows],
        log_probs=None if series.log_probs is None else series.log_probs[rows],
        talking=None if series.talking is None else series.talking[rows],
        degraded=None if series.degraded is None else series.degraded[rows],
    )


def calibrated(cases: Sequence[Case], parameters: TransitionParameters) -> TransitionParameters:
    """Add what follows from a chosen detector's own events: onset lead and confidence."""
    streams = [case.stream for case in cases]
    [events] = run(streams, [parameters])
    labelled = [
        (case.stream.truth, found)
        for case, found in zip(cases, events, strict=True)
        if case.group in {"natural", "joined", "onset", "still", "clips"}
    ]
    lags = [
        found[e].onset_s - truth.changes[c].at_s
        for truth, found in labelled
        for c, e in match(truth, found, 2.0).found
    ]
    lead_s = round(min(max(0.0, float(np.median(lags))), 1.0), 3) if lags else 0.0
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
    thin = [replace(case, stream=thinned(case.stream)) for case in cases]
    judged = [judge_cases(thin, found) for found in run([c.stream for c in thin], settings)]
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


def _rounded(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(v), 4) for v in values)
