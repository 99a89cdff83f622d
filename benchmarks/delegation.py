"""How much of a model the runtime's fast kernels take over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.litert import TFLiteModel

if TYPE_CHECKING:
    from collections.abc import Sequence

DELEGATE = "DELEGATE"


def delegated_share(content: bytes) -> float | None:
    """Share of a model's operators that XNNPACK runs, 0 to 1; ``None`` where it is not known.

    The runtime has no public way to ask; where its private one is gone, the share is not known.

    Args:
        content: The ``.tflite`` file.
    """
    interpreter: Any = TFLiteModel(content)._interpreter  # noqa: SLF001 - see above
    try:
        return covered_share(interpreter._get_ops_details())  # noqa: SLF001 - see above
    except (AttributeError, KeyError, TypeError):
        return None


def covered_share(operators: Sequence[dict[str, Any]]) -> float:
    """Share of the operators that lie between the inputs and outputs of the delegates.

    Args:
        operators: Each with ``op_name`` and the numbers of its tensors, ``inputs`` and
            ``outputs``; delegates stand beside the operators they replace.
    """
    own = [op for op in operators if op["op_name"] != DELEGATE]
    made_by = {int(out): index for index, op in enumerate(own) for out in op["outputs"]}
    covered: set[int] = set()
    for delegate in (op for op in operators if op["op_name"] == DELEGATE):
        fed = {int(tensor) for tensor in delegate["inputs"]}
        open_ = [int(tensor) for tensor in delegate["outputs"]]
        while open_:
            tensor = open_.pop()
            index = made_by.get(tensor)
            if index is None or index in covered or tensor in fed:
                continue
            covered.add(index)
            open_.extend(int(source) for source in own[index]["inputs"])
    return round(len(covered) / max(len(own), 1), 4)
