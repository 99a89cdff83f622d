"""What one transaction writes: messages sorted by kind, problems counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from emoshift.messages import (
    ClassSummary,
    Health,
    Info,
    Ledger,
    Message,
    MessageError,
    Problem,
    Replay,
    Status,
    Transition,
    to_ms,
)
from emoshift.topics import Address

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

T = TypeVar("T")

UNKNOWN_DEVICE: Final = Address("-", "-")
"""Where problems are counted whose topic names no device, or one that was never believed."""


@dataclass(slots=True, kw_only=True)
class ProblemCount:
    """How often one kind of fault was met at one device.

    Attributes:
        count: Times.
        last_ms: The latest of them.
        detail: What was wrong that time.
    """

    count: int = 0
    last_ms: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What was received since the last transaction, in order of arrival within each kind.

    Attributes:
        seen: Per device the time of its latest believed message.
        heard: Those of them that sent one; of the others the broker has kept what came.
        statuses, infos, transitions, classes, healths, ledgers: The messages.
        problems: Refused messages, counted by topic address and kind of fault.
    """

    seen: dict[Address, int] = field(default_factory=dict)
    heard: set[Address] = field(default_factory=set)
    statuses: list[tuple[Address, Status, int]] = field(default_factory=list)
    infos: list[tuple[Address, Info, int]] = field(default_factory=list)
    transitions: list[tuple[Address, Transition, int]] = field(default_factory=list)
    classes: list[tuple[Address, ClassSummary, int]] = field(default_factory=list)
    healths: list[tuple[Address, Health, int]] = field(default_factory=list)
    ledgers: list[tuple[Address, Ledger, int]] = field(default_factory=list)
    problems: dict[tuple[Address, Problem], ProblemCount] = field(default_factory=dict)

    def add(self, message: Message, *, retained: bool = False) -> None:
        """Take one believed message; one that the broker has kept is no sign of life."""
        address, body, received_ms = message.address, message.body, message.received_ms
        if isinstance(body, Replay):
            return  # what a subscriber asks of a device is no sign of life of the device
        self.seen[address] = received_ms
        if not retained:
            self.heard.add(address)
        match body:
            case Transition():
                self.transitions.append((address, body, received_ms))
            case ClassSummary():
                self.classes.append((address, body, received_ms))
            case Health():
                at_ms = min(received_ms, to_ms(body.at)) if retained else received_ms
                self.healths.append((address, body, at_ms))
            case Status():
                self.statuses.append((address, body, received_ms))
            case Info():
                self.infos.append((address, body, received_ms))
            case Ledger():
                self.ledgers.append((address, body, received_ms))

    def refuse(self, why: MessageError, *, received_ms: int) -> None:
        """Count one refused message."""
        self.note_problem(
            why.address or UNKNOWN_DEVICE, why.problem, detail=str(why), received_ms=received_ms
        )

    def note_problem(
        self, address: Address, problem: Problem, *, detail: str, received_ms: int
    ) -> None:
        """Count one fault at a device."""
        entry = self.problems.setdefault((address, problem), ProblemCount())
        entry.count += 1
        entry.last_ms = max(entry.last_ms, received_ms)
        entry.detail = detail[:300]

    def only(self, approved: AbstractSet[Address]) -> Batch:
        """Return what approved devices sent; the rest is counted as from unknown devices."""
        strange = self.seen.keys() - approved
        if not strange:
            return self
        kept = Batch(
            seen={address: at for address, at in self.seen.items() if address in approved},
            heard={address for address in self.heard if address in approved},
            statuses=_of(approved, self.statuses),
            infos=_of(approved, self.infos),
            transitions=_of(approved, self.transitions),
            classes=_of(approved, self.classes),
            healths=_of(approved, self.healths),
            ledgers=_of(approved, self.ledgers),
            problems=self.problems,
        )
        for address in strange:
            kept.note_problem(
                UNKNOWN_DEVICE,
                Problem.UNKNOWN_DEVICE,
                detail=f"{address} is not approved; run: edge-dashboard devices list",
                received_ms=self.seen[address],
            )
        return kept

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self.seen and not self.problems


def _of(
    approved: AbstractSet[Address], rows: list[tuple[Address, T, int]]
) -> list[tuple[Address, T, int]]:
    return [row for row in rows if row[0] in approved]


def gather(messages: Iterable[Message], *, retained: bool = False) -> Batch:
    """Sort messages into a batch."""
    batch = Batch()
    for message in messages:
        batch.add(message, retained=retained)
    return batch
