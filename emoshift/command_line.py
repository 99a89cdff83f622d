"""What all our commands have in common: an expected error is one line and an exit code."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from emoshift.credentials import mask_credentials
from emoshift.errors import (
    EmoshiftError,
    InputError,
    OutputError,
    UnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

log = logging.getLogger(__name__)

INTERRUPTED: Final = 130
_AGAIN_S: Final = 0.01

_EXTRAS: Final = {
    "demo": ("amqtt",),
    "dashboard": (
        *("argon2", "babel", "jinja2", "multipart", "prometheus_client", "psycopg"),
        *("python_multipart", "sqlalchemy", "starlette", "uvicorn"),
    ),
    "train": ("keras", "keras_tuner", "matplotlib", "pyarrow", "scipy", "sklearn", "tensorflow"),
    "hf": ("torch", "transformers", "huggingface_hub"),
    "bench": ("psutil", "ruptures"),
    "mediapipe": ("mediapipe",),
}
"""The modules that each optional part of the package brings."""
_LOCKS: Final = {"bench": "dev"}
"""The lock file of an extra, where it has another name."""
_OURS: Final = ("emoshift", "edge", "dashboard", "train", "convert", "benchmarks", "tests")


class CommandGroup(click.Group):
    """A program: expected errors are one line, also missing libraries and unreadable files."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with one_line_errors():
            return super().invoke(ctx)


class RenamedOption(click.Option):
    """An option that still answers to the name it had before, of which help says nothing."""

    def __init__(self, *args: Any, before: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._before = before

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Let the parser know both names."""
        now: Sequence[str] = self.opts
        self.opts = [*now, self._before]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = list(now)


class OutputPath(click.Path):
    """A file or folder that a command writes when its work is done.

    It is refused before the work begins where this user could not write it: nobody loses an hour's
    measurement, or a recording of people who were asked in, to a folder without room for it.
    """

    def __init__(self, *, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, dir_okay=dir_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path.

        Raises:
            OutputError: It cannot be written.
        """
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        place = path
        try:
            while not place.exists():
                place = place.parent
        except OSError as why:
            raise OutputError(f"{path}: cannot be written: {why.strerror}") from why
        if place != path and not place.is_dir():
            raise OutputError(f"{path}: cannot be written: {place} is no folder; name another")
        if not os.access(place, os.W_OK):
            raise OutputError(f"{path}: this user may not write into {place}; name another place")
        return path


def split_broker(text: str) -> tuple[str, int | None]:
    """Split ``HOST``, ``HOST:PORT`` or ``[IPV6]:PORT``.

    Raises:
        UsageError: It is none of these.
    """
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if not host or (port and not (port.isdecimal() and 0 < int(port) < 65536)):
        raise UsageError(f"--broker {text}: expected HOST or HOST:PORT, such as broker.local:1883")
    return host, int(port) if port else None


class Ended(KeyboardInterrupt):
    """SIGTERM came, or SIGHUP because the terminal was closed: a command ends as by Ctrl-C.

    Attributes:
        exit_code: What a shell expects after this signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code: Final = 128 + number


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the process with one line and an exit code where an expected error passes."""
    try:
        with _end_in_order(), _no_lost_interrupts():
            yield
    except EmoshiftError as why:
        _fail(why)
    except ModuleNotFoundError as why:
        missing = missing_library(why)
        if missing is None:
            raise
        _fail(missing)
    except BrokenPipeError:
        raise  # click ends these as a shell expects
    except OSError as why:
        _fail(unusable_file(why))
    except Ended as why:
        raise SystemExit(why.exit_code) from None
    except KeyboardInterrupt:
        click.echo(err=True)
        raise SystemExit(INTERRUPTED) from None


@contextmanager
def _end_in_order() -> Iterator[None]:
    """Turn signals that would end the process at once into `Ended`.

    What a command has started, such as a daemon with a camera, must not go on without it. Whoever
    handles these signals, or ignores them (``nohup``), keeps doing so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return

    def end(number: int, _: FrameType | None) -> None:
        raise Ended(number)

    ours = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _no_lost_interrupts() -> Iterator[None]:
    """Raise Ctrl-C once more where Python can only report it.

    What is raised in a finaliser, or in a callback when an object is gone, goes no further; every
    import has such a callback.
    """
    before = sys.unraisablehook

    def report(what: sys.UnraisableHookArgs) -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            _thread.start_new_thread(_interrupt_soon, ())
        else:
            before(what)

    sys.unraisablehook = report
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupt_soon() -> None:
    time.sleep(_AGAIN_S)  # until the callback is over; else it is lost again, and comes again
    os.kill(os.getpid(), signal.SIGINT)  # a real one, which ends a wait of the main thread too


def missing_library(why: ModuleNotFoundError) -> UnavailableError | None:
    """Name the library that is missing and the command that brings it.

    Returns:
        ``None`` where the module is one of ours: then the program is at fault, not the machine.
    """
    name = (why.name or "").partition(".")[0]
    if not name or name in _OURS:
        return None
    for extra, modules in _EXTRAS.items():
        if name in modules:
            lock = f"requirements/{_LOCKS.get(extra, extra)}.txt"
            return UnavailableError(
                f"{name} is not installed; run: pip install 'emoshift[{extra}]'"
                f" (in a checkout: pip install --no-deps -r {lock})"
            )
    return UnavailableError(f"{name} is not installed; install emoshift again")


def unusable_file(why: OSError) -> EmoshiftError:
    """Say of a file or folder what is wrong with it and what to do."""
    what = why.strerror or str(why)
    place = "" if why.filename is None else f"{why.filename}: "
    hint = ""
    if isinstance(why, PermissionError):
        hint = "; run this with sudo, or name a file that this user may use"
    elif isinstance(why, FileNotFoundError):
        hint = "; check the path"
    return InputError(f"{place}{what}{hint}")


def _fail(why: EmoshiftError) -> NoReturn:
    log.debug("where it came from:", exc_info=why)
    click.echo(f"Error: {mask_credentials(str(why))}", err=True)
    raise SystemExit(why.exit_code) from None
