"""The chart library: known by its hash, served from here, and missed without harm."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from dashboard import charts
from dashboard.config import load_config
from dashboard.store.database import open_store
from dashboard.web.app import make_app
from emoshift.errors import UnavailableError


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A browser before the sign-in, and an empty cache."""
    monkeypatch.setenv("EMOSHIFT_CACHE", str(tmp_path))
    monkeypatch.delenv("EMOSHIFT_ASSETS", raising=False)
    engine = open_store(str(tmp_path / "history.db"))
    config = load_config(None, history={"database": str(tmp_path / "history.db")})
    yield TestClient(make_app(config, engine))
    engine.dispose()


def test_a_missing_library_is_reported(client):
    """Without it the address answers with the command that mends it."""
    answer = client.get("/charts.js")
    assert answer.status_code == 404
    assert "edge-dashboard fetch" in answer.text


def test_another_library_is_none(client, tmp_path):
    """A file with other bytes is never served."""
    folder = tmp_path / "dashboard"
    folder.mkdir()
    (folder / charts.CHARTS.name).write_bytes(b"x" * charts.CHARTS.size_bytes)
    assert charts.find_charts() is None
    assert client.get("/charts.js").status_code == 404


def test_the_released_library_is_served(client):
    """What was fetched has the released bytes, and is found again."""
    try:
        path = charts.fetch_charts()
    except UnavailableError as why:
        pytest.skip(str(why))
    assert charts.find_charts() == path
    answer = client.get("/charts.js")
    assert answer.status_code == 200
    assert len(answer.content) == charts.CHARTS.size_bytes
    assert answer.headers["content-type"].startswith("text/javascript")
