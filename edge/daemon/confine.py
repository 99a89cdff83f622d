"""Takes everything but its own folders from the process that opens the outbox.

That process reads a file which the network-facing process can write, and lives beside the one that
sees pictures. Should a forged file take it over, it shall reach no camera and no other program:

- Landlock (Linux 5.13 and later) lets it open files below named folders alone;
- a seccomp filter, which it cannot take off, refuses ``ioctl``, without which no camera gives a
  picture, and the start of any program.

It inherits what keeps the vision process off the network, and is kept off it where that process is
not, because its camera is a network stream.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import platform
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.daemon.isolation import install_filter, refuse_sockets

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

log = logging.getLogger(__name__)

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_NEWEST: Final = 3

# Rights on files, from linux/landlock.h; later interfaces know more of them.
_EXECUTE: Final = 1 << 0
_READ: Final = 1 << 2 | 1 << 3  # files and folders
_ALL: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}

# Classic BPF, as in `edge.daemon.isolation`.
_LOAD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000
_X32: Final = 0x40000000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """Numbers of the system calls on one processor family."""

    arch: int
    ioctl: int
    execve: int
    execveat: int


_MACHINES: Final = {
    "x86_64": _Machine(arch=0xC000003E, ioctl=16, execve=59, execveat=322),
    "aarch64": _Machine(arch=0xC00000B7, ioctl=29, execve=221, execveat=281),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """Which walls stand.

    Attributes:
        folders: Whether it can open files below its folders alone.
        calls: Whether ``ioctl``, sockets and the start of programs are refused.
    """

    folders: bool
    calls: bool


def confine(*, writes: Iterable[Path], reads: Iterable[Path]) -> Confinement:
    """Take the rest away from this process, as well as this kernel allows.

    Must be called while the process has a single thread, before it opens the outbox. For good.

    Args:
        writes: Folders below which it may do what it likes; those that are missing are left out.
        reads: Likewise for reading.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    folders = _restrict_files(libc, writes=writes, reads=reads)
    calls = refuse_sockets(local_sockets=False) and _refuse_calls()
    if not folders:
        log.warning("no Landlock here: the process that stores events can open other files")
    return Confinement(folders=folders, calls=calls)


def _restrict_files(libc: ctypes.CDLL, *, writes: Iterable[Path], reads: Iterable[Path]) -> bool:
    interface = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    if interface < 1:
        return False
    everything = _ALL[min(interface, _NEWEST)]
    handled = ctypes.create_string_buffer(struct.pack("=Q", everything), 8)
    rules = libc.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(8), 0)
    if rules < 0:
        return False
    try:
        for paths, rights in ((writes, everything & ~_EXECUTE), (reads, _READ)):
            for path in paths:
                if not _allow(libc, rules, path, rights):
                    return False
        return int(libc.syscall(_RESTRICT_SELF, rules, 0)) == 0
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> bool:
    try:
        folder = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, folder), 12)
        return int(libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0)) == 0
    finally:
        os.close(folder)


def _refuse_calls() -> bool:
    """Refuse some calls with EACCES, which Python takes for "this kind of file has none"."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    refused = (machine.ioctl, machine.execve, machine.execveat)
    last = 5 + len(refused)  # where calls are refused; they are allowed just before
    code = [
        (_LOAD, 0, 0, 4),  # the architecture, in struct seccomp_data
        (_JUMP_EQUAL, 0, last - 2, machine.arch),
        (_LOAD, 0, 0, 0),  # the number of the call
        (_JUMP_AT_LEAST, last - 4, 0, _X32),
    ]
    for number in refused:
        code.append((_JUMP_EQUAL, last - len(code) - 1, 0, number))
    code += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE | errno.EACCES)]
    return install_filter(b"".join(struct.pack("<HBBI", *one) for one in code))
