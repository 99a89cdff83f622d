"""Recipes: everything that decides a training run, a comparison or a search, as typed data.

`train.recipe_file` reads them from TOML. Reading needs neither Keras nor torch.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal, Self, TypeAlias, get_args

from pydantic import Field, model_validator

from train.augment import Augmentation
from train.data.ferplus import LabelSet
from train.data.sampling import Selection
from train.features.blendshape_inputs import BlendshapeInputs
from train.features.synthetic_sequences import Script
from train.networks.config import (
    BlendshapeNet,
    ConvolutionNet,
    MobileNet,
    ResidualNet,
    SmallFaceNet,
)
from train.recipe_table import Count, NonNegative, Positive, RecipeTable, Seed, Share
from train.small_face.batches import FarFaces

Optimiser: TypeAlias = Literal["adam", "sgd", "rmsprop"]
ImageSize = Annotated[int, Field(ge=8, le=512)]


class Phase(RecipeTable):
    """A stretch of epochs.

    Attributes:
        epochs: How many.
        image_size: Side of the images in pixels.
        learning_rate: At its start.
        end_learning_rate: At its end; the same as at its start where absent.
        curve: How it gets there: on a line, or along a half cosine.
        strength: Multiplies the geometric limits of the augmentation.
    """

    epochs: Count
    image_size: ImageSize
    learning_rate: NonNegative
    end_learning_rate: NonNegative | None = None
    curve: Literal["linear", "cosine"] = "linear"
    strength: NonNegative = 1.0

    def learning_rate_at(self, share: float) -> float:
        """Return the learning rate when ``share`` of the phase is done."""
        end = self.learning_rate if self.end_learning_rate is None else self.end_learning_rate
        done = share if self.curve == "linear" else 0.5 * (1.0 - math.cos(math.pi * share))
        return self.learning_rate + (end - self.learning_rate) * done


class _TwoHeads(RecipeTable):
    """What the recipes of image networks with two heads have in common."""

    seed: Seed
    batch_size: Count = 128
    ema_decay: Share = 0.996
    fer2013_weight: NonNegative = 0.3
    teacher_share: Share = 0.0
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    data: Selection = Selection()
    augmentation: Augmentation = Augmentation()

    @property
    def epochs(self) -> int:
        """Return the length of the run."""
        return sum(phase.epochs for phase in self.phases)

    def phase_at(self, epoch: int) -> tuple[Phase, int]:
        """Return the phase of an epoch counted from 0, and the epochs of it already done."""
        done = 0
        for phase in self.phases:
            if epoch < done + phase.epochs:
                return phase, epoch - done
            done += phase.epochs
        raise IndexError(f"epoch {epoch} lies past the recipe's {done}")


class ResidualRecipe(_TwoHeads):
    """One way to train a residual network with two heads from nothing.

    Attributes:
        seed: Decides weights, order, augmentation and dropout.
        batch_size: Images a step.
        momentum: Of Nesterov's SGD.
        weight_decay: Decoupled, times the learning rate; scales and biases are spared.
        ema_decay: Of the weights' exponential moving average, which every fourth step updates.
        fer2013_weight: Of the FER2013 head's loss beside the FER+ head's.
        teacher_share: Of a teacher's probabilities in both heads' targets; 0 for no teacher.
        phases: In order.
        data: How many images of each FER2013 label, and how often each is drawn; its ``classes``
            stay empty, for the heads name all of them.
        augmentation: Limits at strength 1.
        network: Shape of the network.
    """

    model: Literal["residual"] = "residual"
    momentum: Share = 0.9
    weight_decay: NonNegative = 5e-4
    network: ResidualNet = ResidualNet()


class MobileNetRecipe(_TwoHeads):
    """One way to train a MobileNet with two heads that begins with the weights of face recognition.

    Attributes:
        seed: Decides the heads' weights, order, augmentation and dropout.
        batch_size: Images a step.
        weight_decay: Of AdamW, whose gradients are clipped to norm 5; scales and biases are spared.
        ema_decay: Of the weights' exponential moving average, which every fourth step updates.
        fer2013_weight: Of the FER2013 head's loss beside the FER+ head's.
        teacher_share: Of a teacher's probabilities in both heads' targets; 0 for no teacher.
        phases: In order.
        data: As a residual network's.
        augmentation: Limits at strength 1.
        network: What of it is free to choose.
    """

    model: Literal["mobilenet"] = "mobilenet"
    weight_decay: NonNegative = 0.03
    network: MobileNet = MobileNet()


class RecurrentRecipe(RecipeTable):
    """One way to train the recurrent network over blendshapes.

    Attributes:
        seed: Decides weights, sequences and dropout.
        epochs: Evaluations; each follows ``steps_per_epoch`` steps.
        steps_per_epoch: Steps an epoch.
        batch_size: Sequences a step.
        learning_rate: First one of Adam; falls to zero along a half cosine.
        units: Of the LSTM.
        noise: Standard deviation added to every channel while training.
        dropout: Share of the LSTM's output dropped while training.
        script: How sequences are made.
    """

    model: Literal["recurrent"] = "recurrent"
    seed: Seed
    epochs: Count = 30
    steps_per_epoch: Count = 100
    batch_size: Count = 256
    learning_rate: Positive = 3e-3
    units: Count = 40
    noise: NonNegative = 0.1
    dropout: Share = 0.2
    script: Script = Script()


class SmallFaceRecipe(RecipeTable):
    """One way to train the network that measures small faces.

    Attributes:
        seed: Decides weights, order, augmentation and dropout.
        epochs: How many.
        batch_size: Faces a step.
        learning_rate: Highest one of AdamW; falls to zero along a half cosine.
        weight_decay: Decoupled, times the learning rate.
        ema_decay: Of the weights' exponential moving average, which every fourth step updates.
        clip_repeats: How often each frame of a clip is drawn in an epoch.
        augmentation: How faces are changed.
        network: Shape of the network.
    """

    model: Literal["small_face"] = "small_face"
    seed: Seed
    clip_repeats: Count = 5
    epochs: Count = 86
    batch_size: Count = 128
    learning_rate: Positive = 2e-3
    weight_decay: NonNegative = 0.05
    ema_decay: Share = 0.99
    augmentation: FarFaces = FarFaces()
    network: SmallFaceNet = SmallFaceNet()


class Plateau(RecipeTable):
    """Lower learning rates once the held-out loss stops falling.

    Attributes:
        factor: Multiplies the learning rate.
        patience: Epochs without a new lowest loss before it does.
        min_learning_rate: It never falls below.
    """

    factor: Share = 0.5
    patience: Count = 3
    min_learning_rate: NonNegative = 1e-4


class ConvolutionRecipe(RecipeTable):
    """One way to train ``model_x`` or ``model_y``.

    Attributes:
        seed: Decides weights, order, augmentation and dropout.
        epochs: At most; the best of them on held-out images is kept.
        batch_size: Images a step.
        learning_rate: First one of SGD.
        momentum: Of Nesterov's SGD.
        weight_decay: Decoupled, times the learning rate; scales and biases are spared.
        label_smoothing: Share of each target spread over all classes.
        plateau: How the learning rate falls.
        labels: FER2013's own, or FER+'s under the majority rule.
        data: Classes and counts.
        augmentation: Limits.
        network: Shape of the network.
    """

    model: Literal["model_x", "model_y"]
    seed: Seed
    epochs: Count = 24
    batch_size: Count = 128
    learning_rate: Positive = 0.05
    momentum: Share = 0.9
    weight_decay: NonNegative = 0.0
    label_smoothing: Share = 0.0
    plateau: Plateau = Plateau()
    labels: LabelSet = "fer2013"
    data: Selection = Selection()
    augmentation: Augmentation = Augmentation()
    network: ConvolutionNet = ConvolutionNet()


class BlendshapeRecipe(RecipeTable):
    """One way to train a network over one image's blendshapes.

    Attributes:
        seed: Decides weights, order and dropout.
        epochs: At most; the best of them on held-out images is kept.
        batch_size: Images a step.
        learning_rate: First one of Adam, whose gradients are clipped to norm 1.
        weight_decay: Decoupled, times the learning rate; biases are spared.
        label_smoothing: Share of each target spread over all classes.
        mirrored: Whether each image is learned from as its mirror image too.
        plateau: How the learning rate falls.
        cosine_decay: Whether it falls along a half cosine to zero instead.
        labels: FER2013's own, or FER+'s under the majority rule.
        data: Classes and counts.
        features: What is taken of an image.
        network: Shape of the network.
    """

    model: Literal["dense", "lstm_reference"]
    seed: Seed
    epochs: Count = 40
    batch_size: Count = 128
    learning_rate: Positive = 1e-3
    weight_decay: NonNegative = 0.0
    label_smoothing: Share = 0.0
    mirrored: bool = False
    plateau: Plateau = Plateau()
    cosine_decay: bool = False
    labels: LabelSet = "fer2013"
    data: Selection = Selection()
    features: BlendshapeInputs = BlendshapeInputs()
    network: BlendshapeNet = BlendshapeNet()


class FineTuneRecipe(RecipeTable):
    """One way to fit a Hugging Face image classifier to both label sets.

    Attributes:
        seed: Decides order, augmentation, dropout and new outputs.
        epochs: How many.
        batch_size: Images a step.
        learning_rate: Highest one of AdamW; reached in the first tenth, then falls to 0.
        weight_decay: Of AdamW.
        body: Whether the body learns too, or the outputs alone.
        fer2013_weight: Of the FER2013 head's loss beside the FER+ head's.
        teacher_share: Of a teacher's probabilities in both heads' targets; 0 for no teacher.
        data: Counts and weights of classes, as every recipe's.
        augmentation: Limits.
    """

    model: Literal["huggingface"] = "huggingface"
    seed: Seed
    epochs: Count = 3
    batch_size: Count = 32
    learning_rate: Positive = 5e-5
    weight_decay: NonNegative = 0.01
    body: bool = True
    fer2013_weight: NonNegative = 0.3
    teacher_share: Share = 0.0
    data: Selection = Selection()
    augmentation: Augmentation = Augmentation()

    def learning_rate_at(self, share: float) -> float:
        """Return the learning rate when ``share`` of the run is done."""
        return self.learning_rate * min(share / 0.1, (1.0 - share) / 0.9)


class SequenceNet(RecipeTable):
    """Shape and training of one network of the comparison on image sequences.

    Attributes:
        name: Which of `train.networks.sequence.BUILDERS`.
        filters: Channels of each convolutional stage.
        units: Of the last hidden layer.
        dropout: Share dropped after each stage.
        learning_rate: Adam's, in the supervised phases.
    """

    name: Literal["convlstm", "cnn", "rnn"]
    filters: tuple[Count, ...] = (16, 32)
    units: Count = 64
    dropout: Share = 0.3
    learning_rate: Positive = 1e-3


class Reinforcement(RecipeTable):
    """The policy-gradient phase.

    Attributes:
        epochs: Passes through the training folds.
        learning_rate: Adam's.
        reward: For a right decision.
        penalty: For a wrong one, subtracted.
        decay: Of the baseline's moving average, an episode.
    """

    epochs: Count = 15
    learning_rate: Positive = 3e-4
    reward: NonNegative = 1.0
    penalty: NonNegative = 1.0
    decay: Share = 0.9


class SequenceRecipe(RecipeTable):
    """How networks are compared on CK+48's sequences.

    Every network is trained for ``epochs`` with labels and then twice further from there: with the
    policy gradient, and for as many epochs with labels, so that both have seen as much.

    Attributes:
        seed: Decides weights, order, augmentation, dropout and the policy's draws.
        seeds: Whole repetitions; the second uses ``seed + 1`` and so on.
        folds: Of subjects; no person is in two.
        fold_seed: Decides who is in which fold, the same for all networks and seeds.
        image_size: Side of the images in pixels.
        batch_size: Sequences a step, and decisions an episode.
        epochs: Of the first phase.
        reinforcement: The policy-gradient phase.
        nets: What is compared.
        augmentation: Limits; all frames of a sequence are changed alike.
    """

    model: Literal["sequences"] = "sequences"
    seed: Seed
    seeds: Count = 1
    folds: Annotated[int, Field(ge=2)] = 5
    fold_seed: Seed = 1
    image_size: ImageSize = 48
    batch_size: Count = 16
    epochs: Count = 30
    reinforcement: Reinforcement = Reinforcement()
    nets: Annotated[tuple[SequenceNet, ...], Field(min_length=1)]
    augmentation: Augmentation = Augmentation()


class Range(RecipeTable):
    """From ``least`` to ``most``, both tried."""

    least: float
    most: float

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.least > self.most:
            raise ValueError(f"found {self.least} to {self.most}, expected the lesser first")
        return self


class Space(RecipeTable):
    """What is searched.

    Attributes:
        learning_rate: Drawn on a logarithmic scale.
        units: Widths to choose from: of the LSTM, or of the dense network's first layer.
        optimisers: To choose from.
        beta: First beta of Adam.
        momentum: Of SGD and RMSprop.
    """

    learning_rate: Range = Range(least=1e-4, most=1e-1)
    units: Annotated[tuple[Count, ...], Field(min_length=1)] = (16, 32, 64, 128)
    optimisers: Annotated[tuple[Optimiser, ...], Field(min_length=1)] = ("adam", "sgd", "rmsprop")
    beta: Range = Range(least=0.8, most=0.98)
    momentum: Range = Range(least=0.0, most=0.95)

    @model_validator(mode="after")
    def _logarithmic(self) -> Self:
        if self.learning_rate.least <= 0:
            raise ValueError("learning_rate.least: must be above 0 on a logarithmic scale")
        return self


class TuneRecipe(RecipeTable):
    """One search for settings.

    Attributes:
        net: ``dense`` over the blendshapes of single images, or ``lstm`` over sequences of them.
        seed: Decides weights, sequences, order and which settings are drawn.
        search: How settings are drawn: at random, or by a Gaussian process (``bayesian``).
        trials: Settings to try.
        epochs: Of each trial.
        batch_size: Images or sequences a step.
        sequences: Drawn once for all trials of an LSTM.
        space: What is searched.
    """

    model: Literal["tune"] = "tune"
    net: Literal["dense", "lstm"]
    seed: Seed
    search: Literal["random", "bayesian"] = "random"
    trials: Count = 20
    epochs: Count = 10
    batch_size: Count = 128
    sequences: Count = 4096
    space: Space = Space()


SingleHeadRecipe: TypeAlias = ConvolutionRecipe | BlendshapeRecipe
KerasTwoHeadRecipe: TypeAlias = ResidualRecipe | MobileNetRecipe
TwoHeadRecipe: TypeAlias = KerasTwoHeadRecipe | FineTuneRecipe
RunRecipe: TypeAlias = TwoHeadRecipe | RecurrentRecipe | SmallFaceRecipe | SingleHeadRecipe
"""What ``train run`` takes."""
Recipe: TypeAlias = Annotated[RunRecipe | SequenceRecipe | TuneRecipe, Field(discriminator="model")]
"""Any recipe; ``model`` says which."""


def _models(kinds: object) -> tuple[str, ...]:
    """Return the values of ``model`` that lead to these kinds."""
    return tuple(
        name for kind in get_args(kinds) for name in get_args(kind.model_fields["model"].annotation)
    )


RUN_MODELS: Final = _models(RunRecipe)
TWO_HEAD_MODELS: Final = _models(KerasTwoHeadRecipe)
COMMANDS: Final = {"sequences": "train sequences", "tune": "train tune"}
"""Commands that read the other kinds."""
