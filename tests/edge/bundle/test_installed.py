"""The library of bundles: atomic switches, a way back, and never a bad bundle in use."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from edge.bundle.installed import HISTORY_NAME, Library
from edge.commands.self_check import check_bundle
from emoshift.errors import BundleError, OutputError
from tests.support.handmade_bundle import cnn_member, lstm_member, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from edge.bundle.loader import Bundle


def accept(_: Bundle) -> None:
    """Find nothing wrong."""


def reject(bundle: Bundle) -> None:
    raise BundleError(f"{bundle.manifest.bundle_id}: does not work here")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "first", cnn_member())


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "second", cnn_member(), lstm_member())


def damage(folder: Path) -> None:
    model = next(folder.glob("*.tflite"))
    model.write_bytes(model.read_bytes()[:-1])


def in_use(library: Library) -> str:
    return library.load().manifest.bundle_id


def test_install_and_roll_back(library: Library, first: Path, second: Path) -> None:
    """The one before is one command away, and so is the way forward again."""
    a = library.install(first, check=accept)
    assert in_use(library) == a
    with pytest.raises(BundleError, match="no previous bundle"):
        library.rollback()
    b = library.install(second, check=accept)
    assert in_use(library) == b
    assert {i.bundle_id: i.role for i in library.list()} == {a: "previous", b: "current"}
    assert library.rollback() == a == in_use(library)
    assert library.rollback() == b == in_use(library)


def test_installing_twice_is_installing_once(library: Library, first: Path, second: Path) -> None:
    """The way back survives installing the current bundle again, which mends it if damaged."""
    a = library.install(first, check=accept)
    b = library.install(second, check=accept)
    damage(library.folder / b)
    assert library.install(second, check=accept) == b
    assert [i.problem for i in library.list()] == ["", ""]
    assert library.rollback() == a


def test_a_bundle_that_fails_its_check_is_not_used(
    library: Library, first: Path, second: Path
) -> None:
    """Neither an altered bundle nor one that does not run here replaces the one in use."""
    a = library.install(first, check=accept)
    with pytest.raises(BundleError, match="does not work here"):
        library.install(second, check=reject)
    damage(second)
    with pytest.raises(BundleError, match="truncated or altered"):
        library.install(second, check=accept)
    assert in_use(library) == a
    assert sorted(p.name for p in library.folder.iterdir()) == sorted(["current", HISTORY_NAME, a])


def test_a_bundle_damaged_later_is_left(
    library: Library, first: Path, second: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The device goes back by itself, and says so."""
    a = library.install(first, check=accept)
    b = library.install(second, check=accept)
    damage(library.folder / b)
    with caplog.at_level(logging.ERROR):
        assert in_use(library) == a
    assert "going back to the bundle before" in caplog.text
    assert [i.bundle_id for i in library.list() if i.problem] == [b]


@pytest.mark.parametrize("target", ["../../etc", "/etc", "none"])
def test_links_that_lead_elsewhere_are_ignored(library: Library, target: str) -> None:
    """Only folders of the library itself are ever loaded."""
    library.folder.mkdir()
    (library.folder / "current").symlink_to(target)
    assert library.current() is None


def test_a_library_that_cannot_be_written_is_reported(tmp_path: Path, first: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        Library(tmp_path / "file" / "models").install(first, check=accept)


def test_the_self_check_runs_the_bundle(library: Library, second: Path) -> None:
    """A bundle that tells images apart passes on this device."""
    library.install(second, check=check_bundle)


def test_the_self_check_refuses_a_bundle_that_says_nothing(
    tmp_path: Path, library: Library
) -> None:
    """Whatever it is shown, its answer is the same: it is not put to use."""
    dull = write_bundle(tmp_path / "dull", cnn_member(temperature=1e6))
    with pytest.raises(BundleError, match="says the same of every picture"):
        library.install(dull, check=check_bundle)
    assert library.current() is None
