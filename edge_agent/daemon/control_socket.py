"""The local command socket: one JSON request and one JSON reply per connection on ``state_dir/control.sock``.

Only the daemon's user can open it (mode 0600). A request becomes an event in the daemon's inbox; the serving thread
only waits for the reply.
"""

import json
import logging
import os
import queue
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.advice.permission import not_permitted
from edge_agent.errors import CODES, EdgeAgentError, StoreError
from edge_agent.process.unix_address import short_address
from edge_agent.strict import why

log = logging.getLogger(__name__)

SOCKET_NAME = "control.sock"
REPLY_TIMEOUT_S = 300.0  # a rollback reads a release, which takes minutes on a slow card, and its hook up to 60 s
_MAX_REQUEST_BYTES = 4096
_MAX_REPLY_BYTES = 16 << 20
"""A limit, as another process behind that socket might never end the line."""


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A local command; ``reply`` or ``refuse`` is called once, from the daemon's consumer."""

    action: str
    subject: str
    answers: "queue.SimpleQueue[dict[str, Any]]" = field(default_factory=queue.SimpleQueue)

    def reply(self, body: dict[str, Any]) -> None:
        """Answer with success."""
        self.answers.put({"ok": True, **body})

    def refuse(self, error: EdgeAgentError) -> None:
        """Answer with an error's code and sentence."""
        self.answers.put({"ok": False, "code": error.code, "message": error.message})


class ControlServer:
    """Listens on ``path`` and hands requests to ``on_request`` from its own thread."""

    def __init__(self, path: Path, on_request: Callable[[ControlRequest], None]) -> None:
        self._path = path
        self._on_request = on_request
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            with short_address(path) as address:
                self._socket.bind(address)
        finally:
            os.umask(before)
        self._socket.listen(4)
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._path.unlink(missing_ok=True)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    self._answer(connection)
                except (OSError, ValueError, KeyError, TypeError, queue.Empty) as error:
                    log.warning("control socket: %s", error)

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(REPLY_TIMEOUT_S)
        with connection.makefile("rb") as file:
            asked = json.loads(file.readline(_MAX_REQUEST_BYTES))
        request = ControlRequest(str(asked["action"]), str(asked.get("subject", "")))
        self._on_request(request)
        reply = request.answers.get(timeout=REPLY_TIMEOUT_S)
        connection.sendall(json.dumps(reply).encode() + b"\n")


def ask(state_dir: Path, action: str, subject: str = "") -> dict[str, Any]:
    """Send a command to the daemon that uses ``state_dir``, and return its reply.

    Raises:
        StoreError: ``not_running``, ``permission_denied``, or the code of the daemon's error.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(REPLY_TIMEOUT_S)
            with short_address(state_dir / SOCKET_NAME) as address:
                connection.connect(address)
            connection.sendall(json.dumps({"action": action, "subject": subject}).encode() + b"\n")
            with connection.makefile("rb") as file:
                reply = json.loads(file.readline(_MAX_REPLY_BYTES))
    except PermissionError:
        raise StoreError("permission_denied", not_permitted(state_dir / SOCKET_NAME, mode=os.W_OK)) from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise StoreError("not_running", f"no edge-agent daemon uses {state_dir}; start edge-agent run") from None
    except (OSError, ValueError) as error:
        raise StoreError("not_running", f"the daemon of {state_dir} did not answer: {why(error)}; restart it") from None
    if not reply.pop("ok"):
        code = reply["code"] if reply["code"] in CODES else "internal"
        raise StoreError(code, reply["message"])
    body: dict[str, Any] = reply
    return body
