"""Runs one program for `benchmarks.peers.compare`, which speaks to it line by line.

``python worker.py NAME ORDER`` where ORDER is JSON: ``frames`` (a ``.npy`` file of shape
``(n, height, width, 3)``, uint8, BGR), ``cpu`` and, for our own pipeline, ``bundle``. It answers
``{"ready": version}``. Then for each line ``{"run": [first, count]}`` it answers with the
milliseconds of each frame, by the clock and of processor time on all threads, and how many had a
face; and for ``{"classify": FILE}`` (``.npy``, ``(n, 48, 48)``, uint8) a label for each picture.

It also runs in environments where this project is not installed, so nothing is imported from it
at the top.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 64
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def main() -> None:
    """Answer until the other side closes the pipe."""
    # Libraries print to standard output; the answers have a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    name, order = sys.argv[1], json.loads(sys.argv[2])
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", GLOG_minloglevel="3", CUDA_VISIBLE_DEVICES="-1")
    os.sched_setaffinity(0, {order["cpu"]})

    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    frames = np.load(order["frames"], mmap_mode="r")
    with contextlib.ExitStack() as stack:
        version, detect, classify = PROGRAMS[name](stack, order)
        _reply(answers, {"ready": version})
        for line in sys.stdin:
            request = json.loads(line)
            if "run" in request:
                _reply(answers, _run(detect, frames, *request["run"]))
            else:
                _reply(answers, {"labels": classify(np.load(request["classify"]))})


def _run(detect: Callable[[Any], int], frames: Any, first: int, count: int) -> dict[str, Any]:
    spent, used, found = [], [], 0
    for number in range(first, first + count):
        frame = frames[number % len(frames)].copy()
        began, began_cpu = time.perf_counter(), time.process_time()
        found += detect(frame) > 0
        spent.append((time.perf_counter() - began) * 1e3)
        used.append((time.process_time() - began_cpu) * 1e3)
    return {"ms": spent, "cpu_ms": used, "found": found}


def _reply(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


Ready = tuple[str, "Callable[[Any], int]", "Callable[[Any], list[str]]"]


def _no_classes(_: Any) -> list[str]:
    raise NotImplementedError


def _emoshift(stack: contextlib.ExitStack, order: dict[str, Any], backend: str, due: bool) -> Ready:
    from pathlib import Path

    from benchmarks.run import bench_config
    from benchmarks.workload import outbox_folder
    from edge.bundle.installed import configured_bundle
    from edge.daemon.vision import process_frame
    from edge.outbox.event import EventSource
    from edge.outbox.store import Outbox
    from edge.pipeline import open_pipeline
    from edge.values import EvidenceSource, Features, Frame, Prediction, frozen
    from emoshift.emotions import Emotion

    def _likeliest(prediction: Prediction) -> int:
        """By the head that learnt the labels that are asked for, where there is one."""
        said = prediction.log_probs
        if said is None or math.isnan(said[EvidenceSource.FER2013, 0]):
            return int(prediction.probs.argmax())
        return int(said[EvidenceSource.FER2013].argmax())

    config = bench_config(backend=backend, bundle=order["bundle"])
    bundle = configured_bundle(config.models)
    folder = stack.enter_context(outbox_folder())
    outbox = stack.enter_context(Outbox.open(Path(folder) / "outbox.db", writer=True))
    pipeline = stack.enter_context(open_pipeline(config, bundle))
    if not due:
        pipeline.measure_everything()
    facts = EventSource(device="bench", camera="bench", model=bundle.manifest.bundle_id)
    count = 0
    began_s = time.monotonic()

    def detect(image: Any) -> int:
        nonlocal count
        count += 1
        # Every program gets the pictures as if they came 30 times a second.
        taken_s = began_s + count / 30
        frame = Frame(image=frozen(image), seq=count, captured_s=taken_s)
        return len(process_frame(frame, pipeline, outbox, facts).predictions)

    def classify(pictures: Any) -> list[str]:
        found: list[str] = []
        for first in range(0, len(pictures), BATCH):
            batch = [
                Features(
                    track=first + index,
                    label="",
                    captured_s=0.0,
                    crop=picture,
                    blendshapes=None,
                    pose=None,
                )
                for index, picture in enumerate(pictures[first : first + BATCH])
            ]
            predictions = pipeline.ensemble.classify(batch)
            found.extend(Emotion(_likeliest(p)).label for p in predictions)
        return found

    return f"{pipeline.finder.name}, {bundle.manifest.bundle_id}", detect, classify


def _mediapipe(stack: contextlib.ExitStack, _: dict[str, Any]) -> Ready:
    import cv2
    import mediapipe
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    from edge.assets import LANDMARKER, find_asset

    landmarker = stack.enter_context(
        vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=tasks.BaseOptions(model_asset_path=str(find_asset(LANDMARKER))),
                running_mode=vision.RunningMode.VIDEO,
                num_faces=1,
                output_face_blendshapes=True,
            )
        )
    )
    count = 0

    def detect(image: Any) -> int:
        nonlocal count
        count += 1
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)
        return len(landmarker.detect_for_video(picture, count * 33).face_blendshapes)

    return mediapipe.__version__, detect, _no_classes


def _fer(_: contextlib.ExitStack, __: dict[str, Any], *, mtcnn: bool) -> Ready:
    from importlib import metadata

    import cv2

    fer = import_module("fer.fer")

    if mtcnn:
        import_module("torch").set_num_threads(1)
    detector = fer.FER(mtcnn=mtcnn)

    def detect(image: Any) -> int:
        return len(detector.detect_emotions(image))

    def classify(pictures: Any) -> list[str]:
        found = []
        for picture in pictures:
            # The whole picture is the face: its own margin is taken off again.
            image = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
            face = detector.detect_emotions(image, face_rectangles=[(10, 10, 28, 28)])[0]
            found.append(max(face["emotions"], key=face["emotions"].get))
        return found

    return f"fer {metadata.version('fer')}, OpenCV {cv2.__version__}", detect, classify


def _haar(_: contextlib.ExitStack, __: dict[str, Any]) -> Ready:
    from pathlib import Path

    import numpy as np

    cv2: Any = import_module("cv2")  # another release than ours, with other types
    tensorflow: Any = import_module("tensorflow")
    data = Path(str(import_module("fer").__file__)).parent / "data"
    cascade = cv2.CascadeClassifier(str(data / "haarcascade_frontalface_default.xml"))
    network = tensorflow.lite.Interpreter(
        model_path=str(data / "emotion_model_quantized.tflite"), num_threads=1
    )
    network.allocate_tensors()
    fed = network.get_input_details()[0]["index"]
    output = network.get_output_details()[0]["index"]

    def detect(image: Any) -> int:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        faces = cascade.detectMultiScale(grey, 1.1, 5, minSize=(50, 50))
        for x, y, w, h in faces:
            crop = cv2.resize(grey[y : y + h, x : x + w], (64, 64)).astype(np.float32)
            network.set_tensor(fed, (crop / 127.5 - 1.0)[None, :, :, None])
            network.invoke()
            network.get_tensor(output)
        return len(faces)

    return f"OpenCV {cv2.__version__}, TensorFlow {tensorflow.__version__}", detect, _no_classes


def _facex(_: contextlib.ExitStack, __: dict[str, Any]) -> Ready:
    from importlib import metadata

    worker = import_module("facex").PoolManager(pool_size=1).get_classifier()
    words = dict(
        zip(
            ("anger", "disgust", "fear", "happy", "sadness", "surprised", "neutral"),
            EMOTIONS,
            strict=True,
        )
    )

    def detect(image: Any) -> int:
        return len(worker.predict(image))

    def classify(pictures: Any) -> list[str]:
        answers = (worker.detect_emotion(picture) for picture in pictures)
        return [words[max(shares, key=shares.get)] for shares in answers]

    return f"facex {metadata.version('facex')}", detect, classify


PROGRAMS: dict[str, Callable[[contextlib.ExitStack, dict[str, Any]], Ready]] = {
    "emoshift": lambda stack, order: _emoshift(stack, order, "direct", due=False),
    "emoshift-due": lambda stack, order: _emoshift(stack, order, "direct", due=True),
    "emoshift-mediapipe": lambda stack, order: _emoshift(stack, order, "mediapipe", due=False),
    "mediapipe": _mediapipe,
    "fer-haar": lambda stack, order: _fer(stack, order, mtcnn=False),
    "fer-mtcnn": lambda stack, order: _fer(stack, order, mtcnn=True),
    "haar-mini-xception": _haar,
    "facex": _facex,
}


if __name__ == "__main__":
    main()
