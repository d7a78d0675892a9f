"""The bounded queue for one reader of a shared source: it drops the oldest batches and reports the loss. Pure."""

from collections import deque
from dataclasses import dataclass

from edge_agent.sensing.frames import Batch, Hello, State, encode_batch, encode_json


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch with its encoded samples, shared by all readers."""

    batch: Batch
    payload: bytes

    @property
    def samples(self) -> int:
        """Number of samples in it."""
        return len(self.batch.samples)


class Outbox:
    """Frames for one reader.

    Attributes:
        dropped: number of dropped samples.
    """

    def __init__(self, limit_bytes: int) -> None:
        """Start empty; queued batches take at most ``limit_bytes`` together, or are a single one."""
        self._limit = limit_bytes
        self._hello: bytes | None = None
        self._state: bytes | None = None
        self._parcels: deque[Parcel] = deque()
        self._waiting = 0
        self._lost = 0
        self._sending: deque[memoryview] = deque()
        self.dropped = 0

    def greet(self, hello: Hello) -> None:
        """Queue a hello of a new source; drop the unsent batches of the previous one."""
        while self._parcels:
            self._drop()
        self._hello = encode_json(hello)

    def tell(self, state: State) -> None:
        """Queue a state in place of an earlier one."""
        self._state = encode_json(state)

    def put(self, parcel: Parcel) -> None:
        """Queue a batch; drop the oldest ones beyond the limit."""
        self._parcels.append(parcel)
        self._waiting += len(parcel.payload)
        while self._waiting > self._limit and len(self._parcels) > 1:
            self._drop()

    def next(self) -> memoryview | None:
        """Return the bytes to send next; None: the queue is empty."""
        if not self._sending:
            self._fill()
        return self._sending[0] if self._sending else None

    def sent(self, count: int) -> None:
        """Record that ``count`` of the bytes from :meth:`next` were sent."""
        rest = self._sending.popleft()[count:]
        if rest:
            self._sending.appendleft(rest)

    def _fill(self) -> None:
        if self._hello is not None:
            self._sending.append(memoryview(self._hello))
            self._hello = None
        elif self._state is not None:
            self._sending.append(memoryview(self._state))
            self._state = None
        elif self._parcels:
            parcel = self._parcels.popleft()
            self._waiting -= len(parcel.payload)
            header = encode_batch(parcel.batch, len(parcel.payload), lost=self._lost)
            self._lost = 0
            self._sending += (memoryview(header), memoryview(parcel.payload))

    def _drop(self) -> None:
        parcel = self._parcels.popleft()
        self._waiting -= len(parcel.payload)
        self._lost += parcel.samples
        self.dropped += parcel.samples
