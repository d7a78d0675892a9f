"""Received messages that are not stored yet, in bounded memory. Pure.

While the database is away, samples are lost when memory is full, as nobody else keeps them. Retained messages need no
memory, as they can be read again, and events stay at the broker until they are acknowledged.
"""

from collections.abc import Callable

from edge_agent.wire.messages import DeviceStatus
from edge_agent.wire.telemetry import Health
from host_tools.fleet.reading import Said
from host_tools.fleet.state import MOST_DEVICES
from host_tools.history.rows import Rows

MOST = 50_000
"""Limit of waiting rows, of about a kilobyte each."""
BATCH = 1000
AFTER_S = 1.0
"""Time after which a smaller batch is stored."""
EVENTS, EVENTS_AFTER_S = 16, 0.05
"""Limits for a batch with events: the broker sends 32 of them, and more only when these are acknowledged. Meanwhile its
queue fills: mosquitto's holds 1,000 and drops further ones."""


class Waiting:
    """Rows, and the acknowledgements to send once the rows are stored.

    Attributes:
        left_out: rows that found no room.
        read_again: whether retained messages were among them.
    """

    def __init__(self, earliest: Callable[[float], float]) -> None:
        self.rows = Rows()
        self.acknowledge: list[Callable[[], None]] = []
        self.left_out = 0
        self.read_again = False
        self._earliest = earliest
        self._since: float | None = None
        self._number = 0
        self._unset: set[str] = set()
        """Devices that report that their clock was never set."""

    def add(self, said: Said, received: float, now: float, *, retained: bool = False) -> None:
        """Add a message received at ``received`` (epoch seconds), which is ``now`` (monotonic)."""
        if self._number >= MOST:
            self.left_out += 1
            self.read_again = self.read_again or said.kind != "tele"
            return
        self._note_clock(said)
        trusted = said.device not in self._unset
        self.rows.add(said, received, earliest=self._earliest(received), retained=retained, trusted=trusted)
        self._number += 1
        self._since = now if self._since is None else self._since

    def _note_clock(self, said: Said) -> None:
        message = said.message
        if isinstance(message, DeviceStatus) and not message.online:
            return  # a will is older than its publication
        if isinstance(message, DeviceStatus | Health):
            if message.clock_plausible:
                self._unset.discard(said.device)
            elif len(self._unset) < MOST_DEVICES:
                self._unset.add(said.device)

    def due(self, now: float) -> bool:
        """Whether the rows should be stored now."""
        if self._since is None:
            return bool(self.acknowledge)
        if self._number >= BATCH or len(self.acknowledge) >= EVENTS:
            return True
        return now - self._since >= (EVENTS_AFTER_S if self.acknowledge else AFTER_S)

    def stored(self) -> int:
        """Acknowledge the stored messages, and start the next batch. Returns the number of messages."""
        number, self._number = self._number, 0
        self.rows, self._since = Rows(), None
        for done in self.acknowledge:
            done()
        self.acknowledge.clear()
        return number
