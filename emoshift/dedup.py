"""What a subscriber needs to see each event once, in order, and to know what it missed: pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from emoshift.messages import Presence

if TYPE_CHECKING:
    from emoshift.events import Event

BOOTS: Final = 1000
"""Boot ids remembered; the longest silent is forgotten first."""
INSTANCES: Final = 1000
"""Devices whose last status is remembered; the longest silent is forgotten first."""
MISSING: Final = 10_000
"""Missing numbers remembered for each boot id, so that a late one is still told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """An event not told before.

    Attributes:
        event: The event.
        late: Whether it fills a gap that has been told.
    """

    event: Event
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Numbers that have not come.

    Attributes:
        boot_id: Whose.
        first, last: The first and last missing number.
    """

    boot_id: str
    first: int
    last: int

    @property
    def count(self) -> int:
        """How many are missing."""
        return self.last - self.first + 1


Heard: TypeAlias = Fresh | Gap


@dataclass(slots=True)
class _Boot:
    """How far one boot id has been told, and what is missing before that."""

    told: int
    missing: set[int] = field(default_factory=set)


class Dedup:
    """Tells each event once, in the order of its numbers, and which numbers are missing.

    The first event of a boot id starts the count where it is: who subscribes late has not missed
    what was before. The publisher sends in order, so what arrives behind its successor was held up
    or lost on the way: the gap is told at once, and the event, should it come, as late.
    """

    def __init__(self) -> None:
        self._boots: OrderedDict[str, _Boot] = OrderedDict()

    def hear(self, event: Event) -> list[Heard]:
        """Take in one event; return what is to be told because of it, in order."""
        boot = self._boots.get(event.boot_id)
        if boot is None:
            boot = self._boots[event.boot_id] = _Boot(told=event.seq - 1)
            if len(self._boots) > BOOTS:
                self._boots.popitem(last=False)
        self._boots.move_to_end(event.boot_id)
        if event.seq <= boot.told:
            if event.seq not in boot.missing:
                return []
            boot.missing.remove(event.seq)
            return [Fresh(event=event, late=True)]
        first, boot.told = boot.told + 1, event.seq
        if first == event.seq:
            return [Fresh(event=event)]
        boot.missing.update(range(max(first, event.seq - MISSING), event.seq))
        if (excess := len(boot.missing) - MISSING) > 0:
            boot.missing.difference_update(sorted(boot.missing)[:excess])
        return [Gap(boot_id=event.boot_id, first=first, last=event.seq - 1), Fresh(event=event)]


class StatusFilter:
    """Passes on a status only if it is no older than one already seen from that device."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[tuple[str, str], tuple[int, Presence]] = OrderedDict()

    def hear(self, topic: str, instance: str, session: int, state: Presence) -> bool:
        """Whether this status means anything; a late last will does not."""
        seen = self._sessions.get((topic, instance))
        if seen is not None and (session < seen[0] or (session, state) == seen):
            return False
        if seen is not None and session == seen[0] and seen[1] is Presence.STOPPED:
            return False  # nothing follows a clean stop within its session
        self._sessions[topic, instance] = (session, state)
        self._sessions.move_to_end((topic, instance))
        if len(self._sessions) > INSTANCES:
            self._sessions.popitem(last=False)
        return True
