"""The process that sees pictures has no network; the one that has the network sees no pictures."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edge.daemon.isolation import needs_network

PROBE = """
import json, socket, sys, threading
from pathlib import Path
from edge.daemon import isolation
if sys.argv[1] == "seccomp":  # as on a kernel that refuses namespaces
    isolation._enter_namespace = lambda: False
if sys.argv[1] == "user":
    import os
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
holds = isolation.isolate()

def attempt(work):
    try:
        work()
    except OSError as why:
        return why.errno
    return "reached"

def tcp(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        sock.connect(address)

def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("192.0.2.1", 9))

def udp6():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("2001:db8::1", 9))

def packet():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))

def netlink():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.bind((0, 0))
        names = {name for _, name in socket.if_nameindex()}
        if names <= {"lo"}:
            raise OSError(101, "only loopback to be seen")

def lookup():
    socket.getaddrinfo("localhost", 80, family=socket.AF_INET)
    tcp(socket.AF_INET, ("127.0.0.1", int(sys.argv[2])))

def neighbour():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(sys.argv[4])

def listen():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(sys.argv[3] + ".listens")
        sock.listen()

def unix():
    a, b = socket.socketpair()
    a.close(), b.close()
    socket.socket(socket.AF_UNIX).close()

import ctypes, os
def back():
    fd = os.open(f"/proc/{os.getppid()}/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(fd, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")

def uring():
    number = ctypes.CDLL(None, use_errno=True).syscall(425, 8, ctypes.create_string_buffer(240))
    if number < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")

found = {}
attempts = {
    "tcp": lambda: tcp(socket.AF_INET, ("127.0.0.1", int(sys.argv[2]))),
    "tcp6": lambda: tcp(socket.AF_INET6, ("::1", int(sys.argv[2]))),
    "udp": udp, "udp6": udp6, "packet": packet, "netlink": netlink, "lookup": lookup,
    "back": back, "uring": uring, "neighbour": neighbour, "listen": listen,
}
thread = threading.Thread(
    target=lambda: found.update({name: attempt(work) for name, work in attempts.items()})
)
thread.start(); thread.join()
found["unix"] = attempt(unix)
Path(sys.argv[3]).write_text("files still work")
print(json.dumps({"holds": holds.value, "found": found}))
"""


def probe(way: str, port: int, file: str, neighbour: str) -> dict[str, dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, way, str(port), file, neighbour],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    result: dict[str, dict[str, object]] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    "way",
    [
        "best",
        "seccomp",
        pytest.param(
            "user", marks=pytest.mark.skipif(os.geteuid() != 0, reason="drops root's rights")
        ),
    ],
)
def test_no_socket_reaches_out(way: str) -> None:
    """From inside: no TCP, UDP, packet or netlink socket reaches anything; files and pipes do."""
    if platform.machine() not in {"x86_64", "aarch64"}:
        pytest.skip("the filter is written for x86-64 and aarch64")
    file = Path(tempfile.mkdtemp()) / "file"  # where another user reaches it, too
    file.parent.chmod(0o777)
    neighbour = f"{file}.socket"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as service,
    ):
        service.bind(neighbour)
        Path(neighbour).chmod(0o777)
        service.listen()
        result = probe(way, server.getsockname()[1], str(file), neighbour)
        for one in (server, service):
            one.setblocking(False)
            with pytest.raises(BlockingIOError):
                one.accept()
    if result["holds"] == "none":
        pytest.skip("this kernel allows neither a namespace nor a filter")
    found = dict(result["found"])
    assert found.pop("unix") == "reached"
    assert {name for name, outcome in found.items() if outcome == "reached"} == set()
    assert file.read_text() == "files still work"
    shutil.rmtree(file.parent)
    if way == "seccomp":
        assert result["holds"] == "seccomp"


NAMES = """
import socket, sys
if sys.argv[1] == "isolated":
    from edge.daemon.isolation import isolate
    isolate()
try:
    socket.getaddrinfo("camera.school.example", 80)
