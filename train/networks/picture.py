"""Any net that reads a grey crop and answers with two heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from train.networks.mobile import build_mobile
from train.networks.residual import build_residual
from train.networks.shapes import MobileNet

if TYPE_CHECKING:
    import keras

    from train.networks.shapes import ResidualNet


def build_picture_net(shape: ResidualNet | MobileNet, side_px: int | None = 48) -> keras.Model:
    """Build the net of a shape; with ``side_px=None`` any side fits."""
    if isinstance(shape, MobileNet):
        return build_mobile(shape, side_px)
    return build_residual(shape, side_px)
