"""Verification of envelope signatures. Only the verifying child imports this module, since cryptography is large.

A signature is verified with the trusted key that it names, so an envelope costs no more verifications than it has
signatures. Two signatures by one key count once.
"""

from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_agent.errors import WireError
from edge_agent.trust.keyring import Keyring
from edge_agent.wire.envelope import Envelope


def signed_by(envelope: Envelope, keys: Mapping[str, bytes]) -> list[str]:
    """Return the ids of those keys (key id → 32 bytes) that signed, in the order of ``keys``."""
    try:
        signed = envelope.signed_bytes()
    except WireError:
        return []
    good = set()
    for signature in envelope.signatures:
        raw = keys.get(signature.keyid)
        if raw is None or signature.keyid in good:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(signature.raw(), signed)
        except (InvalidSignature, WireError, ValueError):
            continue
        good.add(signature.keyid)
    return [name for name in keys if name in good]


def verify(envelope: Envelope, keyring: Keyring, min_signatures: int) -> list[str]:
    """Return the names of the trusted keys that signed; raise ``TrustError`` if they are too few."""
    good = signed_by(envelope, keyring.keys)
    if len(good) < min_signatures:
        raise keyring.too_few(envelope, len(good), min_signatures)
    return [keyring.names[name] for name in good]


def check_all(envelopes: Sequence[Envelope], keys: Mapping[str, bytes]) -> list[list[str]]:
    """Return, for each envelope, the ids of the keys that signed it."""
    return [signed_by(envelope, keys) for envelope in envelopes]
