"""A compressed copy of the broker's retained messages.

A reading holds all of them until it is complete. For a large fleet that is hundreds of megabytes of JSON.
"""

import zlib
from collections.abc import Iterable, Iterator, MutableMapping

_LEVEL = 1


def pack(payload: bytes) -> bytes:
    """The compressed payload."""
    return zlib.compress(payload, _LEVEL)


def unpack(packed: bytes) -> bytes:
    """The payload that :func:`pack` has compressed."""
    return zlib.decompress(packed)


class Packed(MutableMapping[str, bytes]):
    """Topic → payload, compressed in memory."""

    def __init__(self, messages: Iterable[tuple[str, bytes]] = ()) -> None:
        self._packed = {topic: pack(payload) for topic, payload in messages}

    def packed(self, topic: str) -> bytes:
        """The payload of ``topic`` in compressed form."""
        return self._packed[topic]

    def __getitem__(self, topic: str) -> bytes:
        return unpack(self._packed[topic])

    def __setitem__(self, topic: str, payload: bytes) -> None:
        self._packed[topic] = pack(payload)

    def __delitem__(self, topic: str) -> None:
        del self._packed[topic]

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, topic: object) -> bool:
        return topic in self._packed
