"""The DSSE envelope around every manifest and command (https://github.com/secure-systems-lab/dsse, protocol 1.0.2).

Only the shape: who signed, over which bytes. Whether a signature is good is decided in a short-lived child, which
alone imports cryptography. An envelope without signatures passes only where the device allows unsigned manifests.
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
"""As many as a device may ask for; each costs whoever checks it."""


class Signature(msgspec.Struct, frozen=True):
    """One signature: raw bytes in base64 (on the wire), and the key's id as a hint."""

    sig: str
    """Ed25519, over DSSE's pre-authentication encoding, in base64."""
    keyid: str = ""
    """The first 16 hex digits of the public key's SHA-256; not trusted."""

    def raw(self) -> bytes:
        """The signature's bytes; raises ``WireError`` if they are no base64."""
        return _unbase64(self.sig, "signature")


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """A payload, its type, and the signatures over both."""

    payload: str
    """The manifest's, command's or key list's JSON, in base64."""
    payload_type: str
    """Which of them it is."""
    signatures: Annotated[list[Signature], msgspec.Meta(max_length=MAX_SIGNATURES)] = []
    """Empty only where devices allow unsigned orders."""

    def content(self) -> bytes:
        """The payload's bytes; raises ``WireError`` if they are no base64."""
        return _unbase64(self.payload, "payload")

    def encoded(self) -> bytes:
        """The envelope's own bytes."""
        return msgspec.json.encode(self)

    def signed_bytes(self) -> bytes:
        """DSSE's pre-authentication encoding: what a signature is over."""
        kind, body = self.payload_type.encode(), self.content()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def seal(content: bytes, payload_type: str, signatures: list[Signature] | None = None) -> bytes:
    """The bytes of an envelope around ``content``."""
    return Envelope(base64.b64encode(content).decode(), payload_type, signatures or []).encoded()


def unseal(data: bytes, payload_type: str) -> Envelope:
    """The envelope in ``data``, if it is one of ``payload_type``; raises ``WireError``."""
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
