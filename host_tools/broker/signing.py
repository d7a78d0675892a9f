"""Keys of operators, and signatures over manifests and commands.

A key is Ed25519 in PEM (PKCS #8, SubjectPublicKeyInfo). A signature is over DSSE's pre-authentication encoding
(https://github.com/secure-systems-lab/dsse). A key's id is a hint to find it by, and no proof of anything.
"""

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge_agent.errors import ConfigError, WireError
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, Envelope, Signature, seal
from edge_agent.wire.manifest import decode_manifest
from edge_agent.wire.messages import MAX_ORDER_BYTES, Command, decode

KEYID_HEX = 16
_READERS: dict[str, Callable[[bytes], object]] = {
    MANIFEST_TYPE: decode_manifest,
    COMMAND_TYPE: lambda content: decode(content, Command),
}
"""How a device reads each type of document."""


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the SHA-256 of the raw public key."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:KEYID_HEX]


def generate_key(private: Path, public: Path) -> str:
    """Write a new key pair, the private half readable by its owner only, and return its id.

    Raises:
        ConfigError: ``usage`` if one of the files exists: a key that devices trust is never overwritten.
    """
    for path in (private, public):
        if path.exists():
            raise ConfigError("usage", f"{path} exists; a key is never overwritten, so choose another name")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
        public.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
    except OSError as error:
        raise ConfigError("usage", f"cannot write {error.filename}: {error.strerror}") from None
    return key_id(key.public_key())


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file; raises ``ConfigError`` (usage) if it holds none."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError("usage", f"{path}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise ConfigError(
            "usage", f"{path} is no unencrypted private key in PEM; make one with host-tools keygen"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError("usage", f"{path} is not an Ed25519 key; make one with host-tools keygen")
    return key


def enclose_order(content: bytes, payload_type: str, key_path: str) -> bytes:
    """The envelope of :func:`enclose` around a manifest or a command, once it is sure that a device can read that.

    Raises:
        ConfigError: as ``enclose``.
        WireError: ``malformed`` if no device can; as ``enclose``.
    """
    try:
        _READERS[payload_type](content)
    except WireError as error:
        raise WireError(error.code, f"no device could read this {error.message}; correct what is named there") from None
    return enclose(content, payload_type, key_path)


def enclose(content: bytes, payload_type: str, key_path: str) -> bytes:
    """The envelope around ``content``, signed if ``key_path`` is not empty.

    Raises:
        ConfigError: ``usage`` if the key is not readable.
        WireError: ``too_large`` if no device would read it.
    """
    signatures = []
    if key_path:
        key = read_key(Path(key_path))
        message = Envelope(base64.b64encode(content).decode(), payload_type).signed_bytes()
        signature = base64.b64encode(key.sign(message)).decode()
        signatures = [Signature(signature, key_id(key.public_key()))]
    envelope = seal(content, payload_type, signatures)
    if len(envelope) > MAX_ORDER_BYTES:
        raise WireError(
            "too_large", f"the signed document has {len(envelope)} bytes and may have {MAX_ORDER_BYTES}; shorten steps"
        )
    return envelope
