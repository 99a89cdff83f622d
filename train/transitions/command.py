"""``train detector``: the change detector's numbers, fitted on real clips."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from emoshift.command_line import RenamedOption
from emoshift.errors import InputError, OutputError, UsageError
from train import cli_options as options
from train.training.run_options import data_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.bundle.loader import Bundle
    from train.transitions.fit import Case
    from train.transitions.real_clips import View

REPORT_COMMAND = "train detector fit --report FILE"
PARTS = ("talking", "baseline", "patience", "recurrent", "fer2013")


@click.group()
def detector() -> None:
    """Fit the change detector that a bundle carries.

    \b
    Example:
        train detector fit --folds 0 -o temporal.json
    """


@detector.command()
@options.data
@click.option("--bundle", default="default", show_default=True, help="Whose networks are heard.")
@click.option(
    "--folds",
    default=8,
    show_default=True,
    type=click.IntRange(min=0),
    help="Parts the people are divided into for the figures on unseen people; 0 leaves them out.",
)
@click.option(
    "--jobs",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Processes that share the parts.",
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(PARTS),
    help="Leave a part out, to see what it brings; can be given more than once.",
)
@click.option(
    "-o",
    "--output",
    cls=RenamedOption,
    before="--write",
    type=options.OUTPUT,
    help="Write the manifest's temporal block here.",
)
@click.option("--report", type=options.OUTPUT, help="Write every figure here, as JSON.")
@click.option(
    "--channels",
    multiple=True,
    type=options.PATH,
    help="Move the bundle's own detector towards this recording of `edge calibrate`, and read no"
    " clips; can be given more than once.",
)
@click.option(
    "--feedback", type=options.PATH, help="The same towards the marks of `edge-dashboard marks`."
)
def fit(
    *,
    data: Path | None,
    bundle: str,
    folds: int,
    jobs: int,
    without: tuple[str, ...],
    output: Path | None,
    report: Path | None,
    channels: tuple[Path, ...],
    feedback: Path | None,
) -> None:
    """Fit on real clips, and score by people left out.

    A fit without each person is scored on that person.

    Reads streams/, clips/, ckplus_sequences/ and rooms/ of the data folder. Faces are found once
    and kept in the cache; another bundle then takes minutes.

    \b
    Example:
        train detector fit -o models/sources/temporal.json --report build/detector.json
        convert retune models/default models/sources/temporal.json
        train detector fit --bundle mine --channels room-7.jsonl --channels room-8.jsonl -o t.json
    """
    from edge.bundle.installed import configured_bundle
    from edge.config import Models
    from train.transitions import fitted_settings
    from train.transitions.evidence_regression import known_frames
    from train.transitions.fit import fit as fit_detector
    from train.transitions.judge import lines

    to_channels = bool(channels) or feedback is not None
    if to_channels and (without or report is not None):
        unheard = "--without" if without else "--report"
        raise UsageError(f"{unheard}: does nothing with --channels or --feedback; leave it out")
    loaded = configured_bundle(Models(bundle=bundle, allow_unsigned=True))
    if to_channels:
        _fit_to_channels(loaded, channels, feedback, output)
        return
    cases = read_cases(data_folder(data), loaded)
    if not known_frames([(c.group, c.stream) for c in cases], frozenset(without)).emotion.size:
        raise InputError(
            f"{bundle or loaded.manifest.bundle_id}: in no clip do all three sources of evidence"
            " answer for a face whose emotion is known; a fit needs a picture member with both"
            " heads and a recurrent member"
        )
    found = fit_detector(
        cases,
        folds=folds,
        without=frozenset(without),
        jobs=jobs,
        log=_log,
    )
    if found.held_out is not None:
        click.echo(f"People the fit had not seen ({folds} parts, by person):")
        click.echo("\n".join(f"  {line}" for line in lines(found.held_out)))
        each = ", ".join(f"{one.changes.f1_1:.3f}" for one in found.by_view)
        click.echo(f"  F1 at 1 s in each view: {each}")
    if found.average is not None:
        click.echo("Exponential average with hysteresis, same probabilities:")
        click.echo("\n".join(f"  {line}" for line in lines(found.average)))
        click.echo("The same, best of its settings with no more false changes on talkers:")
        equal = ["none of its settings has as few"] if found.equal is None else lines(found.equal)
        click.echo("\n".join(f"  {line}" for line in equal))
    click.echo("The people it was fitted on:")
    click.echo("\n".join(f"  {line}" for line in lines(found.seen)))
    about = (
        f"real clips of {len({c.person for c in cases})} people, {loaded.manifest.bundle_id};"
        " train detector fit"
    )
    if report is not None:
        values = {
            "bundle": loaded.manifest.bundle_id,
            "without": list(without),
            "people": [list(part) for part in found.folds],
            "held_out": None if found.held_out is None else found.held_out.to_json(),
            "held_out_by_view": [one.to_json() for one in found.by_view],
            "average": None if found.average is None else found.average.to_json(),
            "average_at_equal_false_changes": None
            if found.equal is None
            else found.equal.to_json(),
            "seen": found.seen.to_json(),
            "parameters": found.parameters.to_parameters(),
        }
        fitted_settings.write_json(report, json.loads(json.dumps(values)))
    if output is not None:
        rate = None if found.held_out is None else round(found.held_out.talk_false_per_min, 2)
        block = fitted_settings.temporal(found.parameters, about, false_changes_per_min=rate)
        fitted_settings.write_json(output, block.model_dump(mode="json"))
        click.echo(f"wrote {output}")


@detector.command()
@click.argument("page", type=options.PATH)
@click.argument("reports", type=options.PATH, nargs=-1, required=True)
def document(*, page: Path, reports: tuple[Path, ...]) -> None:
    """Write a fit's figures into a part of a Markdown PAGE.

    That between the marks which the page must have. REPORTS are those of `fit --report`: the whole
    fit first, then those with a part left out.

    \b
    Example:
        train detector document docs/research/transitions.md build/detector.json build/no-*.json
    """
    from train.transitions.tables import update_document

    read = [_read_report(path) for path in reports]
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, ValueError) as why:
        raise InputError(f"{page}: not a Markdown file that can be read") from why
    try:
        page.write_text(update_document(text, read), encoding="utf-8")
    except (KeyError, TypeError) as why:
        raise InputError(f"a report lacks figures; make it again: {REPORT_COMMAND}") from why
    except OSError as why:
        raise OutputError(f"{page}: {why.strerror}") from why
    click.echo(f"{page}")


def _read_report(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as why:
        raise InputError(f"{path}: {why.strerror}") from why
    except ValueError as why:
        raise InputError(f"{path}: not a report; make one: {REPORT_COMMAND}") from why
    if not isinstance(report, dict):
        raise InputError(f"{path}: not a report; make one: {REPORT_COMMAND}")
    return report


def _fit_to_channels(
    bundle: Bundle, channels: tuple[Path, ...], feedback: Path | None, output: Path | None
) -> None:
    from train.transitions import fitted_settings
    from train.transitions.from_channels import fit_to_channels

    parameters, found, about = fit_to_channels(bundle, channels, feedback, log=_log)
    if found is not None:
        for name, tally in (("before", found.before), ("after", found.after)):
            click.echo(
                f"half held back, {name}: expressions found {tally.found} of {tally.shown}, false"
                f" changes {tally.false}, of these {tally.quiet_false} in {tally.quiet_s:.0f} s of"
                " rest and talking"
            )
        if not found.kept:
            click.echo("nothing did better: the bundle's own parameters stay")
    if output is not None:
        described = f"{bundle.manifest.bundle_id} moved towards {about}; train detector fit"
        block = fitted_settings.temporal(parameters, described, false_changes_per_min=None)
        fitted_settings.write_json(output, block.model_dump(mode="json"))
        click.echo(f"wrote {output}")


def read_cases(data: Path, bundle: Bundle, *, views: Sequence[View] | None = None) -> list[Case]:
    """Every real clip, in each of these views or in all, as the bundle's networks see it."""
    from train.transitions.fit import Case
    from train.transitions.real_clips import VIEWS, read_real_clips
    from train.transitions.recordings import record_all

    clips = [replace(clip, view=view) for clip in read_real_clips(data) for view in views or VIEWS]
    streams = record_all(clips, bundle, log=_log)
    return [
        Case(group=clip.group, person=clip.person, stream=stream, view=clip.view)
        for clip, stream in zip(clips, streams, strict=True)
    ]


def _log(message: str) -> None:
    click.echo(message, err=True)
