"""The short model card that travels with a device's ``/info``."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

from emoshift.messages import Figure, ModelCard, SiteCard

if TYPE_CHECKING:
    from edge.bundle.loader import Bundle

_FIGURES: Final = 12
_TEXTS: Final = 8
_LONGEST: Final = 256


def describe_bundle(bundle: Bundle) -> ModelCard:
    """Say in short what a bundle is made of and how well it does, as it runs: in int8."""
    manifest, layer = bundle.manifest, bundle.layer
    measured = [m for m in manifest.metrics if m.precision == "int8"] or manifest.metrics
    site = None
    if layer is not None:
        site = SiteCard.model_validate(
            {
                "made": layer.made.astimezone(UTC),
                "seconds": layer.seconds,
                "shown": layer.before.shown,
                "found_before": layer.before.found,
                "found_after": layer.after.found,
                "false_before": layer.before.false,
                "false_after": layer.after.false,
                "marks": layer.marks,
            }
        )
    return ModelCard(
        training_data=[text[:_LONGEST] for text in manifest.training_data[:_TEXTS]],
        fitted_on="" if manifest.temporal is None else manifest.temporal.fitted_on[:_LONGEST],
        licence=manifest.licence[:_LONGEST],
        software=manifest.software[:_LONGEST],
        figures=[
            Figure(
                name=metric.name[:128],
                value=round(metric.value, 5),
                n=metric.n,
                data=f"{metric.data}, {metric.precision}"[:_LONGEST],
            )
            for metric in measured[-_FIGURES:]
        ],
        site=site,
    )
