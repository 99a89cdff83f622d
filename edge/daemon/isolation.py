"""Takes the network away from the process that sees pictures, and says what took it away.

Called first thing in a fresh process, before any other thread or library: nothing that runs later,
whatever it is, can open a network socket.

Two walls, and the strongest that stands is reported:

- ``namespace``: a network namespace of its own, with nothing in it. Nothing reaches out, whatever
  is tried. Some kernels refuse it to ordinary users.
- ``seccomp``: a filter the process cannot take off refuses every ``socket`` that is not AF_UNIX,
  and the calls that could get round it (``io_uring_setup``, ``setns``, calls of another
  architecture). Set in addition to the namespace where possible.
- ``none``: neither could be had, or the camera is a network stream.

Services of this machine could carry something out for it. So the filter also refuses to connect to
any socket and to listen on one, unless a camera needs that; and the namespace hides ``/run``, where
such sockets lie. Nothing that it holds in memory is written by the kernel when it dies, or read by
another process of the same user.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import platform
import re
import resource
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
_CLONE_NEWNS: Final = 0x00020000
_MS_NOSUID: Final = 0x2
_MS_NODEV: Final = 0x4
_MS_NOEXEC: Final = 0x8
_MS_BIND: Final = 0x1000
_MS_REC: Final = 0x4000
_MS_PRIVATE: Final = 0x40000
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
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
    connect: int
    listen: int
    io_uring_setup: int = 425


_MACHINES: Final = {
    "x86_64": _Machine(arch=0xC000003E, socket=41, setns=308, connect=42, listen=50),
    "aarch64": _Machine(arch=0xC00000B7, socket=198, setns=268, connect=203, listen=201),
}


def needs_network(source: str) -> bool:
    """Whether a camera source is a stream that comes over the network."""
    schemes = set(_SCHEME.findall(source.lower())) - {"file"}
    return bool(schemes) or _NETWORK_ELEMENT.search(source) is not None


def needs_local_sockets(source: str) -> bool:
    """Whether a camera is reached through a service of this machine, as on a Jetson."""
    return source.lower().startswith("gstreamer:")


def isolate(*, local_sockets: bool = False) -> Isolation:
    """Take the network away from this process and its children, as well as this kernel allows.

    Must be called while the process has a single thread.

    Args:
        local_sockets: Whether it may connect to other programs of this machine, for its camera.
    """
    apart = _is_already_apart() or _enter_namespace()
    filtered = refuse_sockets(local_sockets=local_sockets)
    if apart:
        return Isolation.NAMESPACE
    return Isolation.SECCOMP if filtered else Isolation.NONE


def seal_memory() -> None:
    """See to it that what this process holds is in no core dump and readable by no other process.

    Call after `isolate`: a user namespace is set up through files that this makes root's. It also
    ends ``ptrace`` by other processes of the same user.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warning("core dumps stay possible here (%s)", os.strerror(ctypes.get_errno()))


def die_with_parent(parent: int, signal_number: int) -> None:
    """Ask the kernel for a signal when the parent process dies, so that none is left alone.

    Call after `isolate`, which makes the kernel forget it.

    Args:
        parent: Process number of the parent, as it gave it itself.
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
    mounted = libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS) == 0
    if not mounted and libc.unshare(_CLONE_NEWNET) != 0:
        mounted = libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWNS) == 0
        if not mounted and libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            log.info("no network namespace here (%s)", os.strerror(ctypes.get_errno()))
            return False
        # Files keep belonging to whom they belong; without the maps we only look like nobody.
        with contextlib.suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")
    if mounted:
        _hide_run(libc)
    return _NAMESPACE.readlink() != before


def _hide_run(libc: ctypes.CDLL) -> None:
    """Lay an empty folder over ``/run``, where services of this machine listen.

    What a camera or a clip may need stays: device descriptions, mounted media, our own folders.
    """
    libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
    stays = [Path("/run/udev"), Path("/run/media")]
    own = os.environ.get("RUNTIME_DIRECTORY", "").split(":")
    stays += [Path(folder) for folder in own if folder.startswith("/run/")]
    held = {}
    for path in stays:
        with contextlib.suppress(OSError):
            held[path] = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    done = (
        libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) == 0
        and libc.mount(b"tmpfs", b"/run", b"tmpfs", flags, b"size=64k,mode=0755") == 0
    )
    if not done:
        log.info("/run stays visible (%s)", os.strerror(ctypes.get_errno()))
    for path, descriptor in held.items():
        if done:
            with contextlib.suppress(OSError):
                path.mkdir(parents=True)
            source = f"/proc/self/fd/{descriptor}".encode()
            libc.mount(source, str(path).encode(), None, _MS_BIND | _MS_REC, None)
        os.close(descriptor)


def refuse_sockets(*, local_sockets: bool) -> bool:
    """Install the filter, if this kernel takes it.

    It cannot be removed, and holds for every thread and child.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    return install_filter(socket_filter(machine, local_sockets=local_sockets))


def install_filter(program: bytes) -> bool:
    """Install a seccomp filter, given as classic BPF, for good; whether this kernel takes it."""
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


def socket_filter(machine: _Machine, *, local_sockets: bool) -> bytes:
    """Return the filter as classic BPF, eight bytes an instruction."""
    refused = [machine.io_uring_setup, machine.setns]
    if not local_sockets:
        refused += [machine.connect, machine.listen]
    last = 7 + len(refused) + 1  # where calls are refused; they are allowed just before
    code = [
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 0, last - 2, machine.arch),  # calls of another architecture
        (_LOAD, 0, 0, _NR),
        (_JUMP_AT_LEAST, last - 4, 0, _X32),  # the x32 calls have numbers of their own
    ]
    for number in refused:
        code.append((_JUMP_EQUAL, last - len(code) - 1, 0, number))
    code += [
        (_JUMP_EQUAL, 0, 2, machine.socket),  # anything else: allow
        (_LOAD, 0, 0, _FIRST_ARG),
        (_JUMP_EQUAL, 0, 1, int(socket.AF_UNIX)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