except OSError as why:
    print(why)
"""


def accept_pid(service: socket.socket) -> int:
    """Take the next caller and hang up; the number of its process."""
    with service.accept()[0] as caller:
        who = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(who[:4], sys.byteorder)


@pytest.mark.skipif(os.geteuid() != 0, reason="puts a service where nscd listens")
@pytest.mark.parametrize("way", ["isolated", "free"])
def test_no_name_leaves_through_nscd(way: str) -> None:
    """A name that is looked up does not reach the name service cache; without isolation it does."""
    folder = Path("/run/nscd")
    if folder.exists():
        pytest.skip("nscd is installed here")
    folder.mkdir(mode=0o755)
    try:
        with socket.socket(socket.AF_UNIX) as service:
            service.bind(str(folder / "socket"))
            service.listen()
            service.settimeout(20)
            asker = subprocess.Popen([sys.executable, "-c", NAMES, way])
            try:
                if way == "free":
                    while accept_pid(service) != asker.pid:  # glibc asks it first
                        pass
                asker.wait(timeout=60)
                service.setblocking(False)
                if way == "isolated":
                    with contextlib.suppress(BlockingIOError):
                        while True:  # others on this machine may ask for names meanwhile
                            assert accept_pid(service) != asker.pid
            finally:
                asker.kill()
                asker.wait()
    finally:
        shutil.rmtree(folder)


SEALED = """
import os, signal, sys
import ctypes, resource
from edge.daemon.isolation import seal_memory
if os.geteuid() == 0 and sys.argv[3] == "wait":
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # a process that has changed its user is sealed
if sys.argv[1] == "sealed":
    seal_memory()
else:
    resource.setrlimit(resource.RLIMIT_CORE, [resource.getrlimit(resource.RLIMIT_CORE)[1]] * 2)
held = b"".join([b"a picture: "] * 100_000)
os.chdir(sys.argv[2])
print("ready", flush=True)
if sys.argv[3] == "abort":
    os.abort()
