"""A client of the broker that publishes as fast as it is told to, over a bare socket: what a hostile one could do."""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05flood"
_BURST_S = 0.005
_PUBACK_BYTES = 4


class Flood:
    """Publishes in the background while its ``with`` block runs.

    Args:
        url: of the broker.
        message: what number n is: its topic and its payload.
        a_second: messages; 0: as many as go.
        qos: 0 or 1.
        retain: whether the broker is to keep them.
        most: the number of messages after which it is over; 0: none.

    Attributes:
        sent: messages so far.
    """

    def __init__(
        self,
        url: str,
        message: Callable[[int], tuple[str, bytes]],
        *,
        a_second: float = 0,
        qos: int = 0,
        retain: bool = False,
        most: int = 0,
    ) -> None:
        self._message, self._a_second, self._qos, self._retain, self._most = message, a_second, qos, retain, most
        self.sent = self._heard_bytes = 0
        self._ending = threading.Event()
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port))
        self._socket.sendall(_CONNECT)
        assert self._socket.recv(4) == b"\x20\x02\x00\x00"
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._drain)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        with suppress(OSError):  # the broker had enough of it
            self._socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def finish(self, timeout_s: float = 60) -> None:
        """Wait until ``most`` are sent, and with QoS 1 acknowledged."""
        deadline = time.monotonic() + timeout_s
        while self.sent < self._most or self._heard_bytes < _PUBACK_BYTES * self.sent * self._qos:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _send(self) -> None:
        began = time.monotonic()
        try:
            while not self._ending.is_set() and not (self._most and self.sent >= self._most):
                if self._a_second and self.sent > self._a_second * (time.monotonic() - began):
                    time.sleep(_BURST_S)
                    continue
                self._socket.sendall(publish(*self._message(self.sent), self._qos, self.sent, retain=self._retain))
                self.sent += 1
        except OSError:
            return  # the broker had enough of it

    def _drain(self) -> None:
        try:
            while data := self._socket.recv(65536):
                self._heard_bytes += len(data)
        except OSError:
            return


def publish(topic: str, payload: bytes, qos: int, number: int, *, retain: bool) -> bytes:
    """A PUBLISH packet of MQTT 3.1.1."""
    name = topic.encode()
    body = struct.pack(">H", len(name)) + name
    if qos:
        body += struct.pack(">H", number % 65535 + 1)
    body += payload
    length, left = b"", len(body)
    while True:
        left, low = left >> 7, left & 127
        length += bytes([low | (128 if left else 0)])
        if not left:
            break
    return bytes([0x30 | qos << 1 | retain]) + length + body
