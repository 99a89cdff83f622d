"""``edge-bench transitions``, and the command that fits the detector."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.transitions import learned, report
from benchmarks.transitions.compare import compare
from edge import __version__
from edge.bundle.installed import configured_bundle
from edge.capture.clip import Clip
from edge.config import Models, parse_config
from edge.pipeline import replay
from edge.transitions import TransitionParameters
from emoshift.errors import UsageError
from train.transitions import fitted_settings as tuned
from train.transitions import stream_sets as sets
from train.transitions.fit import fit as fit_parameters
from train.transitions.fit import objective, tune_baselines
from train.transitions.metrics import score, tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.transitions.compare import Comparison
    from edge.config import Config
    from edge.values import Transition
    from train.transitions.clip_streams import Recorded, Replay
    from train.transitions.metrics import Scores
    from train.transitions.streams import Stream

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)
_DATA = click.option(
    "--data",
    type=_FOLDER,
    default=lambda: Path(os.environ.get("EMOSHIFT_DATA", "../shared/data")),
    help="Folder with fer2013/ and ckplus48/.  [default: $EMOSHIFT_DATA or ../shared/data]",
)
_BUNDLE = click.option("--bundle", default="default", show_default=True, help="Model bundle.")
_SCALE = click.option(
    "--scale", default=1.0, show_default=True, help="Share of the clips of each set that is made."
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--level",
    "levels",
    type=click.Choice(["a", "b", "c"]),
    multiple=True,
    help="a: probability streams; b: crops and blendshapes; c: whole clips.  [default: all, or"
    " none with --labels]",
)
@click.option("--labels", type=_FILE, help="Label file of real clips; needs --clips.")
@click.option("--clips", type=_FOLDER, help="Folder of the labelled clips.")
@_DATA
@_BUNDLE
@click.option("--sensitivity", type=click.FloatRange(0, 1), help="Instead of the bundle's own.")
@click.option("--seed", default=101, show_default=True, help="Of the streams; 101 or above.")
@_SCALE
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--report", "folder", type=_FOLDER, help="Write table, JSON and plots here.")
def transitions(
    *,
    levels: tuple[str, ...],
    labels: Path | None,
    clips: Path | None,
    data: Path,
    bundle: str,
    sensitivity: float | None,
    seed: int,
    scale: float,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Score the change detector against the usual ones, on streams it was not tuned on.

    \b
    Example:
      edge-bench transitions --report out/transitions
      edge-bench transitions --labels labels.json --clips clips/
    """  # noqa: D301 - click reads \b as: do not wrap
    if (labels is None) != (clips is None):
        raise UsageError("--labels and --clips belong together")
    if seed <= 100:
        raise UsageError(f"--seed {seed}: seeds up to 100 are for tuning; take 101 or above")
    wanted = levels or (("a", "b", "c") if labels is None else ())
    config = _config(bundle, sensitivity)
    comparisons = [
        _level(level, config, data=data, seed=seed, scale=scale, sensitivity=sensitivity)
        for level in wanted
    ]
    if labels is not None and clips is not None:
        recorded = sets.labelled(labels, clips, _replay(config), note=_note)
        comparisons.append(_recorded("labels", f"real clips of {labels.name}", recorded, config))
    setup = {"version": __version__, "seed": seed, "scale": scale, "bundle": bundle}
    if folder is not None:
        for path in report.write(folder, comparisons, setup):
            _note(f"wrote {path}")
    if as_json:
        click.echo(report.to_json(comparisons, setup))
    else:
        click.echo("\n\n".join([*map(report.table, comparisons), report.LEGEND]))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--level", type=click.Choice(["a", "b"]), default="b", show_default=True)
