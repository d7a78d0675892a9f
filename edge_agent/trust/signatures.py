"""Checks an envelope's signatures, in a short-lived child: cryptography would double the daemon's memory.

    python -m edge_agent.trust KEYS_DIR MIN_SIGNATURES < envelope.json

Prints one JSON line: ``{"code": "", "keys": [...]}`` or ``{"code": "untrusted", "message": "..."}``. A trusted key is
a PEM file with an Ed25519 public key in KEYS_DIR; a key id is a hint only and never decides. Two signatures by one
key count once.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edge_agent.errors import EdgeAgentError, TrustError, WireError
from edge_agent.wire.envelope import Envelope
from edge_agent.wire.messages import MAX_ORDER_BYTES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


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
            raise TrustError("untrusted", f"trusted key {path} cannot be read: {error}") from None
        if not isinstance(key, Ed25519PublicKey):
            raise TrustError("untrusted", f"trusted key {path} is no Ed25519 public key")
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
            f"({len(envelope.signatures)} signatures, {len(keys)} trusted keys); sign with push-model --sign KEY",
        )
    return good


def main(argv: list[str]) -> int:
    """Answer for the envelope on standard input; always exits 0, as a refusal is an answer."""
    answer: dict[str, object]
    try:
        data = sys.stdin.buffer.read(MAX_ORDER_BYTES + 1)
        envelope = msgspec.json.decode(data, type=Envelope)
        answer = {"code": "", "keys": verify(envelope, load_keys(Path(argv[1])), int(argv[2]))}
    except EdgeAgentError as error:
        answer = {"code": error.code, "message": error.message}
    except msgspec.DecodeError as error:
        answer = {"code": "malformed", "message": f"not an envelope: {error}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
