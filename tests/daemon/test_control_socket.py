"""The control socket: one question, one answer, whatever comes in."""

import queue
import socket
import threading
from pathlib import Path

import pytest

from edge_agent.daemon.control_socket import ControlRequest, ControlServer, ask
from edge_agent.errors import StoreError


@pytest.mark.parametrize("depth", [0, 4])
def test_control_socket_answers_and_refuses(tmp_path: Path, depth: int) -> None:
    """Also in a folder whose path is longer than a socket's address may be."""
    tmp_path = tmp_path.joinpath(*["a-folder-with-a-rather-long-name"] * depth)
    tmp_path.mkdir(parents=True, exist_ok=True)
    inbox: queue.SimpleQueue[ControlRequest] = queue.SimpleQueue()
    server = ControlServer(tmp_path / "control.sock", inbox.put)

    def consume() -> None:
        inbox.get().reply({"message": "fine"})
        inbox.get().refuse(StoreError("no_previous", "nothing to go back to"))

    threading.Thread(target=consume).start()
    assert ask(tmp_path, "status") == {"message": "fine"}
    with pytest.raises(StoreError, match="no_previous: nothing to go back to"):
        ask(tmp_path, "rollback", "har")
    server.close()

    with pytest.raises(StoreError, match="not_running"):
        ask(tmp_path, "status")


def test_garbage_on_the_control_socket_leaves_it_open(tmp_path: Path) -> None:
    inbox: queue.SimpleQueue[ControlRequest] = queue.SimpleQueue()
    server = ControlServer(tmp_path / "control.sock", inbox.put)
    for garbage in (b"\xff\xfe\n", b"[]\n", b"{}\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "control.sock"))
            client.sendall(garbage)
            client.settimeout(5)
            assert client.recv(10) == b""

    threading.Thread(target=lambda: inbox.get().reply({})).start()
    assert ask(tmp_path, "status") == {}
    server.close()
