"""Checks an envelope's signatures, in a short-lived child: cryptography would double the daemon's memory.

    python -m edge_agent.trust KEYS_DIR MIN_SIGNATURES < envelope.json

Prints one JSON line: ``{"code": "", "keys": [...]}`` or ``{"code": "untrusted", "message": "..."}``.
"""

import json
import sys
from pathlib import Path

import msgspec

from edge_agent.errors import EdgeAgentError
from edge_agent.process.confinement import confine_opener
from edge_agent.strict import UNDECODABLE
from edge_agent.trust.signatures import load_keys, verify
from edge_agent.wire.envelope import Envelope
from edge_agent.wire.messages import MAX_ORDER_BYTES


def main(argv: list[str]) -> int:
    """Answer for the envelope on standard input; always exits 0, as a refusal is an answer."""
    answer: dict[str, object]
    try:
        keys_dir = Path(argv[1])
        confine_opener(read=[keys_dir, *(key.resolve() for key in keys_dir.glob("*.pem"))])  # which may be links
        data = sys.stdin.buffer.read(MAX_ORDER_BYTES + 1)
        envelope = msgspec.json.decode(data, type=Envelope)
        answer = {"code": "", "keys": verify(envelope, load_keys(keys_dir), int(argv[2]))}
    except EdgeAgentError as error:
        answer = {"code": error.code, "message": error.message}
    except UNDECODABLE as error:
        answer = {"code": "malformed", "message": f"not an envelope: {error}"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
