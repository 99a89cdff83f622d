"""``edge-bench transitions``: how well changes are decided, on clips and on made-up streams."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from benchmarks.transitions import report
from benchmarks.transitions.compare import compare
from edge import __version__
from edge.bundle.installed import configured_bundle
from edge.capture.clip import Clip
from edge.config import parse_config
from edge.pipeline import REPLAY_SEED, open_pipeline, replay
from edge.transitions import TransitionParameters
from emoshift.command_line import RenamedOption
from emoshift.errors import UsageError
from train.transitions import stream_sets as sets
from train.transitions.judge import judge, lines
from train.transitions.real_clips import read_real_clips

if TYPE_CHECKING:
    from benchmarks.transitions.compare import DetectorComparison
    from edge.config import Config
    from train.transitions.clip_streams import Recorded, Replay
    from train.transitions.judge import Judged

_ON_WHOM: Final = (
    "A bundle that was fitted on these clips knows these people; `train detector fit` measures on"
    " people that the fit has not seen."
)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)
_DATA = click.option(
    "--data",
    type=_FOLDER,
    envvar="EMOSHIFT_DATA",
    show_envvar=True,
    default=Path(),
    help="Folder that holds fer2013/ and ckplus48/.",
)
_BUNDLE = click.option("--bundle", default="default", show_default=True, help="Model bundle.")
_SCALE = click.option(
    "--scale",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Share of the clips of each set that is made.",
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
@click.option(
    "--streams",
    type=_FOLDER,
    help="Folder with streams/, clips/, ckplus_sequences/ and rooms/: replay every real clip.",
)
@_DATA
@_BUNDLE
@click.option("--sensitivity", type=click.FloatRange(0, 1), help="Instead of the bundle's own.")
@click.option("--seed", default=101, show_default=True, help="Of the streams; 101 or above.")
@_SCALE
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option(
    "-o",
    "--output",
    "folder",
    cls=RenamedOption,
    before="--report",
    type=_FOLDER,
    help="Write table, JSON and plots here.",
)
def transitions(
    *,
    levels: tuple[str, ...],
    labels: Path | None,
    clips: Path | None,
    streams: Path | None,
    data: Path,
    bundle: str,
    sensitivity: float | None,
    seed: int,
    scale: float,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Score the change detector against the usual ones.

    On streams it was not tuned on.

    \b
    Example:
      edge-bench transitions -o out/transitions
      edge-bench transitions --labels labels.json --clips clips/
      edge-bench transitions --streams data
    """
    if (labels is None) != (clips is None):
        raise UsageError("--labels and --clips belong together")
    if seed <= 100:
        raise UsageError(f"--seed {seed}: seeds up to 100 are for tuning; take 101 or above")
    wanted = levels or (("a", "b", "c") if labels is None and streams is None else ())
    config = _config(bundle, sensitivity)
    comparisons = [
        _level(level, config, data=data, seed=seed, scale=scale, sensitivity=sensitivity)
        for level in wanted
    ]
    if labels is not None and clips is not None:
        recorded = sets.labelled(labels, clips, _replay(config), note=_note)
        comparisons.append(_recorded("labels", f"real clips of {labels.name}", recorded, config))
    real = None if streams is None else _real(streams, config)
    setup: dict[str, Any] = {"version": __version__, "seed": seed, "scale": scale, "bundle": bundle}
    if real is not None:
        setup["real_clips"] = real.to_json()
    if folder is not None:
        for path in report.write(folder, comparisons, setup):
            _note(f"wrote {path}")
    if as_json:
        click.echo(report.to_json(comparisons, setup))
    else:
        if real is not None:
            click.echo("Real clips, replayed:\n" + "\n".join(f"  {line}" for line in lines(real)))
            click.echo(_ON_WHOM)
        if comparisons:
            click.echo("\n\n".join([*map(report.table, comparisons), report.LEGEND]))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@_DATA
@_BUNDLE
@click.option("--seed", default=101, show_default=True, help="Of the streams.")
def crowd(*, data: Path, bundle: str, seed: int) -> None:
    """Compare thirty faces in one picture with the same faces alone: transitions found.

    \b
    Example:
      python -m benchmarks.transitions crowd
    """
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


def _real(data: Path, config: Config) -> Judged:
    """Take every real clip through the whole pipeline, each with a fresh one."""
    cases = []
    bundle = configured_bundle(config.models)
    for clip in read_real_clips(data):
        _note(f"{clip.group}: {clip.truth.name}")
        with open_pipeline(config, bundle, random_seed=REPLAY_SEED) as pipeline:
            events = [e for frame in clip.frames() for e in pipeline.step(frame).transitions]
        cases.append((clip.group, clip.truth, events))
    return judge(cases)


def _level(
    level: str,
    config: Config,
    *,
    data: Path,
    seed: int,
    scale: float,
    sensitivity: float | None,
) -> DetectorComparison:
    if level == "a":
        parameters = TransitionParameters()
        if sensitivity is not None:
            parameters = parameters.model_copy(update={"sensitivity": sensitivity})
        return compare(
            "a",
            f"probability streams of a model network, seed {seed}",
            sets.level_a(seed=seed, scale=scale),
            parameters,
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
        others=others,
        seed=seed,
        note=_note,
    )


def _recorded(
    level: str, source: str, recorded: list[Recorded], config: Config
) -> DetectorComparison:
    return compare(
        level,
        source,
        sets.streams_of(recorded),
        _parameters(config),
        others=[r.others for r in recorded if r.others is not None],
        events=[r.events for r in recorded],
        note=_note,
    )


def _config(bundle: str, sensitivity: float | None) -> Config:
    values = {
        "models": {"bundle": bundle, "allow_unsigned": True},
        "transitions": {"sensitivity": sensitivity},
    }
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
