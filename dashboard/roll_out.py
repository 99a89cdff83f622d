"""``edge-dashboard roll-out``: a new bundle for some devices first, taken back where it fails.

Devices take no commands over MQTT. So what installs and what takes back are commands of the
operator, run here (``ssh``, for example); MQTT is only read.
"""

from __future__ import annotations

import logging
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import TYPE_CHECKING, Final, Self

from dashboard.live.state import DeviceState, fold, p95_ms, presence
from dashboard.live.steady_clock import steady_ms
from emoshift.errors import UnavailableError
from emoshift.messages import Health, MessageError, read_message
from emoshift.mqtt.connection import Connected, Received
from emoshift.mqtt.paho import PahoConnection
from emoshift.mqtt.reconnecting import ReconnectingConnection
from emoshift.topics import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from emoshift.mqtt.connection import ConnectionEvent
    from emoshift.mqtt.paho import Broker
    from emoshift.topics import Address

    Say = Callable[[str], None]

log = logging.getLogger(__name__)

ABSTAINED_RISE: Final = 0.10
"""More abstention than this, beyond what the unchanged devices show, is worse."""
FPS_SHARE: Final = 0.8
P95_SHARE: Final = 1.25
P95_MS: Final = 100.0
"""Frames may become fewer, and the latency longer, by these shares; within the budget by any."""
_ENOUGH: Final = 3
_KINDS: Final = ("status", "info", "health")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is rolled out, to whom and how.

    Attributes:
        devices: In the order in which they are changed.
        model: Id of the bundle, as ``/info`` tells it afterwards.
        install: Command that installs it; ``{device}`` and ``{site}`` are put in.
        back: Command that takes it back, likewise.
        first: So many devices are changed and watched before the others.
        watch_s: How long the fleet is watched before, and after each stage.
        within_s: A device has to tell the new model so soon.
    """

    devices: tuple[Address, ...]
    model: str
    install: str
    back: str
    first: int
    watch_s: float
    within_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a device said of itself over some time; ``None`` where it said nothing of it.

    Attributes:
        readings: Health messages with pictures.
        abstained: Mean share of predictions after which no emotion was sure enough.
        fps: Mean frames a second.
        p95_ms: Mean 95th percentile from picture to outbox.
        problem: What is plainly wrong with it now; empty where nothing is.
    """

    readings: int
    abstained: float | None
    fps: float | None
    p95_ms: float | None
    problem: str = ""


