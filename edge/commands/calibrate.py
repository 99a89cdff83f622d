"""``edge calibrate``: asks people in the room for expressions, and fits the device to the room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from edge import __version__
from edge.bundle.installed import configured_bundle, configured_library
from edge.bundle.site_key import sign_layer
from edge.bundle.site_layer import Correction, SiteLayer
from edge.capture.devices import is_clip
from edge.commands.service import has_service_user
from edge.site.channels import Channels, Row, networks_digest, write_channels
from edge.site.fit import fit_correction
from edge.site.run_many import run_many
from edge.site.script import PROMPTS, segments_of
from edge.transitions import TransitionParameters
from emoshift.errors import (
    BundleError,
    CameraError,
    ConfigError,
    InputError,
    OutputError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edge.bundle.loader import Bundle
    from edge.bundle.site_layer import Tally
    from edge.config import Config
    from edge.site.feedback import Marks
    from edge.site.fit import Fit
    from edge.site.script import Prompt, Segment

    Say = Callable[[str], None]
    Ask = Callable[[str], bool]

FACE_WITHIN_S: Final = 60.0
"""A face has to be seen this soon."""
_SHOWN_ROWS: Final = 2
_WORST_GAP_S: Final = 2.0
_ERRORS: Final = {66: InputError, 69: UnavailableError, 73: OutputError, 74: CameraError}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the operator wants done with the recording.

    Attributes:
        keep: Where to keep it; ``None`` keeps nothing.
        install: Whether to install what is fitted.
        marks: Teachers' marks to start from; ``None`` for none.
    """

    keep: Path | None = None
    install: bool = True
    marks: Marks | None = None


def calibrate(
    config: Config,
    channels: Channels,
    wishes: Wishes,
    *,
    ask: Ask,
    say: Say,
) -> Fit:
    """Show a recording, keep it if that is wished, fit to it, and install what holds.

    Args:
        config: The whole configuration.
        channels: The recording.
        wishes: What to do.
        ask: Puts a question; true is yes.
        say: Told each line.

    Raises:
        BundleError: The recording is of other networks.
        InputError: It has no face, or nothing was shown in it.
        OutputError: A file cannot be written.
        ConfigError: A layer cannot lie over the bundle configured.
    """
    bundle = configured_bundle(config.models)
    _demand_usable(channels, bundle)
    show_recording(channels, say)
    if wishes.keep is not None and ask(f"Keep this recording as {wishes.keep}?"):
        write_channels(channels, wishes.keep)
        say(f"kept      {wishes.keep}")
    else:
        say("kept      nothing of the recording")
    parameters = TransitionParameters.from_temporal(
        bundle.manifest.temporal,
        sensitivity=config.transitions.sensitivity,
        merge=config.transitions.merge,
        where=bundle.manifest.bundle_id,
    )
    present = Correction() if bundle.layer is None else bundle.layer.correction
    fit = fit_correction(
        parameters,
        merged(channels.segments, config),
        partial(run_many, channels.rows),
        present=present,
        start=None if wishes.marks is None else wishes.marks.leaning,
        log=say,
    )
    for line in report(fit):
        say(line)
    if fit.correction == present:
        return fit
    if not wishes.install:
        say("installed nothing, as you wished")
        return fit
    if config.models.bundle != "default":
        raise ConfigError(
            "models.bundle",
            ["names a folder, over which no site layer can lie; install it: edge models install"],
        )
    if ask("Use this from now on?"):
        layer = SiteLayer(
            bundle_id=bundle.manifest.bundle_id,
            made=datetime.now(UTC).replace(microsecond=0),
            correction=fit.correction,
            seconds=round(channels.seconds, 1),
            before=fit.before,
            after=fit.after,
            marks=0 if wishes.marks is None else wishes.marks.used,
            software=__version__,
        ).named()
        signature = None
        if not config.models.allow_unsigned:
            signature = sign_layer(config.models.site_key, layer.to_json())
        name = configured_library(config.models).install_layer(layer, signature)
        say(f"installed {name}; restart the service to use it")
        say("          edge models rollback takes it back")
    return fit


def record_clip(config: Config, segments: tuple[Segment, ...]) -> Channels:
    """Record a clip given as ``camera.source``, every frame of it.

    Raises:
        EmoshiftError: What the measuring process met.
    """
    bundle = configured_bundle(config.models)
    with _Measuring(config) as measuring:
        measuring.wait()
        return _channels(bundle, segments, measuring.rows)


def record_people(config: Config, *, say: Say, prompts: tuple[Prompt, ...] = PROMPTS) -> Channels:
    """Ask whoever is before the camera for each expression in turn, and record it.

    Raises:
        CameraError: No face came into view.
        EmoshiftError: What the measuring process met.
    """
    bundle = configured_bundle(config.models)
    with _Measuring(config) as measuring:
        say("Waiting for a face ...")
        deadline_s = time.monotonic() + FACE_WITHIN_S
        while not measuring.rows:
            measuring.demand_running()
            if time.monotonic() > deadline_s:
                raise CameraError(
                    f"no face within {FACE_WITHIN_S:.0f} s; sit where the class sits, in its light"
                )
            time.sleep(0.1)
        starts_s = []
        for number, prompt in enumerate(prompts, start=1):
            say(f"[{number:>2} of {len(prompts)}, {prompt.seconds:.0f} s]  {prompt.text}")
            starts_s.append(time.monotonic())
            while time.monotonic() < starts_s[-1] + prompt.seconds:
                measuring.demand_running()
                time.sleep(0.05)
        say("Thank you; that was all.")
        return _channels(bundle, segments_of(prompts, starts_s), measuring.rows)


