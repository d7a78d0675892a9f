"""Of a packet that is too large, keeps the beginning: the library would gather all of it in memory, up to 256 MB.

MQTT 5 has a word for the largest packet that a client takes; 3.1.1 has none, and a broker may break its own. To end the
connection would help nobody, as the broker would send a message of QoS 1 again. The beginning has topic and message id,
so the message can be acknowledged, and is still too large for every topic.
"""

from typing import Any

_AT_ONCE = 64 * 1024


class Beginnings:
    """Mixed into paho's client, before it: reads at most :attr:`most_packet_bytes` of a packet and drops the rest."""

    most_packet_bytes = 256 * 1024

    def _sock_recv(self, bufsize: int) -> bytes:
        """What paho reads a packet with; ``bufsize`` is what is left of it."""
        packet: dict[str, Any] = self._in_packet  # type: ignore[attr-defined]  # of paho's client
        room = max(0, self.most_packet_bytes - len(packet["packet"]))
        received: bytes = super()._sock_recv(min(bufsize, room or _AT_ONCE))  # type: ignore[misc]  # the same
        if room:
            return received
        packet["to_process"] -= max(0, len(received) - 1)  # paho takes one byte off itself
        return received[:1]
