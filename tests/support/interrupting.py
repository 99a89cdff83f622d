"""A signal at a place that a test chooses: between any two instructions of some work."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any


def ctrl_c() -> None:
    """What Python does about it, unless a program says otherwise."""
    raise KeyboardInterrupt


def interrupt(
    work: Callable[[], object], *, after: int, handler: Callable[[], object] = ctrl_c
) -> bool:
    """Do some work, and call a handler after so many instructions of Python in it.

    Wherever Python handles a signal is one of these places.

    Returns:
        Whether it came to that; else the work was done before.
    """
    left = after

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == -1:
                handler()
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return left < 0