@_DATA
@_BUNDLE
@_SCALE
@click.option("--draws", default=90, show_default=True, help="Settings tried.")
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=int,
    default=sets.TUNE_SEEDS,
    show_default=True,
    help="Of the tuning streams; can be given more than once.",
)
@click.option("--clips/--no-clips", default=True, help="Tune on rendered clips, too (level b).")
@click.option("--write", type=_FILE, help="Write the manifest's temporal block here (level b).")
def fit(
    *,
    level: str,
    data: Path,
    bundle: str,
    scale: float,
    draws: int,
    seeds: tuple[int, ...],
    clips: bool,
    write: Path | None,
) -> None:
    """Fit the detector and the baselines on tuning streams, never on those of the report.

    Level b writes the block that the converter puts into the bundle; the settings of the
    baselines, and all of level a, go to benchmarks/transitions/tuned.json.

    \b
    Example:
      python -m benchmarks.transitions fit --write models/sources/temporal.json
    """  # noqa: D301 - click reads \b as: do not wrap
    if late := [seed for seed in seeds if seed > 100]:
        raise UsageError(f"--seed {late[0]}: seeds above 100 are for the report; take 100 or below")
    drawn = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    if level == "a":
        streams = [s for seed in seeds for s in sets.level_a(seed=seed, scale=scale)]
        about = f"level (a) tuning streams, {drawn}"
    else:
        loaded = configured_bundle(Models(bundle=bundle))
        fresh, replayed = sets.networks(loaded), _replay(_config(bundle, None))
        streams = []
        for seed in seeds:
            streams += sets.level_b(data, "tune", fresh, seed=seed, scale=scale, note=_note)
            if clips:
                recorded = sets.level_c(data, "tune", replayed, seed=seed, scale=scale, note=_note)
                streams += sets.streams_of(recorded)
        about = (
            "synthetic streams of FER2013 PublicTest and every second CK+48 subject,"
            f" {loaded.manifest.bundle_id}, {drawn}"
        )
    parameters = fit_parameters(streams, seed=seeds[0], draws=draws, note=_note)
    found = tune_baselines(streams, note=_note)
    block = tuned.temporal(parameters, f"{about}; python -m benchmarks.transitions fit")
    values = {"baselines": found}
    if level == "a":
        values["temporal"] = block.model_dump(mode="json")
    tuned.store(level, values)
    if write is not None:
        tuned.write_json(write, block.model_dump(mode="json"))
        _note(f"wrote {write}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@_DATA
@_BUNDLE
@_SCALE
@click.option("--epochs", default=150, show_default=True, help="Of the training.")
def learn(*, data: Path, bundle: str, scale: float, epochs: int) -> None:
    """Train the learned alternative on the tuning streams of level b and score it on the report's.

    \b
    Example:
      python -m benchmarks.transitions learn
    """  # noqa: D301 - click reads \b as: do not wrap
    fresh = sets.networks(configured_bundle(_config(bundle, None).models))
    tuning = sets.level_b(data, "tune", fresh, seed=sets.TUNE_SEED, scale=scale, note=_note)
    weights = learned.train(tuning, epochs=epochs, note=_note)
    margin = max(
        (0.0, 0.15, 0.3, 0.5, 0.7),
        key=lambda m: objective(_score(tuning, learned.events(weights, tuning, margin=m))),
    )
    unseen = sets.level_b(data, "report", fresh, seed=101, scale=scale, note=_note)
    scores = _score(unseen, learned.events(weights, unseen, margin=margin))
    click.echo(json.dumps({"epochs": epochs, "margin": margin, **scores.to_json()}, indent=1))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@_DATA
@_BUNDLE
@click.option("--seed", default=101, show_default=True, help="Of the streams.")
def crowd(*, data: Path, bundle: str, seed: int) -> None:
    """Compare thirty faces in one picture with the same faces alone: transitions found.

    \b
    Example:
      python -m benchmarks.transitions crowd
    """  # noqa: D301 - click reads \b as: do not wrap
    from benchmarks.transitions.multi_face import company

    config = _config(bundle, None)
    alone, together = company(data, config, configured_bundle(config.models), seed=seed, note=_note)
    for name, scores in (("alone", alone), ("together", together)):
        click.echo(
            f"{name:<9} F1 at 1 s {scores.f1_1:.3f}, delay {scores.delay_mean_s:.2f} s,"
            f" {scores.false_per_min:.2f} false alarms a minute"
            f" ({scores.clips} faces, {scores.changes} changes, {scores.minutes:.1f} minutes)"
        )
    click.echo(f"difference {together.f1_1 - alone.f1_1:+.3f}")


def _score(streams: Sequence[Stream], events: Sequence[Sequence[Transition]]) -> Scores:
    return score([tally(s.truth, found) for s, found in zip(streams, events, strict=True)])


def _level(
    level: str,
    config: Config,
    *,
    data: Path,
    seed: int,
    scale: float,
    sensitivity: float | None,
) -> Comparison:
    if level == "a":
        parameters = tuned.level_a_parameters()
        if sensitivity is not None:
            parameters = parameters.model_copy(update={"sensitivity": sensitivity})
        return compare(
            "a",
            f"probability streams of a model network, seed {seed}",
            sets.level_a(seed=seed, scale=scale),
            parameters,
            tuned.settings_of("a"),
            seed=seed,
            note=_note,
        )
    if level == "c":
        recorded = sets.level_c(data, "report", _replay(config), seed=seed, scale=scale, note=_note)
        source = f"rendered clips of held-out pictures through the whole pipeline, seed {seed}"
        return _recorded("c", source, recorded, config)
    loaded = configured_bundle(config.models)
    fresh, other = sets.networks(loaded), sets.xception()
    streams = sets.level_b(data, "report", fresh, seed=seed, scale=scale, note=_note)
    others = (
        []
        if other is None
        else sets.level_b(data, "report", lambda: other, seed=seed, scale=scale, note=_note)
    )
    return compare(
        "b",
        f"crop and blendshape sequences of held-out pictures, seed {seed},"
        f" {loaded.manifest.bundle_id}",
        streams,
        _parameters(config),
        tuned.settings_of("b"),
        others=others,
        seed=seed,
        note=_note,
    )


def _recorded(level: str, source: str, recorded: list[Recorded], config: Config) -> Comparison:
    return compare(
        level,
        source,
        sets.streams_of(recorded),
        _parameters(config),
        tuned.settings_of(level),
        others=[r.others for r in recorded if r.others is not None],
        events=[r.events for r in recorded],
        note=_note,
    )


def _config(bundle: str, sensitivity: float | None) -> Config:
    values = {"models": {"bundle": bundle}, "transitions": {"sensitivity": sensitivity}}
    return parse_config(values, where="command line")


def _parameters(config: Config) -> TransitionParameters:
    loaded = configured_bundle(config.models)
    return TransitionParameters.from_temporal(
        loaded.manifest.temporal,
        sensitivity=config.transitions.sensitivity,
        where=loaded.manifest.bundle_id,
    )


def _replay(config: Config) -> Replay:
    return lambda path: replay(Clip(path), config)


def _note(message: str) -> None:
    click.echo(message, err=True)
