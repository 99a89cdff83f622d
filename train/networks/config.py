"""Shapes of the networks, as recipes give them; plain data, so that reading needs no Keras."""

from __future__ import annotations

from typing import Annotated, Self, TypeAlias

from pydantic import Field, model_validator

from train.recipe_table import Count, NonNegative, RecipeTable, Share

Size: TypeAlias = Annotated[int, Field(ge=0)]


class _Stages(RecipeTable):
    """Stages of residual blocks: as many widths as numbers of blocks."""

    widths: tuple[Count, ...]
    blocks: tuple[Count, ...]

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"found {len(self.widths)} widths and {len(self.blocks)} blocks, expected as many"
            )
        return self


class ResidualNet(_Stages):
    """Shape of the image network with two heads.

    Attributes:
        stem: Channels of the first convolution, 5x5 with stride 2.
        widths: Channels of each stage; every stage after the first halves the image.
        blocks: Residual blocks of each stage.
        top: Channels of a 1x1 convolution before pooling; 0 for none.
        squeeze: Squeeze-and-excitation ratio in each block; 0 for none.
        dropout: Share of pooled features dropped while training.
        image_size: Side at which the first convolution works in the exported network, which
            enlarges its crop of 48 pixels by itself; in training a phase's images have the side
            that it names.
    """

    stem: Count = 32
    widths: tuple[Count, ...] = (32, 64, 128)
    blocks: tuple[Count, ...] = (1, 1, 1)
    top: Size = 0
    squeeze: Size = 0
    dropout: Share = 0.1
    image_size: Count = 48


class MobileNet(RecipeTable):
    """Of the network that begins with the weights of face recognition; its shape is theirs.

    Attributes:
        dropout: Share of pooled features dropped while training.
        image_size: Side at which the first convolution works in the exported network, which
            enlarges its crop of 48 pixels by itself; in training a phase's images have the side
            that it names.
    """

    dropout: Share = 0.3
    image_size: Count = 128


class SmallFaceNet(_Stages):
    """Shape of the network that measures small faces.

    Attributes:
        stem: Channels of the first convolution, 5x5 with stride 2.
        widths: Channels of each stage; every stage halves the image.
        blocks: Residual blocks of each stage.
        units: Of the dense layer over the last feature map.
        components: Linear components that the landmarks are made of.
        dropout: Share of the dense layer's output dropped while training.
    """

    stem: Count = 16
    widths: tuple[Count, ...] = (24, 48, 96)
    blocks: tuple[Count, ...] = (1, 2, 1)
    units: Count = 192
    components: Count = 80
    dropout: Share = 0.05


class ConvolutionNet(RecipeTable):
    """Shape of a plain convolutional network.

    Attributes:
        kernel: Side of the first convolution's kernel; the others are 3x3.
        widths: Channels of each stage; each ends in pooling, which halves the image.
        convolutions: Convolutions a stage.
        normalise: Whether batch normalisation follows each convolution.
        dense: Units of the dense layer before the outputs.
        dropout: Share of a stage's channels dropped while training.
        dense_dropout: Share of the dense layer's units dropped while training.
    """

    kernel: Count = 3
    widths: tuple[Count, ...] = (16, 32, 64, 128)
    convolutions: Count = 1
    normalise: bool = True
    dense: Count = 128
    dropout: Share = 0.1
    dense_dropout: Share = 0.3


class BlendshapeNet(RecipeTable):
    """Shape of a network over one image's blendshapes.

    Attributes:
        units: Of each layer before the outputs; the first is the LSTM where there is one.
        noise: Standard deviation added to every input while training.
        dropout: Share of each layer's outputs dropped while training.
    """

    units: Annotated[tuple[Count, ...], Field(min_length=1)] = (128, 64)
    noise: NonNegative = 0.0
    dropout: Share = 0.0
