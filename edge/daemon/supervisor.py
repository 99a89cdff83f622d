"""``edge run``: both processes as child processes, either restarted alone, none left behind."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge.identity import settle_name
from emoshift.errors import ConfigError
from emoshift.systemd import SignsOfLife

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edge.config import Config

log = logging.getLogger(__name__)

FINAL_CODES: Final = (2, 66, 78)
"""Exit codes that another start would only repeat: usage, input or bundle, configuration."""
FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 30.0
SETTLED_S: Final = 60.0
"""A process that ran for this long starts anew without delay."""
WATCHDOG_S: Final = {"vision": 30.0, "publish": 60.0}
"""A process that was ready and gives no sign of life for this long is frozen and killed."""
STOP_S: Final = 20.0
"""How long a process may take to stop before it is killed."""

_LOOK_S: Final = 0.05


@dataclass(slots=True)
class _Child:
    """One child process and the plan for its next start."""

    name: str
    command: Sequence[str]
    config: str
    signs: SignsOfLife
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    due_s: float = field(default=float("-inf"))
    delay_s: float = FIRST_DELAY_S

    def start(self) -> None:
        verbose = ["--verbose"] if log.isEnabledFor(logging.DEBUG) else []
        self.process = subprocess.Popen(
            [*self.command, "--parent", str(os.getpid()), *verbose],
            stdin=subprocess.PIPE,
            env={**os.environ, **self.signs.environment()},
            start_new_session=True,  # Ctrl-C is for us: the processes are stopped in order
        )
        self.started_s = time.monotonic()
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self.process.stdin as pipe:
                pipe.write(self.config.encode())

    def plan(self, now_s: float) -> float:
        """Plan the next start after an unexpected end; returns the delay."""
        if now_s - self.started_s >= SETTLED_S:
            self.delay_s = FIRST_DELAY_S
        self.process, self.due_s, delay_s = None, now_s + self.delay_s, self.delay_s
        self.delay_s = min(self.delay_s * 2, LONGEST_DELAY_S)
        return delay_s

    def stop(self) -> None:
        """End the process cleanly; kill it when it does not end."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            log.warning("%s does not stop and is killed", self.name)
            self.process.kill()
            self.process.wait()
        self.process = None


def process_command(name: str) -> tuple[str, ...]:
    """How to start one process."""
    return (sys.executable, "-m", "edge.daemon.process", name)


def supervise(
    config: Config,
    *,
    command: Callable[[str], Sequence[str]] = process_command,
    reread: Callable[[], Config] | None = None,
    watchdog_s: Mapping[str, float] = WATCHDOG_S,
) -> int:
    """Run both processes until a signal, the end of a clip, or an error that a restart cannot mend.

    Args:
        config: The whole configuration.
        command: How to start a process, given its name.
        reread: Reads the configuration again on SIGHUP; a process whose part has changed is started
            anew, and a configuration that does not validate changes nothing.
        watchdog_s: After how long without a sign of life a process is killed and started anew.

    Returns:
        The exit code: 0 after a clean stop, else that of the process that cannot go on.
    """
    config = settle_name(config)
    code: int | None = None
    with contextlib.ExitStack() as stack:
        vision, publish = (
            _Child(
                name,
                command(name),
                config_json(config, secrets=name == "publish"),
                stack.enter_context(SignsOfLife(watchdog_s[name])),
            )
            for name in ("vision", "publish")
        )
        heard = stack.enter_context(_signals())
        try:
            while code is None and not heard & {signal.SIGTERM, signal.SIGINT}:
                if signal.SIGHUP in heard:
                    heard.discard(signal.SIGHUP)
                    _reload(reread, vision, publish)
                code = _turn(vision, publish)
                time.sleep(_LOOK_S)
        finally:
            vision.stop()  # first, so that its last events still go out
            publish.stop()
    return code or 0


def _reload(reread: Callable[[], Config] | None, vision: _Child, publish: _Child) -> None:
    if reread is None:
        log.warning("SIGHUP ignored: the configuration did not come from a file")
        return
    try:
        config = settle_name(reread())
    except ConfigError as why:
        log.error("not reloaded, the old configuration stays: %s", why)
        return
    for child in (vision, publish):
        found = config_json(config, secrets=child is publish)
        if found != child.config:
            log.info("reloaded: %s is started anew", child.name)
            child.stop()
            child.config, child.due_s = found, float("-inf")


def config_json(config: Config, *, secrets: bool) -> str:
    """Write a configuration for a child; vision gets nothing of the broker's secrets."""
    data = config.model_dump(mode="json")
    mqtt = data["mqtt"]
    if secrets:
        password = config.mqtt.password
        mqtt["password"] = None if password is None else password.get_secret_value()
    else:
        for key in ("username", "password", "password_file", "cert_file", "key_file"):
            mqtt[key] = None
    return json.dumps(data)


def _turn(vision: _Child, publish: _Child) -> int | None:
    """Look after both processes once; returns the exit code when the run is over."""
    now_s = time.monotonic()
    for child in (publish, vision):
        if child.process is None:
            if now_s >= child.due_s:
                _start(child, now_s)
            continue
        code = child.process.poll()
        if code is None:
            if child.signs.missing():
                log.error("%s gives no sign of life and is killed", child.name)
                child.process.kill()  # not aborted: nothing of its memory may be written
            continue
        if code in FINAL_CODES or (child is vision and code == 0):
            child.process = None
            return code
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
        log.warning("%s ended (%s); started again in %.1f s", child.name, why, child.plan(now_s))
    return None


def _start(child: _Child, now_s: float) -> None:
    """Start a process; where the system cannot (no memory just now), later."""
    try:
        child.start()
    except OSError as why:
        child.started_s = now_s
        delay_s = child.plan(now_s)
        log.warning("%s cannot be started (%s); tried again in %.1f s", child.name, why, delay_s)


@contextlib.contextmanager
def _signals() -> Iterator[set[int]]:
    """Collect SIGTERM, SIGINT and SIGHUP in a set for the length of a block."""
    heard: set[int] = set()
    before = {
        number: signal.signal(number, lambda n, _: heard.add(n))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
