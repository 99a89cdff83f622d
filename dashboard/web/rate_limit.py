"""The login rate limit: a try is counted before its password is hashed, and hashes are bounded.

Guessing is slowed by account and address together, by address, and by account over all addresses.
A browser that has signed in to an account before is counted by itself, so that a stranger's guesses
never keep its owner out.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from anyio import CapacityLimiter, to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

FREE_TRIES: Final = {"browser": 5, "pair": 5, "address": 20, "account": 100}
"""Tries without a wait, by kind of key."""

_FIRST_WAIT_S: Final = 15.0
_LONGEST_WAIT_S: Final = 900.0
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Key:
    """What tries are counted by: its kind (see `FREE_TRIES`) and which one of them."""

    kind: str
    value: str


def login_keys(address: str, account: str, browser: str | None) -> tuple[Key, ...]:
    """Name what a try counts against.

    Args:
        address: Where it comes from; of IPv6 the /64 counts, which one household has.
        account: The name that was typed.
        browser: Digest of the cookie of a browser that has signed in to this account before.
    """
    if browser is not None:
        return (Key("browser", browser),)
    network = _network(address)
    return (
        Key("pair", f"{network} {account}"),
        Key("address", network),
        Key("account", account),
    )


class Throttle:
    """Counts tries; pure but for its memory, which is bounded."""

    def __init__(self) -> None:
        self._tries: OrderedDict[Key, tuple[int, float]] = OrderedDict()

    def begin(self, *keys: Key, now_s: float) -> float:
        """Count one try and return 0, or return how long it must wait, counting nothing."""
        wait_s = max((self._wait_s(key, now_s) for key in keys), default=0.0)
        if wait_s > 0:
            return wait_s
        for key in keys:
            count, last_s = self._tries.pop(key, (0, now_s))
            if now_s - last_s > 2 * _LONGEST_WAIT_S:
                count = 0
            self._tries[key] = (count + 1, now_s)
        while len(self._tries) > _REMEMBERED:
            self._tries.popitem(last=False)
        return 0.0

    def succeed(self, *keys: Key) -> None:
        """Forgive an account's own tries; of what others share only this try is taken back."""
        for key in keys:
            count, last_s = self._tries.pop(key, (0, 0.0))
            if key.kind not in {"browser", "pair"} and count > 1:
                self._tries[key] = (count - 1, last_s)

    def _wait_s(self, key: Key, now_s: float) -> float:
        count, last_s = self._tries.get(key, (0, 0.0))
        free = FREE_TRIES[key.kind]
        if count < free:
            return 0.0
        pause_s = min(_FIRST_WAIT_S * 2.0 ** min(count - free, 16), _LONGEST_WAIT_S)
        return max(0.0, last_s + pause_s - now_s)


class BusyError(Exception):
    """More passwords wait to be hashed than may."""


class HashQueue:
    """Runs few password hashes at once (64 MiB each), lets some wait and refuses the others."""

    def __init__(self, *, at_once: int, waiting: int) -> None:
        self._limiter = CapacityLimiter(at_once)
        self._free = at_once + waiting

    async def run(self, call: Callable[[], T]) -> T:
        """Run one call on a thread.

        Raises:
            BusyError: Too many wait already.
        """
        if self._free <= 0:
            raise BusyError
        self._free -= 1
        try:
            return await to_thread.run_sync(call, limiter=self._limiter)
        finally:
            self._free += 1


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
