"""Public keys that may sign orders: their ids, and the signed list that rotates and revokes them. Pure.

A key is Ed25519: 32 bytes. In a PEM file (SubjectPublicKeyInfo) they follow a constant header, so the daemon can read
them without the cryptography package.
"""

import base64
import binascii
import hashlib
import re
from typing import Annotated

import msgspec

from edge_agent.errors import WireError
from edge_agent.strict import UNDECODABLE
from edge_agent.wire.manifest import MAX_VERSION
from edge_agent.wire.messages import PROTOCOL

KEYS_TYPE = "application/vnd.edge-agent.keys.v1+json"
KEY_BYTES = 32
KEYID_HEX = 16
MAX_LISTED_KEYS = 64
_COMMAND = re.compile(r"keys-[1-9][0-9]{0,15}")
_HEADER = bytes.fromhex("302a300506032b6570032100")
"""DER of SubjectPublicKeyInfo up to the key: SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING }."""
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")


def key_id(raw: bytes) -> str:
    """Return the first 16 hex digits of the SHA-256 of a raw public key."""
    return hashlib.sha256(raw).hexdigest()[:KEYID_HEX]


def public_key_of_pem(data: bytes) -> bytes:
    """Return the 32 bytes of the Ed25519 public key in a PEM file; raise ``WireError`` (malformed) without one."""
    found = _PEM.search(data)
    if found is None:
        raise WireError("malformed", "is no public key in PEM")
    try:
        der = base64.b64decode(b"".join(found[1].split()), validate=True)
    except binascii.Error:
        raise WireError("malformed", "is no public key in PEM") from None
    if len(der) != len(_HEADER) + KEY_BYTES or not der.startswith(_HEADER):
        raise WireError("malformed", "is no Ed25519 public key")
    return der[len(_HEADER) :]


class ListedKey(msgspec.Struct, frozen=True):
    """A key that the list adds; ``public`` is the raw key in base64."""

    name: str
    """The key's name for people."""
    public: str
    """The key's 32 bytes, in base64."""

    def raw(self) -> bytes:
        """Return the key's 32 bytes; raise ``WireError`` (malformed)."""
        try:
            raw = base64.b64decode(self.public, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES:
            raise WireError("malformed", f"key {self.name[:80]!r} of the key list is no Ed25519 public key")
        return raw


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """Keys to trust beside the files of ``keys_dir``, and keys to trust no longer. A higher version replaces it."""

    v: int = PROTOCOL
    """The protocol's version."""
    namespace: str
    """The namespace of the topics that it is for; a device refuses it at any other topic."""
    version: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]
    """A list with a higher version replaces this one."""
    keys: Annotated[list[ListedKey], msgspec.Meta(max_length=MAX_LISTED_KEYS)] = []
    """Additional trusted keys."""
    revoked: Annotated[list[str], msgspec.Meta(max_length=MAX_LISTED_KEYS)] = []
    """Ids of keys that are no longer trusted, even if their files are still in ``keys_dir``."""
    targets: list[str] = []
    """The scopes that it is addressed to, as in topics."""
    created: str = ""
    """Time of creation, RFC 3339 UTC."""

    @property
    def id(self) -> str:
        """The last level of its command topic."""
        return f"keys-{self.version}"


def names_key_list(command: str) -> bool:
    """Return whether ``command``, the last level of a command topic, names a key list."""
    return _COMMAND.fullmatch(command) is not None


def decode_key_list(data: bytes) -> KeyList:
    """Return the key list in ``data``, with every key checked; raise ``WireError``."""
    try:
        found = msgspec.json.decode(data, type=KeyList)
    except UNDECODABLE as error:
        raise WireError("malformed", f"key list: {error}") from None
    if found.v != PROTOCOL:
        raise WireError("protocol_version", f"a key list of protocol {found.v}; this side speaks {PROTOCOL}")
    for key in found.keys:
        key.raw()
    return found
