"""``edge-bench calibration``: what calibrating on one clip of a person brings on others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from edge.bundle.installed import configured_bundle
from edge.config import Models
from edge.transitions import TransitionParameters
from emoshift.command_line import OutputPath
from emoshift.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.calibration.measure import Outcome
    from edge.bundle.loader import Bundle
    from train.transitions.fit import Case

# What fits needs SciPy, which a device lacks: the commands that fit import it themselves.

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
LENGTHS_S: Final = (10.0, 20.0, 40.0, 80.0)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="EMOSHIFT_DATA",
    show_envvar=True,
    required=True,
    help="Folder with streams/, clips/, ckplus_sequences/ and rooms/.",
)
@click.option("--bundle", default="default", show_default=True, help="Model bundle.")
@click.option(
    "--sensitivity",
    "sensitivities",
    type=click.FloatRange(0, 1),
    multiple=True,
    default=(0.5, 1.0),
    show_default=True,
    help="Of the device; can be given more than once.",
)
@click.option(
    "--folds",
    default=8,
    show_default=True,
    type=click.IntRange(min=2),
    help="Parts the people are divided into.",
)
@click.option("--fits", type=_FILE, help="Keep the fits without each person here, or read them.")
@click.option("--lengths", is_flag=True, help="Also calibrate on the first seconds alone.")
@click.option(
    "-o", "--output", type=OutputPath(dir_okay=False), help="Write every figure here, as JSON."
)
def calibration(
    *,
    data: Path,
    bundle: str,
    sensitivities: tuple[float, ...],
    folds: int,
    fits: Path | None,
    lengths: bool,
    output: Path | None,
) -> None:
    """Calibrate on a person's clip; judge on other clips.

    Of the same person, and of other people. The detector's own parameters are fitted without the
    person each time.

    \b
    Example:
      edge-bench calibration --data data -o out/calibration.json
    """
    from benchmarks.calibration.measure import measure
    from train.transitions.command import read_cases
    from train.transitions.real_clips import AS_IT_IS

    loaded = configured_bundle(Models(bundle=bundle, allow_unsigned=True))
    cases = read_cases(data, loaded, views=(AS_IT_IS,))
    parameters = _fits(cases, loaded, fits, folds=folds)
    figures: dict[str, Any] = {
        "bundle": loaded.manifest.bundle_id,
        "folds": folds,
    }
    for sensitivity in sensitivities:
        outcome = measure(cases, parameters, sensitivity=sensitivity, log=_note)
        figures[f"sensitivity {sensitivity:g}"] = outcome.to_json()
        click.echo("\n".join(_lines(f"sensitivity {sensitivity:g}", outcome)))
        for length_s in LENGTHS_S if lengths else ():
            short = measure(
                cases, parameters, sensitivity=sensitivity, longest_s=length_s, others=False
            )
            figures[f"sensitivity {sensitivity:g}, first {length_s:g} s"] = short.to_json()
            before, after = short.same
            click.echo(
                f"  on the first {length_s:g} s: {short.changed} of {short.trials} changed,"
                f" false changes {before.false} to {after.false}"
            )
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        _note(f"wrote {output}")


def _fits(
    cases: Sequence[Case], bundle: Bundle, kept: Path | None, *, folds: int
) -> dict[str, TransitionParameters]:
    """For each person the parameters of a fit without that person."""
    from train.transitions.fit import fit, people

    about = {"bundle": bundle.manifest.bundle_id, "folds": folds}
    if kept is not None and kept.exists():
        data = json.loads(kept.read_text(encoding="utf-8"))
        if data["about"] != about:
            raise InputError(f"{kept}: fits of {data['about']}, expected {about}; remove it")
        return {
            person: TransitionParameters.model_validate(values)
            for person, values in data["people"].items()
        }
    found: dict[str, TransitionParameters] = {}
    for part in people(cases, folds):
        _note(f"fitting without {', '.join(sorted(part))}")
        seen = [case for case in cases if case.person not in part]
        found |= dict.fromkeys(part, fit(seen).parameters)
    if kept is not None:
        values = {p: json.loads(q.model_dump_json()) for p, q in found.items()}
        kept.write_text(json.dumps({"about": about, "people": values}), encoding="utf-8")
    return found


def _lines(title: str, outcome: Outcome) -> list[str]:
    lines = [f"{title}: {outcome.changed} of {outcome.trials} calibrations changed anything"]
    for who, (before, after) in (
        ("the same person, other clips", outcome.same),
        ("of these, where it changed anything", outcome.helped),
        ("other people, where it changed anything", outcome.others),
    ):
        share = 100 * (after.false / before.false - 1) if before.false else 0.0
        lines.append(
            f"  {who}: F1 {before.f1:.3f} to {after.f1:.3f} (n = {before.found + before.missed}"
            f" changes), false {before.false} to {after.false} ({share:+.0f} %) in"
            f" {before.minutes:.1f} min, found {before.found} to {after.found}"
        )
    return lines


def _note(line: str) -> None:
    click.echo(line, err=True)
