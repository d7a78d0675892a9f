"""The DSSE envelope around every manifest and command (https://github.com/secure-systems-lab/dsse, protocol 1.0.2).

This module knows only the format: who signed which bytes. A short-lived child, the only importer of cryptography,
verifies the signatures. An envelope without signatures is accepted only on a device that allows unsigned manifests.
"""

import base64
import binascii
from typing import Annotated

import msgspec

from edge_agent.errors import WireError
from edge_agent.strict import UNDECODABLE
from edge_agent.wire.messages import MAX_ORDER_BYTES

MANIFEST_TYPE = "application/vnd.edge-agent.manifest.v1+json"
COMMAND_TYPE = "application/vnd.edge-agent.command.v1+json"
MAX_SIGNATURES = 16
"""The most signatures that a device may require; verifying each one costs time."""


class Signature(msgspec.Struct, frozen=True):
    """One signature: raw bytes in base64 (on the wire), and the key's id as a hint."""

    sig: str
    """The Ed25519 signature of DSSE's pre-authentication encoding, in base64."""
    keyid: str = ""
    """The first 16 hex digits of the public key's SHA-256; not trusted."""

    def raw(self) -> bytes:
        """Return the signature's bytes; raise ``WireError`` if the text is not base64."""
        return _unbase64(self.sig, "signature")


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """A payload, its type, and the signatures over both."""

    payload: str
    """The JSON of the manifest, command or key list, in base64."""
    payload_type: str
    """The media type of the payload."""
    signatures: Annotated[list[Signature], msgspec.Meta(max_length=MAX_SIGNATURES)] = []
    """Empty only where devices allow unsigned orders."""

    def content(self) -> bytes:
        """Return the payload's bytes; raise ``WireError`` if the text is not base64."""
        return _unbase64(self.payload, "payload")

    def encoded(self) -> bytes:
        """Return the envelope's own bytes."""
        return msgspec.json.encode(self)

    def signed_bytes(self) -> bytes:
        """Return DSSE's pre-authentication encoding: the bytes that a signature covers."""
        kind, body = self.payload_type.encode(), self.content()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def seal(content: bytes, payload_type: str, signatures: list[Signature] | None = None) -> bytes:
    """Return the bytes of an envelope around ``content``."""
    return Envelope(base64.b64encode(content).decode(), payload_type, signatures or []).encoded()


def unseal(data: bytes, payload_type: str) -> Envelope:
    """Return the envelope in ``data``; raise ``WireError`` unless it is one of ``payload_type``."""
    if len(data) > MAX_ORDER_BYTES:
        raise WireError("too_large", f"an envelope of {len(data)} bytes; the limit is {MAX_ORDER_BYTES}")
    try:
        envelope = msgspec.json.decode(data, type=Envelope)
    except UNDECODABLE as error:
        raise WireError("malformed", f"not an envelope: {error}") from None
    if envelope.payload_type != payload_type:
        raise WireError("malformed", f"an envelope of {envelope.payload_type[:80]!r} where {payload_type} belongs")
    return envelope


def _unbase64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError("malformed", f"envelope {what} is not base64: {error}") from None
