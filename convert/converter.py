"""From a Keras network to a TFLite file, in a process of its own.

The converter can die of a segmentation fault. So `convert_network` starts
``python -m convert.tensorflow_worker FOLDER`` and turns its outcome into a result or one error.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emoshift.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from convert.recipe import Precision

CONVERTED: Final = "converted.tflite"
REFERENCE: Final = "reference.tflite"
MOST_SECONDS: Final = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionJob:
    """What the converting process is asked for.

    Attributes:
        source: The Keras file.
        kind: ``cnn``, ``lstm``, or ``small_face`` for the face stage's network.
        head: Layer whose output is taken; ``None`` for the only one.
        second_head: Layer whose output is taken beside it, seven logits; ``None`` for none.
        classes: How many logits are expected.
        precision: What to convert to.
    """

    source: str
    kind: str
    head: str | None
    second_head: str | None = None
    classes: int
    precision: Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What it made.

    Attributes:
        model: The converted TFLite file.
        reference: The same network as float32.
        roles: Tensor names of inputs and outputs by role, as ``in:picture`` or ``out:logits``.
        reference_roles: Those of the reference.
        software: Versions that decide the bytes.
    """

    model: bytes
    reference: bytes
    roles: Mapping[str, str]
    reference_roles: Mapping[str, str]
    software: str


def convert_network(job: ConversionJob, samples: NDArray[Any]) -> Converted:
    """Convert one network in a process of its own.

    Args:
        job: What to do.
        samples: What it is calibrated on: uint8 crops ``(n, 48, 48)``, or float32 channels
            ``(n, steps, channels)`` for a recurrent network.

    Raises:
        InputError: The network cannot be converted; the message says why.
        UnavailableError: TensorFlow is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="emoshift-convert-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(asdict(job)), encoding="utf-8")
        np.save(folder / "samples.npy", samples)
        done = _run(folder, job.source)
        result = _read_result(folder)
        if "error" in result:
            kind = UnavailableError if result.get("unavailable") else InputError
            raise kind(f"{job.source}: {result['error']}")
        if done.returncode != 0 or not result:
            raise InputError(f"{job.source}: {_death(done)}")
        return Converted(
            model=(folder / CONVERTED).read_bytes(),
            reference=(folder / REFERENCE).read_bytes(),
            roles=result["roles"],
            reference_roles=result["reference_roles"],
            software=result["software"],
        )


def _run(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow"}
    try:
        return subprocess.run(
            [sys.executable, "-m", "convert.tensorflow_worker", str(folder)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=MOST_SECONDS,
            check=False,
            env={**os.environ, **quiet},
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{source}: the converter was stopped after {MOST_SECONDS} s") from None


def _read_result(folder: Path) -> dict[str, Any]:
    path = folder / "result.json"
    if not path.exists():
        return {}
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def _death(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    last = f"; its last words: {lines[-1][:200]}" if lines else ""
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"the converter was ended by {name} and wrote nothing{last}"
    return f"the converter ended with status {done.returncode} and wrote nothing{last}"
