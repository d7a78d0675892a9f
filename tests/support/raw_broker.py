"""A broker of MQTT 3.1.1 that does what no real one can be made to do."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def raw_broker(says: bytes, close_after_s: float | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """A broker of MQTT 3.1.1 that lets everybody in, says something, and notes what it hears on each connection."""
    server = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []
    ending = threading.Event()

    def serve(peer: socket.socket) -> None:
        with peer:
            connect = peer.recv(4096)
            if not connect or connect[8] != 4:  # MQTT 5: closed without a word, as old brokers do
                return
            at = len(heard)
            heard.append(b"")
            peer.sendall(struct.pack("BBBB", 0x20, 2, 0, 0))
            peer.sendall(says)
            peer.settimeout(0.05)
            closing = None if close_after_s is None else time.monotonic() + close_after_s
            while not ending.is_set() and (closing is None or time.monotonic() < closing):
                try:
                    data = peer.recv(4096)
                except TimeoutError:
                    continue
                if not data:
                    return
                heard[at] += data

    def accept() -> None:
        threads = []
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                break
            threads.append(threading.Thread(target=quietly, args=(peer,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def quietly(peer: socket.socket) -> None:
        try:
            serve(peer)
        except OSError:
            return

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"mqtt://127.0.0.1:{server.getsockname()[1]}", heard
    finally:
        ending.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        accepting.join()
