"""Who made a bundle: an Ed25519 signature over its manifest, by a key that this device trusts.

``manifest.sig`` holds the 64 bytes of the signature as ``openssl pkeyutl -sign -rawin`` writes
them; the manifest names the sha256 of every other file. Trusted public keys are PEM files, one
each, in a folder that root alone may write. Nothing of a bundle is parsed before its signature is
found good.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from emoshift.errors import BundleError

SIGNATURE_NAME: Final = "manifest.sig"
PACKAGE_KEYS: Final = Path(__file__).parent / "trusted-keys"
"""Keys of this package's own releases."""

SIGNATURE_BYTES: Final = 64
_MOST_KEY_BYTES: Final = 4096


def check_signature(folder: Path, manifest: bytes, signature: bytes | None, keys: Path) -> str:
    """See that a trusted key signed a manifest.

    Args:
        folder: The bundle, for messages.
        manifest: The very bytes that will be parsed.
        signature: The bytes of its signature; ``None`` without one.
        keys: Folder of trusted keys, beside those of the package.

    Returns:
        The name of the key.

    Raises:
        BundleError: There is no signature, or none of the keys made it.
    """
    hint = "sign it (docs/research/models.md), or allow it with models.allow_unsigned = true"
    if signature is None:
        raise BundleError(f"{folder}: not signed: {SIGNATURE_NAME} is missing; {hint}")
    if len(signature) != SIGNATURE_BYTES:
        raise BundleError(
            f"{folder / SIGNATURE_NAME}: {len(signature)} bytes, expected {SIGNATURE_BYTES};"
            " copy the bundle again"
        )
    files = [*sorted(keys.glob("*.pem")), *sorted(PACKAGE_KEYS.glob("*.pem"))]
    for file in files:
        if is_signed_by(file, manifest, signature):
            return file.stem
    known = ", ".join(file.stem for file in files) or "none"
    raise BundleError(
        f"{folder}: altered, or signed by a key that is not trusted (trusted: {known}); put the"
        f" maker's public key into {keys}, or {hint}"
    )


def is_signed_by(file: Path, content: bytes, signature: bytes) -> bool:
    """Whether the owner of a public key signed these bytes.

    Args:
        file: The public key, PEM, Ed25519.
        content: What was signed.
        signature: 64 bytes.

    Raises:
        BundleError: The file is no such key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        with file.open("rb") as stream:
            key = load_pem_public_key(stream.read(_MOST_KEY_BYTES))
    except (OSError, ValueError) as why:
        raise BundleError(f"{file}: no public key in PEM form: {why}; remove it") from why
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"{file}: found another kind of key, expected Ed25519; remove it")
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True
