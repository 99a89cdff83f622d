"""Connections that nobody can hold for ever: limits of time and number around uvicorn's HTTP.

A connection whose TLS handshake or request does not come is closed; when there are too many, the
oldest of those goes, so that new requests are answered however many strangers are slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from uvicorn.config import Config

REQUEST_S: Final = 15.0
"""A request, header and body, is complete by then; ours are 16 KiB at most."""
WRITE_S: Final = 30.0
"""A reader that takes nothing for this long has gone."""
MOST_CONNECTIONS: Final = 1000
MOST_OF_ADDRESS: Final = 250
MOST_INCOMPLETE_OF_ADDRESS: Final = 64
_SPARE_DESCRIPTORS: Final = 128
"""For the database, the broker, static files, logs and the sockets that listen."""
_LARGEST_HEADER_BYTES: Final = 16 * 1024


def most_connections() -> int:
    """Return how many connections may be open: below the limit of descriptors, raised if it can.

    The soft limit is raised to what this needs where the hard limit lets it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(16, min(MOST_CONNECTIONS, soft - _SPARE_DESCRIPTORS))


class Limited(Protocol):
    """What is counted: a handshake, or the connection that follows it."""

    address: str

    def abort(self) -> None:
        """End it at once."""


class ConnectionLimits:
    """All connections of one server, those first whose request is not complete.

    Attributes:
        closed: Connections that were closed because of a limit.
        request_s: How long a handshake and a request may each take.
    """

    def __init__(
        self, *, most: int, proxies: frozenset[str] = frozenset(), request_s: float = REQUEST_S
    ) -> None:
        self.closed = 0
        self.request_s = request_s
        self._most = most
        self._proxies = proxies
        self._all: set[Limited] = set()
        self._incomplete: dict[Limited, None] = {}  # in order of their beginning
        self._by_address: Counter[str] = Counter()

    @property
    def open_connections(self) -> int:
        """How many connections and handshakes there are."""
        return len(self._all)

    def open(self, one: Limited) -> None:
        """Take a new connection; another one may have to go for it, or it is closed itself."""
        address = one.address
        self._all.add(one)
        self._by_address[address] += 1
        self.begin(one)
        if address not in self._proxies:
            ours = [other for other in self._incomplete if other.address == address]
            if len(ours) > MOST_INCOMPLETE_OF_ADDRESS:
                self._close(ours[0])
            elif self._by_address[address] > MOST_OF_ADDRESS:
                self._close(one)
        if len(self._all) > self._most and self._incomplete:
            self._close(next(iter(self._incomplete)))

    def begin(self, one: Limited) -> None:
        """A request is awaited."""
        self._incomplete[one] = None

    def complete(self, one: Limited) -> None:
        """A request is there as a whole."""
        self._incomplete.pop(one, None)

    def close(self, one: Limited) -> None:
        """Forget a connection that has ended."""
        self._incomplete.pop(one, None)
        if one in self._all:
            self._all.discard(one)
            self._by_address[one.address] -= 1
            if not self._by_address[one.address]:
                del self._by_address[one.address]

    def _close(self, one: Limited) -> None:
        self.closed += 1
        one.abort()


class LimitedProtocol(H11Protocol):
    """One connection."""

    limits: ConnectionLimits
    """Set by `limited_protocol`, one for a server."""

    def __init__(self, config: Config, *values: Any, **more: Any) -> None:
        config.h11_max_incomplete_event_size = _LARGEST_HEADER_BYTES
        super().__init__(config, *values, **more)
        self.address = "unknown"
        self._request_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else "local"
        self._await_request()
        self.limits.open(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_timers()
        self.limits.close(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the next request, which may have come already."""
        super().on_response_complete()
        self._look()

    def _look(self) -> None:
        """Run the clock while a request is awaited, and only then."""
        under_way = self.cycle is not None and not self.cycle.response_complete
        if under_way and not self.cycle.more_body:
            self._cancel_request_timer()
            self.limits.complete(self)
        elif self._request_timer is None and not self.transport.is_closing():
            self._await_request()
            self.limits.begin(self)

    def _await_request(self) -> None:
        self._request_timer = self.loop.call_later(self.limits.request_s, self.abort)

    def _cancel_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def pause_writing(self) -> None:
        """Give a slow reader some time."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_S, self.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def abort(self) -> None:
        """Close the connection at once, whatever it holds."""
        self._stop_timers()
        self.limits.close(self)
        self.transport.abort()

    def _stop_timers(self) -> None:
        self._cancel_request_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


class TlsHandshake(asyncio.Protocol):
    """A handshake: counted like a connection whose request is not complete, until it is done.

    asyncio would report a connection only after its handshake, so that nobody counted them.

    Args:
        loop: Runs it.
        protocol: Takes over when it is done.
        context: Of the server.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, protocol: LimitedProtocol, context: ssl.SSLContext
    ) -> None:
        self.address = "local"
        self._loop = loop
        self._protocol = protocol
        self._context = context
        self._came: list[bytes] = []
        self._lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        transport.pause_reading()  # until somebody is there to take what comes
        self._transport = transport
        if isinstance(peer := transport.get_extra_info("peername"), tuple):
            self.address = str(peer[0])
        self._task = self._loop.create_task(self._shake_hands())
        self._protocol.limits.open(self)

    def data_received(self, data: bytes) -> None:
        """Keep what came together with the end of the handshake."""
        self._came.append(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """End."""
        self._lost = True
        self._protocol.limits.close(self)

    def abort(self) -> None:
        """Close the connection at once."""
        self._protocol.limits.close(self)
        self._transport.abort()

    async def _shake_hands(self) -> None:
        try:
            secure = await self._loop.start_tls(
                self._transport,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=self._protocol.limits.request_s,
            )
        except OSError:  # not TLS, too slow, or gone
            self.abort()
            return
        self._protocol.limits.close(self)
        if secure is None or self._lost:
            return
        secure.set_protocol(self._protocol)
        self._protocol.connection_made(secure)
        for data in self._came:
            self._protocol.data_received(data)


class HandshakeLoop(asyncio.SelectorEventLoop):
    """An event loop whose servers bound TLS handshakes in time and number."""

    async def create_server(
        self, protocol_factory: Callable[[], Any], *values: Any, **more: Any
    ) -> asyncio.Server:
        """Begin to listen."""
        context = more.pop("ssl", None)
        factory = protocol_factory
        if context is not None:

            def factory() -> TlsHandshake:
                return TlsHandshake(self, protocol_factory(), context)

        return await super().create_server(factory, *values, **more)


def limited_protocol(
    *, proxies: tuple[str, ...] = (), request_s: float = REQUEST_S
) -> type[LimitedProtocol]:
    """Return the protocol of one server, with limits of its own."""

    class OfServer(LimitedProtocol):
        limits = ConnectionLimits(
            most=most_connections(), proxies=frozenset(proxies), request_s=request_s
        )

    return OfServer
