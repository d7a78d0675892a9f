"""The question of the daemon to the child that verifies signatures, and its answer: one JSON document each."""

import base64

import msgspec

from edge_agent.wire.envelope import Envelope

MAX_QUESTION_BYTES = 4 << 20


class Question(msgspec.Struct, frozen=True):
    """Which of ``keys`` signed each of ``envelopes``? ``keys``: key id → raw public key in base64."""

    keys: dict[str, str]
    envelopes: list[Envelope]

    def raw_keys(self) -> dict[str, bytes]:
        """Return key id → 32 bytes."""
        return {name: base64.b64decode(key) for name, key in self.keys.items()}


class Answer(msgspec.Struct, frozen=True):
    """The ids of the keys that signed each envelope, in the order of the envelopes."""

    signed: list[list[str]]