def show_recording(channels: Channels, say: Say) -> None:
    """Show what a recording holds, so that whoever was in it can see that."""
    faces = {row.face for row in channels.rows}
    lines = list(channels.lines())
    say("")
    say(
        f"recorded  {channels.seconds:.0f} s: {len(channels.rows)} lines of numbers, of"
        f" {len(faces)} face{'' if len(faces) == 1 else 's'}; no picture, no name. It begins:"
    )
    for line in lines[1 : 1 + _SHOWN_ROWS]:
        say(f"          {line[:150]}{'...' if len(line) > 150 else ''}")


def report(fit: Fit) -> list[str]:
    """Say in plain words what was found and what the fit brings."""
    seen = fit.seen_before
    whole = replace_sum(fit.before, seen)
    lines = ["", f"In this room, at the present setting: {_words(whole)}."]
    if not fit.found:
        lines.append("Nothing does better here: the present setting stays.")
        return lines
    if not fit.kept:
        lines.append(
            "What was fitted to one half did not hold on the other half: the present setting stays."
        )
        return lines
    lines.append(f"The half that was held back, before: {_words(fit.before)}.")
    lines.append(f"The same half with what was fitted: {_words(fit.after)}.")
    return lines


def replace_sum(one: Tally, other: Tally) -> Tally:
    """Both halves together."""
    return one.model_copy(
        update={
            name: getattr(one, name) + getattr(other, name)
            for name in ("shown", "found", "false", "quiet_s", "quiet_false")
        }
    )


def merged(segments: tuple[Segment, ...], config: Config) -> tuple[Segment, ...]:
    """What was shown, in the emotions that are left after merging."""
    into = config.transitions.merge
    return tuple(replace(s, shows=into.get(s.shows, s.shows)) for s in segments)  # type: ignore[arg-type] # labels of emotions


def _words(tally: Tally) -> str:
    parts = []
    if tally.shown:
        parts.append(f"expressions found {tally.found} of {tally.shown}")
    if tally.quiet_s:
        rate = tally.quiet_false / (tally.quiet_s / 60)
        parts.append(f"false changes at rest and while talking {rate:.1f} a minute")
    parts.append(f"wrong emotions {tally.false - tally.quiet_false} in expressions")
    return ", ".join(parts)


def _demand_usable(channels: Channels, bundle: Bundle) -> None:
    if channels.networks != networks_digest(bundle.manifest):
        raise BundleError(
            f"recorded with the networks of {channels.bundle_id}, in use are those of"
            f" {bundle.manifest.bundle_id}; record again"
        )
    if not channels.rows:
        raise InputError("no face in the recording; sit where the class sits, in its light")
    judged = [s for s in channels.segments if s.emotion is not None]
    seen = [s for s in judged if any(s.from_s <= r.at_s < s.to_s for r in channels.rows)]
    if not judged or len(seen) < len(judged) / 2:
        raise InputError(
            f"a face in {len(seen)} of {len(judged)} spans only; calibrate again with the face in"
            " view all the time"
        )


def _channels(bundle: Bundle, segments: tuple[Segment, ...], rows: list[Row]) -> Channels:
    """Rows within the segments, timed from the first of them."""
    origin_s = min((s.from_s for s in segments), default=0.0)
    end_s = max((s.to_s for s in segments), default=0.0) + _WORST_GAP_S
    return Channels(
        bundle_id=bundle.manifest.bundle_id,
        networks=networks_digest(bundle.manifest),
        segments=tuple(
            replace(s, from_s=s.from_s - origin_s, to_s=s.to_s - origin_s) for s in segments
        ),
        rows=tuple(
            replace(row, at_s=row.at_s - origin_s) for row in rows if origin_s <= row.at_s <= end_s
        ),
    )


class _Measuring:
    """The process that sees the pictures; this one never does.

    Attributes:
        rows: What it has reported so far.
    """

    def __init__(self, config: Config) -> None:
        self.rows: list[Row] = []
        source = config.camera.source
        as_service = has_service_user() and not is_clip(source)
        given = {
            "config": config.model_dump(mode="json", exclude={"mqtt"}, exclude_unset=True),
            "as_service": as_service,
            "parent": os.getpid(),
        }
        with tempfile.TemporaryFile("w+") as wanted:
            json.dump(given, wanted)
            wanted.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge.site.measure"],
                stdin=wanted,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        self._errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read_rows, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(self._process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join()

    def wait(self) -> None:
        """Wait for the end of a clip.

        Raises:
            EmoshiftError: It failed.
        """
        code = self._process.wait()
        for thread in self._threads:
            thread.join()
        if code:
            self._fail(code)

    def demand_running(self) -> None:
        """See that it still runs.

        Raises:
            EmoshiftError: It does not.
        """
        code = self._process.poll()
        if code is not None:
            self._threads[1].join()
            self._fail(code)

    def _fail(self, code: int) -> None:
        said = [line for line in self._errors if line.strip()]
        last = (
            said[-1].strip().partition("edge.site.measure: ")[2] or said[-1].strip() if said else ""
        )
        raise _ERRORS.get(code, UnavailableError)(last or f"measuring ended with code {code}")

    def _read_rows(self, output: Iterable[str]) -> None:
        for line in output:
            self.rows.append(Row.from_json(json.loads(line)))

    def _read_errors(self, output: Iterable[str]) -> None:
        self._errors.extend(output)
