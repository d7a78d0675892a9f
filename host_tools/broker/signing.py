"""Keys of operators, and signatures over manifests, commands and key lists.

A key is Ed25519 in PEM (PKCS #8, SubjectPublicKeyInfo); its private half may have a passphrase. A signature covers
DSSE's pre-authentication encoding (https://github.com/secure-systems-lab/dsse). A key's id is a hint for finding the
key, and proves nothing.
"""

import base64
import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge_agent.errors import ConfigError, WireError
from edge_agent.trust.keyring import Keyring
from edge_agent.trust.signatures import signed_by
from edge_agent.wire import keys
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, Envelope, Signature, seal
from edge_agent.wire.manifest import decode_manifest
from edge_agent.wire.messages import MAX_ORDER_BYTES, Command, decode

PASSPHRASE_VARIABLE = "EDGE_AGENT_PASSPHRASE_FILE"  # noqa: S105  # a variable's name
_READERS: dict[str, Callable[[bytes], object]] = {
    MANIFEST_TYPE: decode_manifest,
    COMMAND_TYPE: lambda content: decode(content, Command),
    keys.KEYS_TYPE: keys.decode_key_list,
}
"""The decoder that a device uses for each type of document."""
_unlocked: dict[Path, Ed25519PrivateKey] = {}
"""Keys unlocked by this command, so that it asks for each passphrase once."""


