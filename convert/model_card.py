"""The model card, written from the manifest so that its figures cannot differ from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emoshift.errors import InputError

if TYPE_CHECKING:
    from edge.bundle.manifest import Manifest, Metric

CARD_NAME: Final = "CARD.md"
START: Final = "<!-- written by convert document: begin -->"
END: Final = "<!-- written by convert document: end -->"
ACCURACY_LOST: Final = "accuracy lost, FER+8"
"""The gate's name for what int8 costs a member; its table looks for the limit under it."""
_HELD_OUT: Final = "FER2013 PrivateTest"

USE: Final = """\
## Use and limits

- **Made for**: telling when the shown expression of a face changes, on a device that keeps and
  sends no picture. It reads what a face shows to an annotator, not what a person feels.
- **Not made for**: judging a single pupil or a single picture, grading, discipline, or any
  decision about a person. Expression and feeling differ between people and cultures.
- **Law**: inferring emotions in schools and at work is prohibited in the European Union (AI Act,
  Article 5(1)(f)) outside medical and safety use; consent and data protection law applies
  elsewhere. The daemon starts only with a stated legal basis.
- **Data it learnt from**: FER2013 was gathered by web search, 48 by 48 pixels, grey, mostly
  posed; age, skin tone and origin are neither balanced nor known, and no figure by group can be
  given. Its pictures are for research use and are not part of this package. FER+ gives ten
  annotators' votes for each (MIT licence); one annotator agrees with the majority of the other nine
  on 77.1 % of the test rows.
- **Weak spots**: disgust and contempt are rare in the data (18 and 16 test pictures), so what is
  said of them is noise. Sadness can hardly be read from blendshapes. How much turned heads, hands
  before the face, masks and small faces lower the accuracy has not been measured with this bundle.
- **Precision**: with the members listed above, int8 where the table says so. A figure for single
  pictures says little of transitions; those are measured apart.
"""


def write_card(manifest: Manifest) -> str:
    """Return the card as Markdown."""
    lines = [
        f"# Model card: {manifest.bundle_id}",
        "",
        "Written by `convert` together with the manifest; do not edit.",
        "",
    ]
    if manifest.failing:
        lines += ["**The verify gate failed for this bundle; see the report below.**", ""]
    lines += [
        "| | |",
        "| --- | --- |",
        f"| Trained on | {'; '.join(manifest.training_data)} |",
        f"| Calibrated on | {manifest.calibration_data} |",
        f"| Licence | {manifest.licence} |",
        f"| Software | {manifest.software} |",
        "",
        *_held_out(manifest),
        "## Members",
        "",
        "| member | kind | precision | bytes | multiply-adds | views | temperature | weight |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {m.name} | {m.kind} | {m.quantisation} | {m.size_bytes:,} | {m.multiply_adds:,}"
        f" | {2 if m.mirrored else 1} | {m.temperature:g} | {m.weight:g} |"
        for m in manifest.members
    ]
    lines += ["", *USE.splitlines(), "", "## Measured", "", *metric_table(manifest), ""]
    lines += [
        "Views of *image members alone* are those of all of them together.",
        "Temperatures and weights are fitted on PublicTest, so ECE and NLL there are a little",
        "flattering. ECE has 15 bins of equal width, against the majority label.",
        "",
        "## Verify gate: converted against float",
        "",
        *gate_table(manifest),
        "",
    ]
    return "\n".join(lines)


def _held_out(manifest: Manifest) -> list[str]:
    """What all members reach together on the split that no choice was made by."""
    precisions = {m.quantisation for m in manifest.members}
    rows = [m for m in manifest.metrics if m.data == _HELD_OUT and m.precision in precisions]
    if not rows:
        return []
    return [
        "## In short",
        "",
        f"All members together, on {_HELD_OUT}, by which nothing was chosen:",
        "",
        "| figure | value | n | labels | precision |",
        "| --- | ---: | ---: | --- | --- |",
        *[f"| {m.name} | {_value(m)} | {m.n:,} | {m.protocol} | {m.precision} |" for m in rows],
        "",
        "These are single pictures. How often a reported change is wrong is measured apart",
        "(docs/research/transitions.md).",
        "",
    ]