@dataclass(slots=True)
class Fleet:
    """What the devices of a plan say.

    Attributes:
        states: The newest of each.
        health: Since the last `begin`.
    """

    states: dict[Address, DeviceState]
    health: dict[Address, list[Health]] = field(default_factory=dict)

    @classmethod
    def of(cls, devices: Iterable[Address]) -> Fleet:
        """Know nothing yet of these devices."""
        return cls({address: DeviceState(address=address) for address in devices})

    def begin(self) -> None:
        """Count health messages from now on."""
        self.health = {address: [] for address in self.states}

    def take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take in a message; those of other devices, and bad ones, change nothing."""
        try:
            message = read_message(topic, payload)
        except MessageError as why:
            log.debug("%s: %s", topic, why)
            return
        state = self.states.get(message.address)
        if state is None:
            return
        self.states[message.address] = fold(
            state, message, arrived_ms=steady_ms(), retained=retained
        )
        if isinstance(message.body, Health) and not retained:
            self.health.setdefault(message.address, []).append(message.body)

    def model(self, address: Address) -> str:
        """What a device says it runs, without its site layer."""
        info = self.states[address].info
        return "" if info is None else info.model

    def figures(self, address: Address) -> Figures:
        """What a device said since `begin`."""
        state, said = self.states[address], self.health.get(address, [])
        here = presence(state, steady_ms())
        problem = "" if here == "online" else here
        if said and said[-1].camera_state == "lost":
            problem = problem or "its camera gives no pictures"
        seen = [health for health in said if health.camera_state == "streaming"]
        p95 = [value for health in seen if (value := p95_ms(health)) is not None]
        abstained = [health.abstained for health in seen if health.abstained is not None]
        return Figures(
            readings=len(seen),
            abstained=fmean(abstained) if abstained else None,
            fps=fmean(health.fps for health in seen) if seen else None,
            p95_ms=fmean(p95) if p95 else None,
            problem=problem,
        )


def usual_rise(before: Iterable[Figures], after: Iterable[Figures]) -> float:
    """By how much abstention rose on devices that were not changed; never below 0."""
    rises = [
        new.abstained - old.abstained
        for old, new in zip(before, after, strict=True)
        if old.abstained is not None and new.abstained is not None
    ]
    return max(0.0, median(rises)) if rises else 0.0


def find_worse(before: Figures, after: Figures, *, usual: float = 0.0) -> list[str]:
    """Say what has become worse on a device; empty where nothing has.

    Args:
        before: Of the device.
        after: Likewise.
        usual: By how much abstention rose elsewhere in that time.
    """
    if after.problem:
        return [after.problem]
    if after.readings < _ENOUGH <= before.readings:
        return [f"only {after.readings} health messages with pictures, {before.readings} before"]
    found = []
    if before.abstained is not None and after.abstained is not None:
        rise = after.abstained - before.abstained - usual
        if rise > ABSTAINED_RISE:
            found.append(
                f"not sure {after.abstained:.0%} of the time, {before.abstained:.0%} before"
            )
    if before.fps is not None and after.fps is not None and after.fps < FPS_SHARE * before.fps:
        found.append(f"{after.fps:.1f} frames a second, {before.fps:.1f} before")
    if before.p95_ms is not None and after.p95_ms is not None:
        most = max(P95_MS, P95_SHARE * before.p95_ms)
        if after.p95_ms > most:
            found.append(
                f"{after.p95_ms:.0f} ms at the 95th percentile, {before.p95_ms:.0f} before"
            )
    return found


def roll_out(plan: Plan, broker: Broker, *, say: Say) -> bool:
    """Change some devices, watch, and go on; or take everything back.

    Args:
        plan: What, to whom and how.
        broker: Where the devices publish.
        say: Told each line.

    Returns:
        Whether every device now has the bundle and is no worse.

    Raises:
        UnavailableError: A device is not there to begin with, or cannot be taken back.
    """
    fleet = Fleet.of(plan.devices)
    with _Watching(fleet, broker) as watching:
        say(f"watching {len(plan.devices)} devices for {plan.watch_s:g} s, before")
        fleet.begin()
        watching.watch(plan.watch_s)
        before = {address: fleet.figures(address) for address in plan.devices}
        if away := [f"{a}: {f.problem}" for a, f in before.items() if f.problem]:
            raise UnavailableError(f"not changed anything: {', '.join(away)}")
        old = {address: fleet.model(address) for address in plan.devices}
        changed: list[Address] = []
        for stage in (plan.devices[: plan.first], plan.devices[plan.first :]):
            if not stage:
                continue
            reasons = {}
            for address in stage:
                changed.append(address)
                if problem := _run(plan.install, address):
                    reasons[address] = [problem]
            if not reasons:
                reasons = _watch_stage(plan, stage, fleet, watching, before=before, say=say)
            for address in stage:
                said = "; ".join(reasons.get(address, [])) or "good"
                say(f"{address}  {said}")
            if reasons:
                _take_back(plan, changed, old, fleet, watching, say=say)
                return False
    say(f"{plan.model} is in use on {len(plan.devices)} devices")
    return True


def _watch_stage(
    plan: Plan,
    stage: Sequence[Address],
    fleet: Fleet,
    watching: _Watching,
    *,
    before: dict[Address, Figures],
    say: Say,
) -> dict[Address, list[str]]:
    """Wait until the devices of a stage tell the new model, watch, and say which are worse."""
    late = watching.wait(plan.within_s, lambda: [a for a in stage if fleet.model(a) != plan.model])
    if late:
        return {a: [f"says it runs {fleet.model(a) or 'nothing'}, not {plan.model}"] for a in late}
    say(f"watching for {plan.watch_s:g} s, {len(stage)} changed")
    fleet.begin()
    watching.watch(plan.watch_s)
    others = [a for a in plan.devices if fleet.model(a) != plan.model]
    usual = usual_rise([before[a] for a in others], [fleet.figures(a) for a in others])
    found = {a: find_worse(before[a], fleet.figures(a), usual=usual) for a in stage}
    return {address: reasons for address, reasons in found.items() if reasons}


def _take_back(
    plan: Plan,
    changed: Sequence[Address],
    old: dict[Address, str],
    fleet: Fleet,
    watching: _Watching,
    *,
    say: Say,
) -> None:
    """Take the bundle back on every device that was changed.

    Raises:
        UnavailableError: One of them does not tell its old model again.
    """
    say(f"taking {plan.model} back on {len(changed)} devices")
    with_it = [a for a in changed if fleet.model(a) != old[a]]
    failed = {a: problem for a in with_it if (problem := _run(plan.back, a))}
    late = watching.wait(
        plan.within_s, lambda: [a for a in with_it if a not in failed and fleet.model(a) != old[a]]
    )
    failed |= {a: f"still says it runs {fleet.model(a)}" for a in late}
    if failed:
        said = ", ".join(f"{address}: {why}" for address, why in failed.items())
        raise UnavailableError(f"not taken back, see to it by hand: {said}")


def _run(command: str, address: Address) -> str:
    """Run the operator's command for one device; return what went wrong, or nothing."""
    words = [
        word.replace("{device}", address.device).replace("{site}", address.site)
        for word in shlex.split(command)
    ]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError as why:
        return f"{words[0]}: {why.strerror}"
    said = (done.stderr or done.stdout).strip().splitlines()
    if done.returncode == 0:
        return ""
    return f"{words[0]} ended with {done.returncode}: {said[-1] if said else 'no word'}"


class _Watching:
    """The connection to the broker, turned while something is waited for."""

    def __init__(self, fleet: Fleet, broker: Broker) -> None:
        self._fleet = fleet
        self._connection = ReconnectingConnection(
            lambda protocol: PahoConnection(broker, protocol=protocol),
            address=broker.address,
            log=log,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def watch(self, seconds: float) -> None:
        """Take in what the devices say for so long."""
        self.wait(seconds, lambda: list(self._fleet.states), at_once=False)

    def wait(
        self, seconds: float, missing: Callable[[], list[Address]], *, at_once: bool = True
    ) -> list[Address]:
        """Take in what they say until nothing is missing; return what still is then."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0 and not (at_once and not missing()):
            for event in self._connection.turn(min(left_s, 0.2)):
                self._take(event)
        return missing()

    def _take(self, event: ConnectionEvent) -> None:
        match event:
            case Connected():
                addresses = self._fleet.states
                topics = [
                    f"{ROOT}/{a.site}/{a.device}/{kind}" for a in addresses for kind in _KINDS
                ]
                self._connection.subscribe(*topics)
            case Received():
                self._fleet.take(event.topic, event.payload, retained=event.retained)
                self._connection.acknowledge(event.token)
            case _:
                pass
