"""Puts a site layer's correction over the parameters of any bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from edge.bundle.site_layer import Correction
    from edge.transitions import TransitionParameters


def adjusted(parameters: TransitionParameters, correction: Correction) -> TransitionParameters:
    """Return the parameters with the correction in them.

    The usual resting face moves with the bias; else the detector, which follows each face's own
    rest, would learn the bias away within seconds.
    """
    if correction.changes_nothing:
        return parameters
    neutral = correction.bias[Emotion.NEUTRAL]
    usual = parameters.baseline.usual
    return parameters.model_copy(
        update={
            "sharpness": parameters.sharpness / correction.temperature,
            "bias": _sum(parameters.bias, correction.bias),
            "baseline": parameters.baseline.model_copy(
                update={"usual": _sum(usual, [b - neutral for b in correction.bias])}
            ),
            "margin_scale": tuple(m * correction.margins for m in parameters.margin_scale),
        }
    )


def _sum(left: tuple[float, ...], right: tuple[float, ...] | list[float]) -> tuple[float, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))
