"""No password of an address is shown, whatever the scheme and wherever it stands."""

from __future__ import annotations

import io
import logging
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoshift.credentials import mask_credentials
from emoshift.logs import SafeFormatter


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:S3cret@10.0.0.5:554/ch0", "rtsp://***@10.0.0.5:554/ch0"),
        ("RTSPS://admin:S3cret@cam/1", "RTSPS://***@cam/1"),
        ("http://admin@cam/video", "http://***@cam/video"),
        ("mqtt+ssl://u:p@broker", "mqtt+ssl://***@broker"),
        ("rtsp://admin:p@ss/w0rd@cam/1", "rtsp://***@cam/1"),
        ("http://cam/?user=a&password=S3cret&size=2", "http://cam/?user=a&password=***&size=2"),
        ("http://cam/cgi?pwd=S3cret", "http://cam/cgi?pwd=***"),
        ("rtspsrc user-id=a user-pw=S3cret ! x", "rtspsrc user-id=a user-pw=*** ! x"),
        ('rtspsrc location="rtsp://a:b@cam" ! x', 'rtspsrc location="rtsp://***@cam" ! x'),
        ("camera lost: rtsp://a:b@cam/1: refused; rtsp://c:d@cam/2",
         "camera lost: rtsp://***@cam/1: refused; rtsp://***@cam/2"),
        ("/dev/video0: no such device", "/dev/video0: no such device"),
        ("teacher@school.example", "teacher@school.example"),
        ("http://cam/video", "http://cam/video"),
    ],
)  # fmt: skip
def test_masking(text: str, shown: str) -> None:
    """User and password go, the rest stays readable."""
    assert mask_credentials(text) == shown


WORDS = st.text(string.ascii_letters + string.digits + "!$&()*+,;=:@/?-._~%#", min_size=4)


@given(
    scheme=st.from_regex(r"[a-z][a-z0-9+.-]{0,8}", fullmatch=True),
    user=st.text(string.ascii_lowercase, min_size=1),
    password=WORDS,
)
def test_no_password_survives(scheme: str, user: str, password: str) -> None:
    """Whatever stands before the last "@" of an address is gone."""
    shown = mask_credentials(f"{scheme}://{user}:{password}QQQ@host/path: refused")
    assert "QQQ" not in shown
    assert shown.startswith(f"{scheme}://***@host/path")


def test_no_log_shows_a_password() -> None:
    """The log masks whatever a library or a message of ours puts into it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(SafeFormatter("%(levelname)s %(message)s"))
    record = logging.LogRecord(
        "camera", logging.WARNING, "", 0, "lost: %s", ("rtsp://admin:S3cret@cam/1",), None
    )
    handler.handle(record)
    assert stream.getvalue() == "WARNING lost: rtsp://***@cam/1\n"
