"""Which trusted keys signed an envelope. A trusted key is a PEM file with an Ed25519 public key in the keys folder.

A key id is a hint only and never decides. Two signatures by one key count once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.errors import TrustError, WireError
from edge_agent.strict import counted
from edge_agent.wire.envelope import Envelope

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_PUT_ONE = "put the .pem of host-tools keygen there"


def load_keys(keys_dir: Path) -> dict[str, "Ed25519PublicKey"]:
    """The trusted keys by file name; raises ``TrustError`` for a file that is no Ed25519 public key."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # only the child pays for it
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    keys = {}
    for path in sorted(keys_dir.glob("*.pem")):
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            why_not = f" ({error.strerror})" if isinstance(error, OSError) else ""
            raise TrustError("untrusted", f"trusted key {path} is no public key{why_not}; {_PUT_ONE}") from None
        if not isinstance(key, Ed25519PublicKey):
            raise TrustError("untrusted", f"trusted key {path} is no Ed25519 public key; {_PUT_ONE}")
        keys[path.stem] = key
    return keys


def verify(envelope: Envelope, keys: Mapping[str, "Ed25519PublicKey"], min_signatures: int) -> list[str]:
    """The names of the trusted keys that signed; raises ``TrustError`` if they are too few."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

    signed, good = envelope.signed_bytes(), []
    for name, key in keys.items():
        for signature in envelope.signatures:
            try:
                key.verify(signature.raw(), signed)
            except (InvalidSignature, WireError):
                continue
            good.append(name)
            break
    if len(good) < min_signatures:
        raise TrustError(
            "untrusted",
            f"{len(good)} of {min_signatures} needed signatures are by trusted keys "
            f"({counted(len(envelope.signatures), 'signature')}, {counted(len(keys), 'trusted key')}); "
            "sign with push-model --sign KEY",
        )
    return good
