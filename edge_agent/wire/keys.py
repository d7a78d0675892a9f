"""Public keys of those who may sign orders: their ids, and the signed list that rotates and revokes them. Pure.

A key is Ed25519: 32 bytes. In a PEM file (SubjectPublicKeyInfo) they stand behind a header that is always the same, so
they can be read without cryptography, which the daemon has not.
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
    """The first 16 hex digits of the SHA-256 of a raw public key."""
    return hashlib.sha256(raw).hexdigest()[:KEYID_HEX]


def public_key_of_pem(data: bytes) -> bytes:
    """The 32 bytes of the Ed25519 public key in a PEM file; raises ``WireError`` (malformed) if there is none."""
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
    """What people call it."""
    public: str
    """The 32 bytes, in base64."""

    def raw(self) -> bytes:
        """The key's 32 bytes; raises ``WireError`` (malformed)."""
        try:
            raw = base64.b64decode(self.public, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES:
            raise WireError("malformed", f"key {self.name[:80]!r} of the key list is no Ed25519 public key")
        return raw


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """What is trusted beside the files of ``keys_dir``, and what is trusted no more. A higher version replaces it."""

    v: int = PROTOCOL
    """The protocol's version."""
    namespace: str
    """The topics that it is for: one that lies elsewhere is not obeyed."""
    version: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]
    """A higher one replaces this one."""
    keys: Annotated[list[ListedKey], msgspec.Meta(max_length=MAX_LISTED_KEYS)] = []
    """Keys that are trusted."""
    revoked: Annotated[list[str], msgspec.Meta(max_length=MAX_LISTED_KEYS)] = []
    """Key ids; also of keys whose files still lie in ``keys_dir``."""
    targets: list[str] = []
    """Scopes it is addressed to, as in topics."""
    created: str = ""
    """RFC 3339 UTC."""

    @property
    def id(self) -> str:
        """The last level of the command topic at which it lies."""
        return f"keys-{self.version}"


def names_key_list(command: str) -> bool:
    """Whether a command topic's last level is that of a key list."""
    return _COMMAND.fullmatch(command) is not None


def decode_key_list(data: bytes) -> KeyList:
    """The key list in ``data``, each of its keys sound; raises ``WireError``."""
    try:
        found = msgspec.json.decode(data, type=KeyList)
    except UNDECODABLE as error:
        raise WireError("malformed", f"key list: {error}") from None
    if found.v != PROTOCOL:
        raise WireError("protocol_version", f"a key list of protocol {found.v}; this side speaks {PROTOCOL}")
    for key in found.keys:
        key.raw()
    return found
