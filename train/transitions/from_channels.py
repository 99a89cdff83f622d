"""Moves a bundle's change detector a little towards recorded channels and teachers' marks.

A school's recordings are of few people, so nothing is searched freely: the same bounded correction
as on a device, fitted to all recordings together and kept where it holds on their other half.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from edge.bundle.site_layer import Correction
from edge.site.adjust import adjusted
from edge.site.channels import networks_digest, read_channels
from edge.site.feedback import read_marks
from edge.site.fit import fit_correction
from edge.site.run_many import run_many
from edge.transitions import TransitionParameters
from emoshift.errors import BundleError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.bundle.loader import Bundle
    from edge.site.channels import Channels, Row
    from edge.site.fit import Fit
    from edge.site.script import Segment

_PAUSE_S = 5.0
"""Between two recordings; longer than any gap within one."""


def fit_to_channels(
    bundle: Bundle,
    recordings: Sequence[Path],
    marks: Path | None,
    *,
    log: Callable[[str], None] = lambda _: None,
) -> tuple[TransitionParameters, Fit | None, str]:
    """Fit a bundle's detector to recorded channels and marks.

    Args:
        bundle: Whose networks spoke.
        recordings: Files of ``edge calibrate -o``.
        marks: A file of ``edge-dashboard marks``; ``None`` for none.
        log: Told how it goes.

    Returns:
        The parameters, the fit to the recordings (``None`` without any), and what they were fitted
        on.

    Raises:
        BundleError: A recording is of other networks.
        InputError: A file cannot be read, or the marks are too few to teach anything by themselves.
    """
    parameters = TransitionParameters.from_temporal(bundle.manifest.temporal)
    taught = None if marks is None else read_marks(marks)
    if taught is not None:
        log(taught.described)
    start = Correction() if taught is None else taught.leaning
    about = [] if taught is None else [taught.described]
    if not recordings:
        if start.changes_nothing:
            raise InputError(f"{marks}: nothing to fit to; give --channels, or more marks")
        return adjusted(parameters, start), None, ", ".join(about)
    found = [_read(path, bundle) for path in recordings]
    rows, segments = joined(found)
    fit = fit_correction(parameters, segments, partial(run_many, rows), start=start, log=log)
    about.append(f"{len(found)} recordings of {sum(c.seconds for c in found):.0f} s")
    return adjusted(parameters, fit.correction), fit, ", ".join(about)


def joined(recordings: Sequence[Channels]) -> tuple[list[Row], tuple[Segment, ...]]:
    """Several recordings one after the other, every face of each a face of its own."""
    rows: list[Row] = []
    segments: list[Segment] = []
    begin_s, faces = 0.0, 0
    for channels in recordings:
        rows += [
            replace(row, at_s=row.at_s + begin_s, face=row.face + faces) for row in channels.rows
        ]
        segments += [
            replace(s, from_s=s.from_s + begin_s, to_s=s.to_s + begin_s) for s in channels.segments
        ]
        faces = max((row.face for row in rows), default=0) + 1
        ends_s = [row.at_s for row in rows[-1:]] + [s.to_s for s in segments[-1:]]
        begin_s = max(ends_s, default=0.0) + _PAUSE_S
    return rows, tuple(segments)


def _read(path: Path, bundle: Bundle) -> Channels:
    channels = read_channels(path)
    if channels.networks != networks_digest(bundle.manifest):
        raise BundleError(
            f"{path}: recorded with the networks of {channels.bundle_id}, given are those of"
            f" {bundle.manifest.bundle_id}; give that bundle, or record again"
        )
    return channels
