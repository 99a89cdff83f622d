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
        side_px: Side at which the first convolution works in the finished net, which enlarges its
            crop of 48 pixels by itself; while training, a phase's pictures have the side it names.
    """

    stem: int = 32
    widths: tuple[int, ...] = (32, 64, 128)
    blocks: tuple[int, ...] = (1, 1, 1)
    top: int = 0
    squeeze: int = 0
    dropout: float = 0.1
    side_px: int = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionNet:
    """Shape of a plain convolutional net.

    Attributes:
        kernel: Side of the first convolution's kernel; the others are 3x3.
        widths: Channels of each stage; each ends in pooling, which halves the picture.
        convolutions: Convolutions a stage.
        normalise: Whether batch normalisation follows each convolution.
        dense: Units of the dense layer before the outputs.
        dropout: Share of a stage's channels dropped while training.
        dense_dropout: Share of the dense layer's units dropped while training.
    """

    kernel: int = 3
    widths: tuple[int, ...] = (16, 32, 64, 128)
    convolutions: int = 1
    normalise: bool = True
    dense: int = 128
    dropout: float = 0.1
    dense_dropout: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendshapeNet:
    """Shape of a net over one picture's blendshapes.

    Attributes:
        units: Of each layer before the outputs; the first is the LSTM where there is one.
        noise: Standard deviation added to every input while training.
        dropout: Share of each layer's outputs dropped while training.
    """

    units: tuple[int, ...] = (128, 64)
    noise: float = 0.0
    dropout: float = 0.0
