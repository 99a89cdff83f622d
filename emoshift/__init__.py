"""What the device, the dashboard and any subscriber share, and the Python interface of it all.

```python
from emoshift.subscriber import listen  # every event of every device, each once, in order
from emoshift.messages import Transition  # the messages: read, checked, written
emoshift.replay("lesson.mp4")  # the transitions of a clip, without a broker
```

Importing it loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.replay import replay as replay

__all__ = ["replay"]


def __getattr__(name: str) -> object:
    """Load what is asked for: a replay needs OpenCV and the models, a subscriber does not."""
    if name == "replay":
        from importlib import import_module

        return import_module("edge.replay").replay
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
