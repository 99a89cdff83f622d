"""Shapes of the networks, as recipes give them; plain data, so that reading needs no Keras."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualNet:
    """Shape of the net.

    Attributes:
        stem: Channels of the first convolution, 5x5 with stride 2.
        widths: Channels of each stage; every stage after the first halves the picture.
        blocks: Residual blocks of each stage.
        top: Channels of a 1x1 convolution before pooling; 0 for none.
        squeeze: Squeeze-and-excitation ratio in each block; 0 for none.
        dropout: Share of pooled features dropped while training.
    """

    stem: int = 32
    widths: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 1, 1)
    top: int = 0
    squeeze: int = 0
    dropout: float = 0.1
