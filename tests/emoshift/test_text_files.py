"""Text files that people edit are read in whatever form their editor saves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoshift.text_files import decode_text, read_secret, read_text_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"), max_size=40))
def test_every_encoding_of_an_editor(encoding: str, text: str) -> None:
    """A byte order mark is no part of the text."""
    assert decode_text(text.encode(encoding)) == text


def test_another_encoding_is_named(tmp_path: Path) -> None:
    """The line says where, and what to do."""
    path = tmp_path / "edge.toml"
    path.write_bytes("# one\n# Schüler\n".encode("latin-1"))
    with pytest.raises(ValueError, match="line 2 is in another encoding than UTF-8; save"):
        read_text_file(path)


@pytest.mark.parametrize(
    ("data", "secret"),
    [
        (b"sesame", "sesame"),
        (b"sesame\n", "sesame"),
        (b"sesame\r\nsecond line\r\n", "sesame"),
        (b"\xef\xbb\xbfsesame\n", "sesame"),
        ("sesame\r\n".encode("utf-16"), "sesame"),
        ("Schl\u00fcssel\n".encode(), "Schl\u00fcssel"),
        (b" with spaces \n", " with spaces "),
    ],
)
def test_a_password_file(tmp_path: Path, data: bytes, secret: str) -> None:
    """The first line, without its end and without a mark."""
    path = tmp_path / "password"
    path.write_bytes(data)
    assert read_secret(path) == secret


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "first line is empty"),
        (b"\nsesame\n", "first line is empty"),
        ("Schl\u00fcssel\n".encode("latin-1"), "another encoding"),
        (b"\x00\x01\x02", "no text file"),
    ],
)
def test_a_bad_password_file(tmp_path: Path, data: bytes, said: str) -> None:
    """One line, which holds nothing of the password."""
    path = tmp_path / "password"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=said) as caught:
        read_secret(path)
    assert "Schl" not in str(caught.value)
