"""The sd_notify protocol: readiness, a status line, and the watchdog. Outside systemd it does nothing.

Protocol: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import os
import socket
import time

_PING_EVERY_S = 1.0


class Notifier:
    """Notifies the service manager; pings its watchdog every second, so that one step may take nearly its interval."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")  # children must not notify on the daemon's behalf
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog = int(os.environ.pop("WATCHDOG_USEC", "0")) / 1e6
        self.interval_s = watchdog / 3 if watchdog else None
        self._last = 0.0

    def ready(self, status: str) -> None:
        """Report that the daemon is ready."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send(f"STATUS={status}")

    def stopping(self) -> None:
        """Report that the daemon is stopping."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Ping the watchdog; only the consumer's loop may call this, so that a hanging consumer is noticed."""
        now = time.monotonic()
        if self.interval_s is not None and now - self._last >= min(self.interval_s, _PING_EVERY_S):
            self._last = now
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
            try:
                client.connect(self._address)
                client.sendall(text.encode())
            except OSError:
                self._address = ""  # the manager is gone; the daemon runs on without it
