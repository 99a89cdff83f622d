"""A site layer over a bundle: signed by this device, taken back in one step, never forged."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from edge.bundle.installed import Library
from edge.bundle.loader import default_bundle_path, read_manifest
from edge.bundle.site_key import PRIVATE_NAME, PUBLIC_NAME, sign_layer
from edge.bundle.site_layer import LAYER_NAME, Correction, SiteLayer, Tally, read_layer
from emoshift.errors import BundleError, OutputError
from tests.support.handmade_bundle import cnn_member, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from edge.bundle.loader import Bundle

NOTHING = Tally(shown=4, found=3, false=1, quiet_s=40.0, quiet_false=1)


def accept(_: Bundle) -> None:
    """Find nothing wrong."""


def layer_over(bundle_id: str, *, margins: float = 1.25) -> SiteLayer:
    return SiteLayer(
        bundle_id=bundle_id,
        made=datetime(2026, 11, 26, tzinfo=UTC),
        correction=Correction(margins=margins),
        seconds=118.0,
        before=NOTHING,
        after=NOTHING,
        software="test",
    ).named()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "site-key"


@pytest.fixture
def library(tmp_path: Path, key: Path) -> Library:
    return Library(tmp_path / "library", site_key=key)


def put(library: Library, key: Path, layer: SiteLayer) -> str:
    return library.install_layer(layer, sign_layer(key, layer.to_json()))


def test_install_and_roll_back_over_the_packages_own(library: Library, key: Path) -> None:
    """One command takes a layer back, and once more brings it again."""
    own = read_manifest(default_bundle_path()).bundle_id
    layer = layer_over(own)
    name = put(library, key, layer)
    assert name == f"{own}+{layer.layer_id}" == library.load().name
    assert library.load().layer == layer
    assert library.rollback() == own == library.load().name
    assert library.load().layer is None
    assert library.rollback() == name == library.load().name
    assert [use.name for use in library.history()] == [name, own, name]


def test_a_layer_over_an_installed_bundle(library: Library, key: Path, tmp_path: Path) -> None:
    """It goes with the bundle, and a new bundle comes without it."""
    first = library.install(write_bundle(tmp_path / "a", cnn_member()), check=accept)
    name = put(library, key, layer_over(first))
    assert library.load().name == name
    assert {i.bundle_id: i.role for i in library.list()} == {first: "", name: "current"} | {
        first: "previous"
    }
    second = library.install(
        write_bundle(tmp_path / "b", cnn_member(), licence="another"), check=accept
    )
    assert library.load().name == second
    assert library.rollback() == name


def test_a_layer_for_another_bundle_is_refused(library: Library, key: Path) -> None:
    with pytest.raises(BundleError, match="which is not here any more; calibrate again"):
        put(library, key, layer_over("gone-0123456789ab"))
    assert library.current() is None


def test_nobody_else_signs(library: Library, key: Path, tmp_path: Path) -> None:
    """Neither no signature, nor one of another device, nor one of other bytes."""
    own = read_manifest(default_bundle_path()).bundle_id
    layer = layer_over(own)
    with pytest.raises(BundleError, match="not signed by this device"):
        library.install_layer(layer, None)
    with pytest.raises(BundleError, match="this device has no key"):
        library.install_layer(layer, sign_layer(tmp_path / "other", layer.to_json()))
    sign_layer(key, b"")
    with pytest.raises(BundleError, match="made by another device"):
        library.install_layer(layer, sign_layer(tmp_path / "other", layer.to_json()))
    with pytest.raises(BundleError, match="altered"):
        library.install_layer(layer, sign_layer(key, layer_over(own, margins=1.1).to_json()))
    assert library.current() is None


@pytest.mark.parametrize("target", [LAYER_NAME, "manifest.sig"])
def test_a_layer_that_was_altered_is_left(
    library: Library, key: Path, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The device goes back to the bundle alone, and says so."""
    own = read_manifest(default_bundle_path()).bundle_id
    layer = layer_over(own)
    put(library, key, layer)
    path = library.folder / layer.layer_id / target
    path.write_bytes(path.read_bytes().replace(b"1.25", b"1.15")[::-1])
    with caplog.at_level(logging.ERROR):
        assert library.load().name == own
    assert "calibrate again" in caplog.text


def test_the_private_half_is_for_its_owner_alone(key: Path) -> None:
    """The services, which run as another user, can check and not sign."""
    sign_layer(key, b"x")
    assert (key / PRIVATE_NAME).stat().st_mode & 0o777 == 0o600
    assert (key / PUBLIC_NAME).stat().st_mode & 0o777 == 0o644


def test_a_key_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="calibrate as root"):
        sign_layer(tmp_path / "file" / "key", b"x")


def test_a_layer_says_what_it_is() -> None:
    """The id is that of the contents; another number is another id, or altered."""
    layer = layer_over("bundle-0123456789ab")
    assert read_layer(layer.to_json(), "here") == layer
    data = json.loads(layer.to_json())
    data["correction"]["margins"] = 1.2
    with pytest.raises(BundleError, match="altered"):
        read_layer(json.dumps(data).encode(), "here")
    data["correction"]["margins"] = 9.0
    with pytest.raises(BundleError, match=r"correction\.margins"):
        read_layer(json.dumps(data).encode(), "here")
    for text in (b"", b"{", b"[]", b"\xff"):
        with pytest.raises(BundleError, match="calibrate again"):
            read_layer(text, "here")
