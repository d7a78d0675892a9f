"""Verifies the signatures of envelopes in a short-lived child: cryptography would double the daemon's memory.

    python -m edge_agent.trust < question.json
    python -m edge_agent.trust KEYS_DIR MIN_SIGNATURES < envelope.json

The first form reads a ``Question`` with several envelopes and prints its ``Answer`` in one line
(:mod:`edge_agent.trust.question`). A daemon of version 0.1 starts the second form. It prints
``{"code": "", "keys": [...]}`` or ``{"code": "untrusted", "message": "..."}``.
"""

import json
import sys
from pathlib import Path

import msgspec

from edge_agent.errors import EdgeAgentError
from edge_agent.process.confinement import confine_opener
from edge_agent.strict import UNDECODABLE
from edge_agent.trust.keyring import read_keyring
from edge_agent.trust.question import MAX_QUESTION_BYTES, Answer, Question
from edge_agent.trust.signatures import check_all, verify
from edge_agent.wire.envelope import Envelope
from edge_agent.wire.messages import MAX_ORDER_BYTES


def main(argv: list[str]) -> int:
    """Answer the question on standard input; a refusal is an answer, too. An invalid question exits 1."""
    if len(argv) > 1:
        sys.stdout.write(json.dumps(_one(Path(argv[1]), int(argv[2]))) + "\n")
        return 0
    try:
        confine_opener()
        question = msgspec.json.decode(sys.stdin.buffer.read(MAX_QUESTION_BYTES + 1), type=Question)
        signed = check_all(question.envelopes, question.raw_keys())
    except (ValueError, *UNDECODABLE) as error:
        sys.stderr.write(f"not a question: {error}\n")
        return 1
    except EdgeAgentError as error:
        sys.stderr.write(f"{error.code}: {error.message}\n")
        return 1
    sys.stdout.write(msgspec.json.encode(Answer(signed)).decode() + "\n")
    return 0


def _one(keys_dir: Path, min_signatures: int) -> dict[str, object]:
    try:
        confine_opener(read=[keys_dir, *(key.resolve() for key in keys_dir.glob("*.pem"))])  # keys may be links
        data = sys.stdin.buffer.read(MAX_ORDER_BYTES + 1)
        envelope = msgspec.json.decode(data, type=Envelope)
        return {"code": "", "keys": verify(envelope, read_keyring(keys_dir), min_signatures)}
    except EdgeAgentError as error:
        return {"code": error.code, "message": error.message}
    except UNDECODABLE as error:
        return {"code": "malformed", "message": f"not an envelope: {error}"}


if __name__ == "__main__":
    sys.exit(main(sys.argv))