def raw_public(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hex digits of the SHA-256 of the raw public key."""
    return keys.key_id(raw_public(key))


def generate_key(private: Path, public: Path, passphrase: bytes = b"") -> str:
    """Write a new key pair, the private half readable by its owner only, and return its id.

    Raises:
        ConfigError: ``usage`` if one of the files exists: a key that devices trust is never overwritten.
    """
    if private == public:
        raise ConfigError("usage", f"{private} cannot hold both halves of a key; choose another name")
    for path in (private, public):
        if path.exists():
            raise ConfigError("usage", f"{path} exists; a key is never overwritten, so choose another name")
    key = Ed25519PrivateKey.generate()
    locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        locked = serialization.BestAvailableEncryption(passphrase)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    try:
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
        _write_public(key, public)
    except OSError as error:
        raise ConfigError("usage", f"cannot write {error.filename}: {error.strerror}") from None
    return key_id(key.public_key())


def public_half(private: Path) -> Path:
    """The usual place of a private key's public half: another name, whatever the private one is called."""
    return private.with_suffix(".pem") if private.suffix != ".pem" else private.with_name(f"{private.stem}.pub.pem")


def ensure_public_half(key: Ed25519PrivateKey, public: Path) -> None:
    """Write the public half of ``key`` unless it is there.

    Raises:
        ConfigError: ``usage`` if the file holds something else, or cannot be written.
    """
    try:
        if not public.exists():
            _write_public(key, public)
        elif public.read_bytes().strip() != _public_bytes(key).strip():
            text = f"{public} is not the public half of the key that signs; move it away, and a right one is written"
            raise ConfigError("usage", text)
    except OSError as error:
        raise ConfigError("usage", f"{public}: {error.strerror}") from None


def _write_public(key: Ed25519PrivateKey, path: Path) -> None:
    with path.open("xb") as file:
        file.write(_public_bytes(key))


def _public_bytes(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file; the passphrase of a locked one is read from a file, or asked for on a terminal.

    Raises:
        ConfigError: ``usage`` if the file holds no such key, or the passphrase is wrong or unavailable.
    """
    if path in _unlocked:
        return _unlocked[path]
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise ConfigError("usage", f"{path}: {error.strerror}") from None
    locked = b"ENCRYPTED" in pem
    try:
        key = serialization.load_pem_private_key(pem, password=_passphrase(path) if locked else None)
    except (ValueError, TypeError):
        if locked:
            raise ConfigError("usage", f"the passphrase does not open {path}; give the one it was made with") from None
        raise ConfigError("usage", f"{path} is no private key in PEM; make one with host-tools keygen") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError("usage", f"{path} is not an Ed25519 key; make one with host-tools keygen")
    if locked:
        _unlocked[path] = key
    return key


def read_passphrase(path: Path) -> bytes:
    """The passphrase in a file, without its line end; raises ``ConfigError`` (usage) if there is none."""
    try:
        found = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError("usage", f"{path}: {error.strerror}") from None
    if not found:
        raise ConfigError("usage", f"{path} is empty; write the key's passphrase into it")
    return found


def new_passphrase(path: Path) -> bytes:
    """The passphrase for a new key, from a file or typed twice; raises ``ConfigError`` (usage)."""
    first = _passphrase(path)
    if not os.environ.get(PASSPHRASE_VARIABLE) and getpass.getpass("once more: ").encode() != first:
        raise ConfigError("usage", "the two passphrases are not the same; run this again")
    if not first:
        raise ConfigError("usage", "the passphrase is empty; leave --passphrase out for a key without one")
    return first


def _passphrase(path: Path) -> bytes:
    if file := os.environ.get(PASSPHRASE_VARIABLE):
        return read_passphrase(Path(file))
    if not sys.stdin.isatty():
        raise ConfigError(
            "usage",
            f"{path} needs a passphrase; run this on a terminal, or let {PASSPHRASE_VARIABLE} name a file with it",
        )
    return getpass.getpass(f"passphrase of {path}: ").encode()


def own_keyring(key_path: str) -> Keyring | None:
    """The public half of the operator's key; None: nothing is signed here. Raises ``ConfigError`` (usage)."""
    if not key_path:
        return None
    raw = raw_public(read_key(Path(key_path)).public_key())
    return Keyring({keys.key_id(raw): raw}, {keys.key_id(raw): Path(key_path).stem})


def is_signed_by(envelope: Envelope, trusted: Keyring) -> bool:
    """Whether one of the trusted keys has signed an envelope."""
    return bool(signed_by(envelope, trusted.keys))


def enclose_order(content: bytes, payload_type: str, key_path: str) -> bytes:
    """The envelope of :func:`enclose` around a document, after a check that devices can read the document.

    Raises:
        ConfigError: as ``enclose``.
        WireError: ``malformed`` if devices cannot read it; otherwise as ``enclose``.
    """
    try:
        _READERS[payload_type](content)
    except WireError as error:
        raise WireError(error.code, f"devices cannot read this {error.message}; correct it") from None
    return enclose(content, payload_type, key_path)


def enclose(content: bytes, payload_type: str, key_path: str) -> bytes:
    """The envelope around ``content``, signed if ``key_path`` is not empty.

    Raises:
        ConfigError: ``usage`` if the key is not readable.
        WireError: ``too_large`` if devices would not read it.
    """
    envelope = Envelope(base64.b64encode(content).decode(), payload_type)
    signatures = [_signature(envelope, key_path)] if key_path else []
    return _fitting(seal(content, payload_type, signatures))


def add_signature(envelope: Envelope, key_path: str) -> bytes:
    """The envelope with an added signature, which replaces an older one by the same key; raises as ``enclose``."""
    added = _signature(envelope, key_path)
    kept = [signature for signature in envelope.signatures if signature.keyid != added.keyid]
    return _fitting(Envelope(envelope.payload, envelope.payload_type, [*kept, added]).encoded())


def _signature(envelope: Envelope, key_path: str) -> Signature:
    key = read_key(Path(key_path))
    return Signature(base64.b64encode(key.sign(envelope.signed_bytes())).decode(), key_id(key.public_key()))


def _fitting(envelope: bytes) -> bytes:
    if len(envelope) > MAX_ORDER_BYTES:
        raise WireError(
            "too_large", f"the signed document has {len(envelope)} bytes; the limit is {MAX_ORDER_BYTES}; shorten steps"
        )
    return envelope
