"""The MQTT contract: every message as a model that writes, reads and checks it.

The JSON Schemas in ``emoshift/schemas`` and the tables of docs/mqtt.md are made from these models.
Keys that a model does not know are ignored, so that a later version may add some.

```python
message = read_message(topic, payload)  # a Message, or MessageError
event = Transition.from_json(payload)
```
"""

from emoshift.messages.body import MessageError, Problem
from emoshift.messages.class_summary import Changes, ClassSummary, States, summarise_class
from emoshift.messages.device import FAR_SESSIONS, Info, Presence, Status, is_plausible
from emoshift.messages.fields import CameraState, OutboxState, format_date, to_ms
from emoshift.messages.health import Age, Health, Percentiles
from emoshift.messages.ledger import BootNumbers, Ledger, LostNumbers, Replay
from emoshift.messages.model_card import Figure, ModelCard, ModelUse, SiteCard
from emoshift.messages.read import (
    MAX_AHEAD_MS,
    MAX_PAYLOAD_BYTES,
    MODELS,
    Body,
    Message,
    read_message,
    read_schema,
)
from emoshift.messages.transition import Transition

__all__ = [
    "FAR_SESSIONS",
    "MAX_AHEAD_MS",
    "MAX_PAYLOAD_BYTES",
    "MODELS",
    "Age",
    "Body",
    "BootNumbers",
    "CameraState",
    "Changes",
    "ClassSummary",
    "Figure",
    "Health",
    "Info",
    "Ledger",
    "LostNumbers",
    "Message",
    "MessageError",
    "ModelCard",
    "ModelUse",
    "OutboxState",
    "Percentiles",
    "Presence",
    "Problem",
    "Replay",
    "SiteCard",
    "States",
    "Status",
    "Transition",
    "format_date",
    "is_plausible",
    "read_message",
    "read_schema",
    "summarise_class",
    "to_ms",
]
