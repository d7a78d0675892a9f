"""A broker of MQTT 5 that closes the connection at a message which its ACL does not allow, as several real ones do."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_CONNECT, _PUBLISH, _SUBSCRIBE = 1, 3, 8
_LET_IN = bytes([0x20, 3, 0, 0, 0])


@contextmanager
def closing_broker(allows: Callable[[str], bool]) -> Iterator[tuple[str, list[list[str]]]]:
    """Its URL, and for each connection the topics that were published there; allowed ones are acknowledged."""
    server = socket.create_server(("127.0.0.1", 0))
    heard: list[list[str]] = []

    def serve(peer: socket.socket, topics: list[str]) -> None:
        with peer, suppress(OSError, EOFError):
            while True:
                head, body = _packet(peer)
                kind = head >> 4
                if kind == _CONNECT:
                    peer.sendall(_LET_IN)
                if kind == _SUBSCRIBE:
                    peer.sendall(bytes([0x90, 4]) + body[:2] + bytes([0, 1]))
                if kind == _PUBLISH:
                    size = int.from_bytes(body[:2], "big")
                    topics.append(body[2 : 2 + size].decode())
                    if not allows(topics[-1]):
                        return
                    if head & 6:
                        peer.sendall(bytes([0x40, 2]) + body[2 + size : 4 + size])

    def accept() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            heard.append([])
            threading.Thread(target=serve, args=(peer, heard[-1]), daemon=True).start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"mqtt://127.0.0.1:{server.getsockname()[1]}", heard
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        accepting.join()


def _packet(peer: socket.socket) -> tuple[int, bytes]:
    head, length, factor = _read(peer, 1)[0], 0, 1
    while True:
        byte = _read(peer, 1)[0]
        length += (byte & 127) * factor
        factor *= 128
        if byte < 128:
            return head, _read(peer, length)


def _read(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        if not (more := peer.recv(count - len(data))):
            raise EOFError
        data += more
    return data
