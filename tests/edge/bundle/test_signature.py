"""A bundle is used when a key that this device trusts has signed it, and not parsed before."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.bundle.installed import Library, configured_bundle
from edge.bundle.loader import default_bundle_path, load_bundle
from edge.bundle.manifest import MANIFEST_NAME
from edge.bundle.signature import SIGNATURE_NAME
from edge.cli import main
from edge.config import Models
from emoshift.errors import BundleError
from tests.support.handmade_bundle import cnn_member, write_bundle


def public_pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.fixture
def key() -> Ed25519PrivateKey:
    """The maker's key."""
    return Ed25519PrivateKey.generate()


@pytest.fixture
def keys(tmp_path: Path, key: Ed25519PrivateKey) -> Path:
    """The device's folder of trusted keys, with the maker's."""
    folder = tmp_path / "trusted-keys"
    folder.mkdir()
    (folder / "maker.pem").write_bytes(public_pem(key))
    return folder


@pytest.fixture
def bundle(tmp_path: Path, key: Ed25519PrivateKey) -> Path:
    """A bundle that the maker has signed."""
    folder = write_bundle(tmp_path / "bundle", cnn_member())
    sign(folder, key)
    return folder


def sign(folder: Path, key: Ed25519PrivateKey) -> None:
    content = (folder / MANIFEST_NAME).read_bytes()
    (folder / SIGNATURE_NAME).write_bytes(key.sign(content))


def test_a_signed_bundle_is_used(bundle: Path, keys: Path) -> None:
    """With the maker's key among the trusted ones, it loads."""
    assert load_bundle(bundle, keys=keys).manifest.name == "handmade"


@pytest.mark.parametrize(
    ("story", "said"),
    [
        pytest.param("unsigned", "not signed", id="unsigned"),
        pytest.param("stranger", "not trusted", id="a stranger's"),
        pytest.param("altered", "altered", id="altered"),
        pytest.param("short", "expected 64", id="cut short"),
        pytest.param("nonsense", "not trusted", id="no manifest at all"),
    ],
)
def test_what_no_trusted_key_signed_is_not_parsed(
    bundle: Path, keys: Path, story: str, said: str
) -> None:
    """Without a good signature the contents do not matter: the line is about the signature."""
    manifest, signature = bundle / MANIFEST_NAME, bundle / SIGNATURE_NAME
    match story:
        case "unsigned":
            signature.unlink()
        case "stranger":
            sign(bundle, Ed25519PrivateKey.generate())
        case "altered":
            manifest.write_bytes(manifest.read_bytes() + b" ")
        case "short":
            signature.write_bytes(b"x" * 10)
        case "nonsense":
            manifest.write_bytes(b"{" * 1000)
    with pytest.raises(BundleError, match=said):
        load_bundle(bundle, keys=keys)


@pytest.mark.parametrize("content", [b"", b"nonsense", None], ids=["empty", "nonsense", "X25519"])
def test_a_key_that_is_none(bundle: Path, keys: Path, content: bytes | None) -> None:
    """A file among the trusted keys that is no Ed25519 key is named, with what to do."""
    file = keys / "a.pem"
    file.write_bytes(public_pem(X25519PrivateKey.generate()) if content is None else content)
    with pytest.raises(BundleError, match=r"a\.pem.*remove it"):
        load_bundle(bundle, keys=keys)


def test_the_library_keeps_signatures(tmp_path: Path, bundle: Path, keys: Path) -> None:
    """An installed bundle is checked again at each start; one altered there is left."""
    library = Library(tmp_path / "library", keys=keys)
    name = library.install(bundle, check=lambda _: None)
    models = Models(library=library.folder, trusted_keys=keys)
    assert configured_bundle(models).manifest.bundle_id == name
    manifest = library.folder / name / MANIFEST_NAME
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert configured_bundle(models).manifest.bundle_id != name  # the package's own instead
    assert "altered" in library.list()[0].problem


def test_a_bundle_named_by_its_folder(bundle: Path, tmp_path: Path) -> None:
    """``models.bundle`` is held to the same rule, unless unsigned ones are allowed."""
    none = tmp_path / "none"
    with pytest.raises(BundleError, match=r"models\.allow_unsigned"):
        configured_bundle(Models(bundle=str(bundle), trusted_keys=none))
    allowed = Models(bundle=str(bundle), trusted_keys=none, allow_unsigned=True)
    assert configured_bundle(allowed).manifest.name == "handmade"


def test_installing_needs_a_signature_or_a_flag(tmp_path: Path, bundle: Path) -> None:
    """``edge models install`` refuses what nobody trusted signed, in one line."""
    config = tmp_path / "edge.toml"
    lines = f"library = '{tmp_path}/library'\ntrusted_keys = '{tmp_path}/none'\n"
    config.write_text(f"[models]\n{lines}", encoding="utf-8")
    done = CliRunner().invoke(main, ["models", "install", str(bundle), "--config", str(config)])
    assert done.exit_code == 66
    assert "not trusted" in done.output


def test_the_shipped_bundle_is_signed() -> None:
    """The package's own bundle has the signature of the package's own key."""
    load_bundle(default_bundle_path(), keys=Path("/nowhere"))


def test_openssl_signs(tmp_path: Path, bundle: Path) -> None:
    """What the documentation says works: keys and signatures by openssl alone."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    keys = tmp_path / "keys"
    keys.mkdir()
    private, public = str(tmp_path / "key.pem"), str(keys / "school.pem")
    for arguments in (
        ["genpkey", "-algorithm", "ed25519", "-out", private],
        ["pkey", "-in", private, "-pubout", "-out", public],
        ["pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", str(bundle / MANIFEST_NAME),
         "-out", str(bundle / SIGNATURE_NAME)],
    ):  # fmt: skip
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
    assert load_bundle(bundle, keys=keys).manifest.name == "handmade"
