"""Who runs against whom, and where their code comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FER_PACKAGES: Final = (
    "fer==25.10.3",
    "tensorflow<2.19",
    "opencv-contrib-python<5",
    "setuptools<81",
    "numpy<2",
)
FACEX_PACKAGES: Final = ("scikit-image", "numpy<2")
"""What facex 1.1.0 imports beside what fer brings; it is installed without its requirements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program that looks at pictures.

    Attributes:
        name: As the worker knows it.
        what: What it does with a picture.
        own: Whether it needs the environment with foreign packages.
        classifies: Whether it can be given a picture of a face to classify.
    """

    name: str
    what: str
    own: bool = False
    classifies: bool = False


OURS: Final = "emoshift"
PROGRAMS: Final = (
    Program(
        name=OURS,
        what="whole pipeline, direct back end, every face measured in every frame, to the outbox",
        classifies=True,
    ),
    Program(
        name="emoshift-due",
        what="the same, landmarks when due, as the daemon runs at 30 frames a second",
    ),
    Program(
        name="emoshift-mediapipe",
        what="the same with the mediapipe back end, to the outbox",
    ),
    Program(
        name="mediapipe",
        what="MediaPipe Face Landmarker alone: landmarks and blendshapes, no emotion",
    ),
    Program(
        name="fer-haar",
        what="PyPI fer, its default: OpenCV Haar cascade and mini-Xception (TFLite)",
        own=True,
        classifies=True,
    ),
    Program(
        name="fer-mtcnn", what="PyPI fer with facenet-pytorch's MTCNN and mini-Xception", own=True
    ),
    Program(
        name="haar-mini-xception",
        what="OpenCV Haar cascade and fer's mini-Xception in the LiteRT of TensorFlow, no library"
        " around them",
        own=True,
    ),
    Program(
        name="facex",
        what="PyPI facex 1.1.0: OpenCV Haar cascade and its own network (TFLite, 200x200)",
        own=True,
        classifies=True,
    ),
)
LEFT_OUT: Final = {
    "facemood": "its only function opens a camera and a window and looks at the whole picture",
    "erml": "its wheel carries no weights; it fetches them from elsewhere",
    "deepface, hsemotion-onnx, emotiefflib, py-feat, rmn": "their wheels carry no weights",
}
"""Other packages that were looked at, and why they do not run here."""
