"""An MQTT broker that pip installs: rumqttd from the wheel ``iotcore``, as a child process on 127.0.0.1.

For the demo and the tests. It keeps everything in memory: retained messages do not survive ``stop()``, which makes it
a good second broker to test against. It listens on loopback only, and asks for no password.

The child reads its stdin and ends when that closes, so it cannot outlive a parent that was killed.
"""

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_agent.errors import BrokerError

# - max_payload_size: rumqttd's default of 20 KiB silently drops a 120 KiB chunk.
# - max_inflight_count: with QoS 1 a wildcard subscription delivers at most this many retained messages and forgets the
#   rest, so it must exceed the pages of all blobs, not only the 64 chunks that a device asks for.
# - max_outgoing_packet_count: with QoS 0 a subscription delivers at most this many retained messages and forgets the
#   rest.
# - dynamic_filters: without it, filters that the config does not name are refused.
# - max_segment_size: every filter that was ever subscribed has a log in memory of up to segment size x count.
# - v4 and v5: each protocol has its own port; a CONNECT of the other version is closed unanswered. Client ids are
#   shared between the two, so one id on both ports is a takeover.
# - A repeated SUBSCRIBE without UNSUBSCRIBE does not deliver retained messages again. Neither does the first SUBSCRIBE
#   of a session that is resumed after a crash of the client. A second one, after UNSUBSCRIBE, does.
# - SIGTERM and SIGKILL both lose everything, as nothing is on disk. The will is delivered, and retained.
_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 6000
max_outgoing_packet_count = 65000
max_segment_size = 8388608
max_segment_count = 4

[v4.1]
name = "mqtt-3.1.1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 2000
dynamic_filters = true

[v5.1]
name = "mqtt-5"
listen = "127.0.0.1:{port_v5}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 2000
dynamic_filters = true
"""

_CHILD = Path(__file__).with_name("broker_child.py")
_START_TIMEOUT_S = 15.0


def free_ports(count: int) -> list[int]:
    """Port numbers on 127.0.0.1 that are free at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once ``process`` accepts connections on ``port``; raises ``BrokerError`` if it ends or stays silent."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise BrokerError("broker_unreachable", f"the broker did not start on port {port}; see {log}")


class EmbeddedBroker:
    """A broker that lives as long as its ``with`` block.

    Attributes:
        url: MQTT 3.1.1, which every client speaks (this project's clients fall back to it by themselves).
        url_v5: MQTT 5 on its own port.
        log: the broker's output.
    """

    def __init__(self, directory: Path) -> None:
        self._port, self._port_v5 = free_ports(2)
        self.url = f"mqtt://127.0.0.1:{self._port}"
        self.url_v5 = f"mqtt://127.0.0.1:{self._port_v5}"
        self.log = directory / "broker.log"
        self._config = directory / "rumqttd.toml"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the broker (again, on the same ports) and return once it listens."""
        self._config.write_text(_CONFIG.format(port=self._port, port_v5=self._port_v5), encoding="utf-8")
        with self.log.open("ab") as log:
            # By path, so that it starts from any directory; -P, so that no file beside it shadows a module.
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_CHILD), str(self._config)], stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        wait_for_port(self._port, self._process, self.log)
        wait_for_port(self._port_v5, self._process, self.log)

    def kill(self) -> None:
        """End the broker as a power cut would; its messages are lost."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    stop = kill  # rumqttd has no shutdown, and nothing on disk that could be half written

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
