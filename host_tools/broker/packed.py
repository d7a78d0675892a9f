"""What a broker keeps, in less memory than it has.

A reading holds all of it until it is complete, and of a large fleet that is hundreds of megabytes of JSON.
"""

import zlib
from collections.abc import Iterable, Iterator, MutableMapping

_LEVEL = 1


def pack(payload: bytes) -> bytes:
    """The payload, compressed."""
    return zlib.compress(payload, _LEVEL)


def unpack(packed: bytes) -> bytes:
    """The payload that :func:`pack` has compressed."""
    return zlib.decompress(packed)


class Packed(MutableMapping[str, bytes]):
    """Topic → payload, compressed while it lies here."""

    def __init__(self, messages: Iterable[tuple[str, bytes]] = ()) -> None:
        self._packed = {topic: pack(payload) for topic, payload in messages}

    def packed(self, topic: str) -> bytes:
        """The payload of ``topic`` as it lies here."""
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