def update_document(text: str, manifest: Manifest) -> str:
    """Return a document with the tables between its markers written anew.

    Raises:
        InputError: It has no markers.
    """
    start, end = text.find(START), text.find(END)
    if start < 0 or end < start:
        raise InputError(f"the document has no lines {START!r} and {END!r}")
    made = "\n".join(
        [
            START,
            "",
            f"Bundle `{manifest.bundle_id}`, {manifest.software}.",
            "",
            *cost_table(manifest),
            "",
            *metric_table(manifest),
            "",
            *gate_table(manifest),
            "",
            "",
        ]
    )
    return text[:start] + made + text[end:]


def cost_table(manifest: Manifest) -> list[str]:
    """Return what int8 costs, and the limits of the gate, as a Markdown table."""
    lines = ["| measure | limit of the gate | found |", "| --- | --- | --- |"]
    for member in manifest.members:
        limits = {
            r.data: r.limit
            for r in manifest.gate
            if r.member == member.name and r.check.startswith(ACCURACY_LOST)
        }
        looks = 2 if member.mirrored else 1
        exact = {_what(m): m for m in member.metrics if m.precision == "float32"}
        for m in member.metrics:
            other = exact.get(_what(m))
            if m.precision == "float32" or other is None or m.name != "FER+8 accuracy":
                continue
            lost = 100 * (other.value - m.value)
            about = f"{m.views} view{'s' if m.views > 1 else ''}, {m.data}, n = {m.n:,}"
            limit = limits.get(m.data) if m.views == looks else None  # the device's own views
            bound = "" if limit is None else f"at most {100 * limit:g} points"
            lines.append(
                f"| {member.name}: FER+8 accuracy lost, {about} | {bound} | {lost:.2f} points |"
            )
    for r in manifest.gate:
        if "over time" in r.check and "agreement" in r.check:
            kept = f"at least {_percent(r.limit)} | {_percent(r.value)}"
            lines.append(f"| {r.member}: same arg-max, {r.data} | {kept} |")
        elif "XNNPACK" in r.check:
            kept = f"at least {_percent(r.limit)} | {_percent(r.value)}"
            lines.append(f"| {r.member}: operators on XNNPACK | {kept} |")
        elif r.check.startswith("bytes"):
            lines.append(f"| all models | at most {r.limit:,.0f} bytes | {r.value:,.0f} bytes |")
    return lines


def _what(metric: Metric) -> tuple[str, str, int]:
    return metric.name, metric.data, metric.views


def metric_table(manifest: Manifest) -> list[str]:
    """Return every figure of the members and the ensemble as a Markdown table."""
    rows = [(m.name, metric) for m in manifest.members for metric in m.metrics]
    rows += [("ensemble", metric) for metric in manifest.metrics]
    return [
        "| what | figure | value | n | data | labels | precision | views |",
        "| --- | --- | ---: | ---: | --- | --- | --- | ---: |",
        *[
            f"| {who} | {m.name} | {_value(m)} | {m.n:,} | {m.data} | {m.protocol}"
            f" | {m.precision} | {m.views} |"
            for who, m in rows
        ],
    ]


def gate_table(manifest: Manifest) -> list[str]:
    """Return the gate's report as a Markdown table."""
    return [
        "| member | check | limit | found | n | data | |",
        "| --- | --- | ---: | ---: | ---: | --- | --- |",
        *[
            f"| {r.member} | {r.check} | {r.limit:g} | {r.value:g} | {r.n:,} | {r.data}"
            f" | {'passed' if r.passed else '**failed**'} |"
            for r in manifest.gate
        ],
    ]


def _value(metric: Metric) -> str:
    if "accuracy" in metric.name or "recall" in metric.name:
        return _percent(metric.value)
    return f"{metric.value:.4f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
