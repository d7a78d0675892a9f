"""Keeps only the beginning of a packet that is too large: the library would collect up to 256 MB of it in memory.

With MQTT 5 a client announces the largest packet that it accepts. MQTT 3.1.1 has no such field, and a broker may ignore
it. Closing the connection does not help, since the broker sends a message of QoS 1 again. The beginning contains the
topic and the message id, so the message can be acknowledged. It is still too large for every topic.
"""

from typing import Any

_AT_ONCE = 64 * 1024


class Beginnings:
    """A mixin in front of paho's client: stores at most :attr:`most_packet_bytes` of a packet and drops the rest."""

    most_packet_bytes = 256 * 1024

    def _sock_recv(self, bufsize: int) -> bytes:
        """Read a part of a packet for paho; ``bufsize`` is the number of bytes left of it."""
        packet: dict[str, Any] = self._in_packet  # type: ignore[attr-defined]  # of paho's client
        room = max(0, self.most_packet_bytes - len(packet["packet"]))
        received: bytes = super()._sock_recv(min(bufsize, room or _AT_ONCE))  # type: ignore[misc]  # the same
        if room:
            return received
        packet["to_process"] -= max(0, len(received) - 1)  # paho subtracts one byte itself
        return received[:1]
