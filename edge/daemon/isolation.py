"""Takes the network away from the process that sees pictures, and says what took it away.

Called first thing in a fresh process, before any other thread or library: nothing that runs later,
whatever it is, can open a network socket.

Two walls, and the strongest that stands is told:

- ``namespace``: a network namespace of its own, with nothing in it. Nothing reaches out, whatever
  is tried. Some kernels refuse it to ordinary users.
- ``seccomp``: a filter the process cannot take off refuses every ``socket`` that is not AF_UNIX,
  and the calls that could get round it (``io_uring_setup``, ``setns``, calls of another
  architecture). Set in addition to the namespace where possible.
- ``none``: neither could be had, or the camera is a network stream.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import platform
import re
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://")
_NETWORK_ELEMENT: Final = re.compile(r"\b(?:udp|tcpclient|tcpserver)src\b")

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2

# Classic BPF, from linux/filter.h and linux/seccomp.h.
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000  # SECCOMP_RET_ERRNO
_NR, _ARCH, _FIRST_ARG = 0, 4, 16  # offsets in struct seccomp_data, little endian
_X32: Final = 0x40000000

PRIVATE_NETWORK: Final = "EMOSHIFT_PRIVATE_NETWORK"
"""Set by a service manager that has already taken the network away."""

_NAMESPACE: Final = Path("/proc/self/ns/net")


class Isolation(StrEnum):
    """What keeps a process off the network."""

    NAMESPACE = "namespace"
    SECCOMP = "seccomp"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """Numbers of the system calls on one processor family."""

    arch: int
    socket: int
    setns: int
    io_uring_setup: int


_MACHINES: Final = {
    "x86_64": _Machine(arch=0xC000003E, socket=41, setns=308, io_uring_setup=425),
    "aarch64": _Machine(arch=0xC00000B7, socket=198, setns=268, io_uring_setup=425),
}


def needs_network(source: str) -> bool:
    """Whether a camera source is a stream that comes over the network."""
    schemes = set(_SCHEME.findall(source.lower())) - {"file"}
    return bool(schemes) or _NETWORK_ELEMENT.search(source) is not None


def isolate() -> Isolation:
    """Take the network away from this process and its children, as well as this kernel allows.

    Must be called while the process has a single thread.
    """
    apart = _is_already_apart() or _enter_namespace()
    filtered = _refuse_sockets()
    if apart:
        return Isolation.NAMESPACE
    return Isolation.SECCOMP if filtered else Isolation.NONE


def die_with_parent(parent: int, signal_number: int) -> None:
    """Ask the kernel for a signal when the parent process dies, so that none is left alone.

    Call after `isolate`, which makes the kernel forget it.

    Args:
        parent: Process number of the parent, as it told us itself.
        signal_number: Sent at once if it is already gone.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal_number)


def _is_already_apart() -> bool:
    """Whether systemd has given us an empty network (``PrivateNetwork=``); seen, not believed."""
    if os.environ.get(PRIVATE_NETWORK) != "1":
        return False
    try:
        lines = Path("/proc/self/net/dev").read_text(encoding="ascii").splitlines()[2:]
    except OSError:
        return False
    return {line.partition(":")[0].strip() for line in lines} <= {"lo"}


def _enter_namespace() -> bool:
    """Move into a network namespace of its own: as root directly, else within a user namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid, before = os.geteuid(), os.getegid(), _NAMESPACE.readlink()
    if libc.unshare(_CLONE_NEWNET) != 0:
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            log.info("no network namespace here (%s)", os.strerror(ctypes.get_errno()))
            return False
        # Files keep belonging to whom they belong; without the maps we only look like nobody.
        with contextlib.suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")
    return _NAMESPACE.readlink() != before


def _refuse_sockets() -> bool:
    """Install the filter; it cannot be removed and holds for every thread and child."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    program = socket_filter(machine)
    count = len(program) // 8
    code = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(
        struct.pack("@HP", count, ctypes.addressof(code))
    )  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(head), 0, 0) != 0:
        log.info("no seccomp filter here (%s)", os.strerror(ctypes.get_errno()))
        return False
    return True


def socket_filter(machine: _Machine) -> bytes:
    """Return the filter as classic BPF, eight bytes an instruction."""
    refuse = _REFUSE | errno.EPERM
    code = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 0, 8, machine.arch),  # calls of another architecture: refuse
        (_LOAD, 0, 0, _NR),
        (_JUMP_AT_LEAST, 6, 0, _X32),  # the x32 calls have numbers of their own: refuse
        (_JUMP_EQUAL, 5, 0, machine.io_uring_setup),
        (_JUMP_EQUAL, 4, 0, machine.setns),
        (_JUMP_EQUAL, 0, 2, machine.socket),  # anything else: allow
        (_LOAD, 0, 0, _FIRST_ARG),
        (_JUMP_EQUAL, 0, 1, int(socket.AF_UNIX)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, refuse),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
