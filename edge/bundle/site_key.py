"""The device's own key: it signs site layers, and nothing else is believed because of it.

The private half is root's, as the technician who calibrates is; the services run as another user
and cannot sign. Site layers hold a dozen bounded numbers, so whoever gets hold of the key can lean
on a bundle, but neither bring networks of his own nor overrule a sure one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from edge.bundle.signature import SIGNATURE_BYTES, is_signed_by
from emoshift.errors import BundleError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE_NAME: Final = "private.pem"
PUBLIC_NAME: Final = "public.pem"


def sign_layer(folder: Path, content: bytes) -> bytes:
    """Sign a layer; the first time, the key is made.

    Args:
        folder: Of the key.
        content: The bytes of ``site.json``.

    Returns:
        64 bytes.

    Raises:
        OutputError: The key cannot be read or made: usually, this is not root.
        BundleError: What lies there is no Ed25519 key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = folder / PRIVATE_NAME
    try:
        if not path.exists():
            _make_key(folder)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as why:
        raise OutputError(
            f"{path}: {why.strerror}; calibrate as root: sudo edge calibrate"
        ) from why
    except (ValueError, TypeError) as why:
        raise BundleError(f"{path}: no private key in PEM form: {why}; remove it") from why
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"{path}: found another kind of key, expected Ed25519; remove it")
    return key.sign(content)


def check_layer_signature(where: Path, content: bytes, signature: bytes | None, key: Path) -> None:
    """See that this device signed a layer.

    Args:
        where: The layer, for messages.
        content: The very bytes that will be parsed.
        signature: ``None`` without one.
        key: Folder of the device's key.

    Raises:
        BundleError: It did not.
    """
    hint = "calibrate again: sudo edge calibrate"
    public = key / PUBLIC_NAME
    if signature is None:
        raise BundleError(f"{where}: not signed by this device; {hint}")
    if not public.exists():
        raise BundleError(f"{where}: this device has no key ({public}); {hint}")
    if len(signature) != SIGNATURE_BYTES or not is_signed_by(public, content, signature):
        raise BundleError(f"{where}: altered, or made by another device; {hint}")


def _make_key(folder: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    folder.mkdir(parents=True, exist_ok=True)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    _write(folder / PUBLIC_NAME, public, 0o644)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(folder / PRIVATE_NAME, private, 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a whole file or none, never readable by more than ``mode`` says."""
    part = path.with_suffix(".new")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    part.replace(path)