signal.pause()
"""


@pytest.mark.parametrize("way", ["sealed", "open"])
def test_an_abort_leaves_no_picture(tmp_path: Path, way: str) -> None:
    """The watchdog's abort writes nothing of the memory; without the seal the kernel does."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii").strip()
    if way == "open" and (os.geteuid() != 0 or pattern.startswith(("|", "/"))):
        pytest.skip(f"cores go to {pattern} here")
    done = subprocess.run(
        [sys.executable, "-c", SEALED, way, str(tmp_path), "abort"],
        check=False,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == -6
    dumps = [file for file in tmp_path.iterdir() if b"a picture: " in file.read_bytes()]
    assert bool(dumps) is (way == "open")


@pytest.mark.parametrize("way", ["sealed", "open"])
def test_no_other_process_of_the_user_reads_memory(way: str) -> None:
    """A process of the same user opens the memory of an ordinary one, and not of the sealed one."""
    reader = """
import os, sys
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
open(f"/proc/{sys.argv[1]}/mem", "rb").close()
"""
    with subprocess.Popen(
        [sys.executable, "-c", SEALED, way, "/", "wait"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        done = subprocess.run(
            [sys.executable, "-c", reader, str(process.pid)],
            check=False,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
        process.kill()
    if way == "open" and done.returncode:
        pytest.skip("this kernel lets no process read another's memory")
    assert (done.returncode == 0) is (way == "open")


def test_the_probe_reaches_out_without_isolation(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The same attempts succeed where nothing holds them, so the test above means something."""
    code = PROBE.replace("isolation.isolate()", "isolation.Isolation.NONE")
    file = tmp_path_factory.mktemp("open") / "file"
    neighbour = f"{file}.socket"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as service,
    ):
        service.bind(neighbour)
        service.listen()
        port = str(server.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-c", code, "best", port, str(file), neighbour],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    found = json.loads(done.stdout)["found"]
    assert {found[name] for name in ("tcp", "neighbour", "listen")} == {"reached"}


@pytest.mark.parametrize(
    ("source", "needs"),
    [
        ("0", False),
        ("/dev/video2", False),
        ("lesson.mp4", False),
        ("picamera2:0", False),
        ("gstreamer:nvarguscamerasrc ! appsink", False),
        ("gstreamer:rtspsrc location=rtsp://camera/1 ! appsink", True),
        ("gstreamer:udpsrc port=5000 ! rtpjpegdepay ! jpegdec", True),
        ("gstreamer:uridecodebin uri=file:///lesson.mp4", False),
        ("file:///lesson.mp4", False),
        ("srt://camera:9000", True),
        ("rtsp://camera/1", True),
        ("RTSP://camera/1", True),
    ],
)
def test_which_sources_need_the_network(source: str, needs: bool) -> None:
    """Only a stream over the network keeps the network open, and that is reported."""
    assert needs_network(source) is needs


def imported(module: str) -> set[str]:
    """Everything that importing a module brings in, in a fresh interpreter."""
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_publisher_knows_no_camera() -> None:
    """Nothing the publisher imports can open a camera or look at a picture."""
    demand_no_camera(imported("edge.publish.publisher, edge.daemon.watchdog"))


def test_what_serves_the_page_of_aim_knows_no_camera() -> None:
    """Nor can anything that ``edge aim`` draws and serves with."""
    demand_no_camera(imported("edge.commands.aim, edge.aim.page, edge.aim.screen"))


def demand_no_camera(modules: set[str]) -> None:
    forbidden = {"cv2", "mediapipe", "picamera2", "ai_edge_litert", "tflite_runtime"}
    assert modules & forbidden == set()
    ours = {name for name in modules if name.startswith("edge.")}
    assert not {n for n in ours if n.startswith(("edge.faces", "edge.classifier", "edge.features"))}
    assert {n for n in ours if n.startswith("edge.capture")} <= {
        "edge.capture",
        "edge.capture.protocol",
    }


def test_nothing_is_loaded_before_the_network_is_gone() -> None:
    """What runs before `isolate` is the standard library: no thread, no foreign code."""
    modules = imported("edge.daemon.process")
    assert not modules & {"numpy", "pydantic", "cv2", "edge.config", "edge.values"}
    ours = {name for name in modules if name.startswith(("edge.", "emoshift."))}
    assert ours == {
        "edge.daemon",
        "edge.daemon.process",
        "edge.daemon.isolation",
        "emoshift.credentials",
        "emoshift.errors",
        "emoshift.logs",
        "emoshift.restarts",
        "emoshift.text_files",
        "emoshift.systemd",
        "emoshift.toml",
    }


def test_nothing_is_loaded_before_the_network_is_gone_from_aim() -> None:
    """The process with the camera of ``edge aim`` begins with the standard library likewise."""
    modules = imported("edge.aim.vision")
    assert not modules & {"numpy", "pydantic", "cv2", "av", "edge.config", "edge.values"}


def test_the_vision_half_knows_no_broker() -> None:
    """Nothing the vision process imports speaks MQTT."""
    modules = imported("edge.daemon.vision, edge.daemon.watchdog")
    assert "paho" not in modules
    assert not {name for name in modules if name.startswith("edge.publish")}


def test_the_vision_half_gets_no_secret() -> None:
    """The configuration handed to the vision process holds nothing of the broker's secrets."""
    from edge.config import parse_config
    from edge.daemon.supervisor import config_json

    config = parse_config(
        {"mqtt": {"username": "school", "password": "the-secret-word"}}, where="test"
    )
    assert "the-secret-word" not in config_json(config, secrets=False)
    assert "the-secret-word" in config_json(config, secrets=True)
    assert "the-secret-word" not in repr(config)


def test_files_keep_their_owner(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the isolated process writes belongs to the user who started it."""
    file = tmp_path_factory.mktemp("owner") / "file"
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe("best", server.getsockname()[1], str(file), "/nowhere")
    assert file.stat().st_uid == os.geteuid()
