"""The figures of a fit as Markdown tables, from the reports of ``train detector fit --report``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Report = Mapping[str, Any]

START: Final = "<!-- written by train detector document: begin -->"
END: Final = "<!-- written by train detector document: end -->"
COLUMNS: Final = (
    ("held_out", "detector, unseen people"),
    ("average", "average, chosen so"),
    ("average_at_equal_false_changes", "average, at equal false changes"),
    ("seen", "detector, people fitted on"),
)
EMOTIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise")
LEFT_OUT: Final = {
    "baseline": "the own face",
    "fer2013": "FER2013's head",
    "patience": "patience",
    "recurrent": "the recurrent member",
    "talking": "speech",
}


def update_document(text: str, reports: Sequence[Report]) -> str:
    """Return a document with the tables between its markers written anew.

    Args:
        text: Of the document.
        reports: That of the whole fit first, then those with parts left out.

    Raises:
        InputError: It has no markers, or a report has no figures on unseen people.
    """
    start, end = text.find(START), text.find(END)
    if start < 0 or end < start:
        raise InputError(f"the document has no lines {START!r} and {END!r}")
    for report in reports:
        if not report.get("held_out"):
            raise InputError("a report has no figures on unseen people; fit without --folds 0")
    whole, *others = reports
    made = [START, "", *figure_table(whole)]
    if others:
        made += [
            "",
            "What each part brings (`train detector fit --without PART`, unseen people):",
            "",
            *part_table(reports),
        ]
    return text[:start] + "\n".join([*made, "", ""]) + text[end:]


def figure_table(report: Report) -> list[str]:
    """Return every figure of a fit; counts are means over the views of each clip."""
    columns = [(name, report[key]) for key, name in COLUMNS if report.get(key)]
    some = columns[0][1]
    n, views = some["changes"]["changes"] / some["views"], some["views"]
    talk_min = some["talk_minutes"] / views
    rows: list[tuple[str, Callable[[Report], str]]] = [
        (f"F1 at 1 s, natural and joined clips (n = {n:g} changes)", _f1),
        ("found / missed / false", _found),
        (
            "mean delay; 90 % within, s",
            lambda j: f"{_n(j['changes']['delay_mean_s'])}; {_n(j['changes']['delay_p90_s'])}",
        ),
        (
            f"false changes a minute, people who only talk ({talk_min:.1f} min)",
            lambda j: f"{j['talk_false_per_min']:.2f}",
        ),
        (
            f"posed onsets with the right emotion last (n = {some['onsets'] / views:g})",
            lambda j: _of(j, j["onsets_right"]),
        ),
        (f"of these {', '.join(EMOTIONS)}", _by_emotion),
        ("changes to other emotions on the way", lambda j: _of(j, j["onsets_false"])),
        (
            f"one acted emotion, talking: right (n = {some['acted'] / views:g}); others",
            lambda j: f"{_of(j, j['acted_right'])}; {_of(j, j['acted_false'])}",
        ),
        (
            "rooms: events other than neutral or happy",
            lambda j: _of(j, j["rooms_wrong"]),
        ),
        (
            "ECE of published events, natural and joined clips",
            lambda j: _n(j["changes"]["ece"]),
        ),
    ]
    lines = [
        f"| | {' | '.join(name for name, _ in columns)} |",
        f"| --- |{' ---: |' * len(columns)}",
        *(f"| {name} | {' | '.join(tell(j) for _, j in columns)} |" for name, tell in rows),
    ]
    if len(report["held_out_by_view"]) > 1:
        each = ", ".join(_f1(judged) for judged in report["held_out_by_view"])
        lines += ["", f"F1 of the first column in each view of the clips by itself: {each}."]
    return lines


def part_table(reports: Sequence[Report]) -> list[str]:
    """Return what the detector does on unseen people with parts left out, one fit a row."""
    some = reports[0]["held_out"]
    heads = (
        "F1 at 1 s",
        "mean delay, s",
        "false changes a minute, talkers",
        f"posed onsets right, of {some['onsets'] / some['views']:g}",
        f"acted right, of {some['acted'] / some['views']:g}",
    )
    lines = [f"| | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    for report in reports:
        j = report["held_out"]
        missing = " and ".join(LEFT_OUT[part] for part in report["without"])
        lines.append(
            f"| {'without ' + missing if missing else 'everything'} | {_f1(j)}"
            f" | {_n(j['changes']['delay_mean_s'])} | {j['talk_false_per_min']:.2f}"
            f" | {_of(j, j['onsets_right'])} | {_of(j, j['acted_right'])} |"
        )
    return lines


def _f1(judged: Report) -> str:
    return _n(judged["changes"]["f1_1"])


def _found(judged: Report) -> str:
    c = judged["changes"]
    found = round((c["recall"] or 0.0) * c["changes"])
    false = round((c["false_per_min"] or 0.0) * c["minutes"])
    return " / ".join(_of(judged, n) for n in (found, c["changes"] - found, false))


def _by_emotion(judged: Report) -> str:
    shown = judged["onsets_by_emotion"]
    counts = [shown.get(emotion, (0, 0)) for emotion in EMOTIONS]
    return ", ".join(f"{_of(judged, right)} of {_of(judged, n)}" for right, n in counts)


def _of(judged: Report, count: int) -> str:
    return f"{count / judged['views']:.3g}"


def _n(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}".removeprefix("0")
