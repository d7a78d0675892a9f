"""What the daemon asks of the child that checks signatures, and what that answers: one JSON document each way."""

import base64

import msgspec

from edge_agent.wire.envelope import Envelope

MAX_QUESTION_BYTES = 4 << 20


class Question(msgspec.Struct, frozen=True):
    """Which of ``keys`` signed each of ``envelopes``; ``keys``: key id → raw public key in base64."""

    keys: dict[str, str]
    envelopes: list[Envelope]

    def raw_keys(self) -> dict[str, bytes]:
        """Key id → 32 bytes."""
        return {name: base64.b64decode(key) for name, key in self.keys.items()}


class Answer(msgspec.Struct, frozen=True):
    """For each envelope, in their order, the ids of the keys that signed it."""

    signed: list[list[str]]
