"""One member of the ensemble: real numbers in and out, whatever its file computes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.litert import TFLiteModel
from edge.standardise import INPUT_SCALE, MIDDLE
from emoshift.emotions import Emotion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.bundle.manifest import Member, TensorSpec


def quantise(values: NDArray[np.float32], spec: TensorSpec) -> NDArray[Any]:
    """Write real numbers the way ``spec`` reads them: int8, rounded and clipped, or as they are."""
    if spec.scale is None or spec.zero_point is None:
        return values.astype(np.float32, copy=False)
    steps = np.rint(values / np.float32(spec.scale)) + np.float32(spec.zero_point)
    encoded: NDArray[np.int8] = np.clip(steps, -128, 127).astype(np.int8)
    return encoded


def dequantise(values: NDArray[Any], spec: TensorSpec) -> NDArray[np.float32]:
    """Return the real numbers behind a tensor."""
    if spec.scale is None or spec.zero_point is None:
        return values.astype(np.float32, copy=False)
    return (values.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)


class Network:
    """A loaded member that takes any number of rows at once.

    Not for two threads at a time.

    Attributes:
        member: What the manifest says of it.
        encoding: Of a picture member: says whether two of them read pictures alike.
    """

    def __init__(self, member: Member, content: bytes, *, threads: int = 1) -> None:
        self.member = member
        self.encoding = b""
        self._model = TFLiteModel(content, threads=threads)
        self._columns = np.array([member.labels.index(e.label) for e in Emotion])
        self._temperature = np.float32(member.temperature)
        names_in = [info.name for info in self._model.inputs]
        names_out = [info.name for info in self._model.outputs]
        self._position: dict[str, int] = {s.role: names_in.index(s.name) for s in member.inputs}
        self._found: dict[str, int] = {s.role: names_out.index(s.name) for s in member.outputs}
        self._rows = member.inputs[0].shape[0]
        if member.kind == "cnn":
            greys = (np.arange(256, dtype=np.float32) - MIDDLE) * np.float32(INPUT_SCALE)
            self._table = quantise(greys, member.input("picture"))
            self.encoding = self._table.tobytes()

    @property
    def has_second_head(self) -> bool:
        """Whether the member also gives what the labels of FER2013 taught it."""
        return self.member.fer2013_temperature is not None

    def predict(self, crops: NDArray[np.uint8], *, mirror: bool) -> NDArray[np.float32]:
        """Return the log-probabilities of pictures.

        Args:
            crops: Shape ``(n, 48, 48)``, uint8, standardised.
            mirror: Whether to look at the mirror image too, and average the logits.

        Returns:
            Shape ``(n, len(Emotion))``, float32.
        """
        return self.log_probs(self.logits(crops, mirror=mirror)["logits"])

    def logits(self, crops: NDArray[np.uint8], *, mirror: bool) -> dict[str, NDArray[np.float32]]:
        """Return every output for pictures: ``logits`` ``(n, len(member.labels))``, ``fer2013``."""
        return self.predict_encoded(self.quantise_images(crops), mirror=mirror)

    def quantise_images(self, crops: NDArray[np.uint8]) -> NDArray[Any]:
        """Write pictures as this member reads them: ``(n, 48, 48, 1)``.

        Members whose ``encoding`` is equal read the same, so that one writing serves them all.
        """
        return np.take(self._table, crops)[..., None]

    def predict_encoded(
        self, pictures: NDArray[Any], *, mirror: bool
    ) -> dict[str, NDArray[np.float32]]:
        """Do what `logits` does with pictures that `quantise_images` has written."""
        if not mirror:
            return self._run({"picture": pictures})
        both = self._run({"picture": np.concatenate([pictures, pictures[:, :, ::-1]])})
        return {
            role: np.asarray(rows.reshape(2, len(pictures), -1).mean(axis=0), np.float32)
            for role, rows in both.items()
        }

    def step(
        self, channels: NDArray[np.float32], state_h: NDArray[Any], state_c: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any]]:
        """Advance ``n`` faces by one recurrent step.

        Args:
            channels: Shape ``(n, channels)``, real numbers.
            state_h: Shape ``(n, units)``, in the member's own encoding, as `zero_state` and this
                method return it.
            state_c: Likewise.

        Returns:
            Log-probabilities ``(n, len(Emotion))`` and the two new states.
        """
        out = self._run(
            {
                "channels": quantise(channels, self.member.input("channels")),
                "state_h": state_h,
                "state_c": state_c,
            },
        )
        return self.log_probs(out["logits"]), out["state_h"], out["state_c"]

    def zero_state(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the ``(units,)`` states of a face never seen."""
        h, c = (self.member.input(role) for role in ("state_h", "state_c"))
        zeros = np.zeros(h.shape[1:], np.float32), np.zeros(c.shape[1:], np.float32)
        return quantise(zeros[0], h), quantise(zeros[1], c)

    def log_probs(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated log-probabilities of the seven emotions.

        Contempt goes here: a softmax over the seven others is the one over all eight without it,
        renormalised.
        """
        return _log_softmax(logits.take(self._columns, axis=1) / self._temperature)

    def fer2013_log_probs(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return those of the second head, calibrated with its own temperature."""
        return _log_softmax(logits / np.float32(self.member.fer2013_temperature or 1.0))

    def _run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        rows = len(next(iter(feeds.values())))
        if rows != self._rows:  # costs 0.1 ms for one face and 1 ms for thirty, so only on change
            self._model.resize({s.name: (rows, *s.shape[1:]) for s in self.member.inputs})
            self._rows = rows
        out = self._model.run({self._position[role]: array for role, array in feeds.items()})
        found = {role: out[position] for role, position in self._found.items()}
        for role in found.keys() & {"logits", "fer2013"}:
            found[role] = dequantise(found[role], self.member.output(role))
        return found


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    log_probs: NDArray[np.float32] = shifted.astype(np.float32, copy=False)
    return log_probs
