"""Running the parts: the web server, workers, and everything at once for a demonstration."""

from __future__ import annotations

import contextlib
import errno
import logging
import secrets
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn

from dashboard.charts import fetch_charts
from dashboard.config import Config, load_config
from dashboard.ingest.supervisor import Supervised, Supervisor
from dashboard.simulate.classroom import make_school
from dashboard.simulate.history import write_past
from dashboard.simulate.publish import PublishingLoad, Simulator
from dashboard.store.accounts import People, Role
from dashboard.store.database import open_store
from dashboard.web.app import make_app
from dashboard.web.connections import limited_protocol
from emoshift.errors import EmoshiftError, UnavailableError
from emoshift.local_broker import HOST, local_broker

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from dashboard.live.hub import Hub

LOG: Final = logging.getLogger(__name__)
_GRACE_S: Final = 10


class _Server(uvicorn.Server):
    """Ends open streams when it is told to end, instead of waiting for browsers to leave."""

    hub: Hub

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self.hub.closing = True
        super().handle_exit(sig, frame)


def run_web(config: Config, *, supervised: Callable[[], Supervised] | None = None) -> None:
    """Serve the pages until SIGINT or SIGTERM.

    Args:
        config: The settings.
        supervised: Reports on the worker that runs beside the pages, if one does.

    Raises:
        UnavailableError: Host and port cannot be had.
    """
    web = config.web
    _demand_port(web.host, web.port)
    app = make_app(config, open_store(config.history.database), supervised=supervised)
    server = _Server(
        uvicorn.Config(
            app,
            host=web.host,
            port=web.port,
            ssl_certfile=web.cert_file,
            ssl_keyfile=web.key_file,
            proxy_headers=bool(web.trusted_proxies),
            forwarded_allow_ips=list(web.trusted_proxies) or None,
            server_header=False,
            log_config=None,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=3,
            http=limited_protocol(proxies=web.trusted_proxies),
            loop="dashboard.web.connections:HandshakeLoop",
        )
    )
    server.hub = app.state.context.hub
    LOG.info("listening on %s", address(config))
    server.run()


def _demand_port(host: str, port: int) -> None:
    """See that the pages can listen there; uvicorn would say it in a log line of its own."""
    try:
        for family, kind, number, _, place in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, number) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tried.bind(place)
    except OSError as why:
        if why.errno in (errno.EADDRINUSE, errno.EACCES):
            raise UnavailableError(
                f"{host}, port {port}: {why.strerror}; give another one: --port"
            ) from why


def address(config: Config) -> str:
    """Return where the pages are."""
    scheme = "http" if config.web.cert_file is None else "https"
    host = f"[{config.web.host}]" if ":" in config.web.host else config.web.host
    return f"{scheme}://{host}:{config.web.port}"


def run_demo(
    *,
    devices: int,
    rate: float,
    seed: int,
    port: int,
    say: Callable[[str], None],
    passwords: dict[str, str] | None = None,
    use_mosquitto: bool = True,
) -> None:
    """Show everything with simulated devices and a broker of its own, until interrupted.

    Raises:
        UnavailableError: No broker can be started, or the port is taken.
    """
    try:
        fetch_charts()
    except EmoshiftError as why:
        say(f"Warning: {why}; the pages will show no charts")
    _demand_port(HOST, port)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emoshift-demo-")))
        broker = stack.enter_context(local_broker(folder, use_mosquitto=use_mosquitto))
        database = str(folder / "dashboard.db")
        config = load_config(
            None,
            broker={"host": HOST, "port": broker.port},
            history={"database": database},
            web={"port": port},
        )
        engine = open_store(database)
        rooms = make_school(devices, seed=seed)
        write_past(engine, rooms, now_ms=time.time_ns() // 1_000_000, seed=seed)
        accounts = passwords or {role.value: secrets.token_urlsafe(9) for role in Role}
        people = People(engine)
        for role in Role:
            people.put(role.value, accounts[role.value], role, places=["*"])
        shared = ("--broker", f"{HOST}:{broker.port}")
        worker = stack.enter_context(
            Supervisor(["worker", "--leashed", *shared, "--database", database])
        )
        _await_worker(worker)
        stop = threading.Event()
        simulator = Simulator(config.broker, rooms)
        thread = threading.Thread(
            target=simulator.run,
            args=(PublishingLoad(rate=rate), stop),
            name="simulator",
            daemon=True,
        )
        thread.start()
        stack.callback(_end, stop, thread)
        say(f"{devices} simulated devices, broker {broker.name} on port {broker.port}")
        for role in reversed(Role):
            say(f"  sign in as {role.value:6}  password {accounts[role.value]}")
        say(f"Open {address(config)} - Ctrl-C ends it")
        run_web(config, supervised=worker.state)


def _await_worker(worker: Supervisor) -> None:
    """Wait until the worker listens, so that it hears the first word."""
    until_s = time.monotonic() + 60
    while (report := worker.state().report) is None or not report.connected:
        if worker.state().restarts > 1 or time.monotonic() > until_s:
            raise UnavailableError("the worker does not work; run edge-dashboard worker to see why")
        time.sleep(0.1)


def _end(stop: threading.Event, thread: threading.Thread) -> None:
    stop.set()
    thread.join(timeout=_GRACE_S)
