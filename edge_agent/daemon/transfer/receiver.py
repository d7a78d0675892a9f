"""Fetches one blob from the broker: decides what to subscribe to, when to ask again, and when to give up.

It requests pages first, then chunks, one group at a time: a broker drops retained messages above its queue limits, and
mosquitto delays some when a SUBSCRIBE arrives while it is writing. Two groups at once measured no faster.

A broker may delay retained messages, deliver only some, or have lost them, without any notice. So after a silence (5 s,
or four times the last chunk's duration, doubling up to a minute):

1. the filters are unsubscribed and subscribed again (rumqttd delivers nothing without UNSUBSCRIBE);
2. if nothing arrives, the broker lacks the data: ``Need`` names the missing chunks, first those of this group, later
   all of them, and is repeated, so that any host that connects later can answer;
3. if only wrong bytes arrived instead, it is ``hash_mismatch``; otherwise the next group is tried for the other data.

There is no time limit: ``waiting`` reports that nothing has arrived for ten minutes.

No thread and no clock: the owner calls ``take`` for each message of this blob (and acknowledges it afterwards),
``tick`` every second or so, ``connected`` on each ``Connected``. After an exception the receiver must not be used.
"""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge_agent.daemon.transfer.partial_blob import PartialBlob
from edge_agent.errors import LimitError, TransferError
from edge_agent.wire.chunks import GROUP_CHUNKS
from edge_agent.wire.messages import Need
from edge_agent.wire.topics import ChunkTopic, PageTopic, Topics

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

FEW_CHUNKS = 8  # at most this many missing chunks are requested singly, so that the rest of the group is not resent
PATIENCE_S = (5.0, 60.0)
WAITING_AFTER_S = 600.0
FLUSH_AFTER_S = 10.0
MAX_RANGES = 2000  # a Need stays below 64 KiB
_PATIENCE_CHUNKS = 4
_PAGES = -1
_AT_ONCE_BYTES = 16 * 1024 * 1024
"""Largest blob that is read back while everything else waits: less than two seconds on a slow card."""
_STALLS_TO_ASK_HOSTS, _STALLS_TO_GO_ON = 2, 3

Later = Callable[[Callable[[], str], Callable[[str], None]], None]


class Subscriber(Protocol):
    """The part of ``mqtt.Link`` that the receiver uses."""

    def subscribe(self, *filters: str) -> None:
        """Subscribe to ``filters``."""
        ...

    def unsubscribe(self, *filters: str) -> None:
        """Unsubscribe from ``filters``."""
        ...


@dataclass(slots=True)
class Counts:
    """Counts of messages and events, for the log and for tests."""

    fresh: int = 0
    known: int = 0
    wrong: int = 0
    stalls: int = 0
    needs: int = 0


class Receiver:
    """The transfer of one blob.

    Args:
        partial: where the data is stored.
        topics: topics of the namespace.
        link: the connection on which to subscribe.
        need: publishes a ``Need``.
        device: this device's id, for ``Need``.
        now: monotonic seconds, as in every other call.
        later: runs its first argument in the background, then passes the result to its second; None: no background.

    Attributes:
        path: the whole, verified blob; None until it is complete.
        counts: counts so far.
    """

    def __init__(
        self,
        partial: PartialBlob,
        topics: Topics,
        link: Subscriber,
        need: Callable[[Need], None],
        *,
        device: str,
        now: float,
        later: Later | None = None,
    ) -> None:
        self._partial = partial
        self._plan = partial.plan
        self._sha256 = partial.blob.sha256
        self._topics = topics
        self._link = link
        self._need = need
        self._device = device
        self._later = later
        self._reading_back = False
        self._online = False
        self._group: int | None = None
        self._filters: tuple[str, ...] = ()
        self._start = 0
        self._fresh_at = self._arrived_at = self._flushed_at = self._asked_at = now
        self._patience = PATIENCE_S[0]
        self._stalls = 0
        self._wrong_since_asked = False
        self.counts = Counts()
        self.path: Path | None = partial.path if partial.complete else None

    # -- what the owner calls

    def connected(self, now: float) -> None:
        """Request the missing data on a new connection.

        Raises:
            TransferError: ``hash_mismatch``.
            LimitError: ``no_space``.
        """
        self._online = True
        self._stalls = 0
        self._wrong_since_asked = False
        self._finish_if_whole()
        self._ask()
        self._asked_at = now

    def disconnected(self) -> None:
        """Flush the stored chunks: the connection is down."""
        self._online = False
        self._partial.flush()

    def take(self, topic: ChunkTopic | PageTopic, payload: bytes, now: float) -> None:
        """Handle a page or chunk; the caller acknowledges it afterwards.

        Raises:
            TransferError: ``hash_mismatch`` of the whole blob.
            LimitError: ``no_space``; the stored part is kept for a later attempt.
        """
        if topic.sha256 != self._sha256 or self.path is not None or self._reading_back or not payload:
            return
        try:
            if isinstance(topic, PageTopic):
                fresh = self._partial.add_page(topic.page, payload)
            else:
                fresh = self._partial.add_chunk(topic.index, payload)
        except TransferError as error:
            log.warning("blob %.12s: dropped: %s", self._sha256, error.message)
            self._wrong_since_asked = True
            self.counts.wrong += 1
            return
        # A repeated chunk still shows that the broker delivers. A new request while a slow link is busy would only make
        # the queue longer.
        shortest, longest = PATIENCE_S
        patience = min(longest, max(shortest, _PATIENCE_CHUNKS * (now - self._arrived_at)))
        self._arrived_at = self._asked_at = now
        if not fresh:
            self._patience = max(self._patience, patience)
            self.counts.known += 1
            return
        self._patience = patience
        self.counts.fresh += 1
        self._fresh_at = now
        self._stalls = 0
        if self._group != self._next_group():
            self._partial.flush()
            self._flushed_at = now
            self._finish_if_whole()
            self._ask()

    def tick(self, now: float) -> None:
        """Flush, or request again, if that is due at ``now``.

        Raises:
            TransferError: ``hash_mismatch``: the broker holds wrong bytes.
            LimitError: ``no_space``.
        """
        if self.path is not None or self._reading_back:
            return
        if now - self._flushed_at >= FLUSH_AFTER_S:
            self._flushed_at = now
            self._partial.flush()
        if self._online and now - self._asked_at >= self._patience:
            self._stalled(now)

    def stop(self) -> None:
        """Stop the transfer but keep the stored part. Raises nothing: a full disk only costs the unflushed chunks."""
        self._link.unsubscribe(*self._filters)
        with suppress(LimitError):
            self._partial.close()

    @property
    def fraction(self) -> float:
        """The stored share of the blob, 0 to 1."""
        return self._partial.received_bytes / self._plan.size

    def waiting(self, now: float) -> bool:
        """Whether nothing has arrived for so long that a person should know: ``waiting_for_chunks``."""
        return self.path is None and not self._reading_back and now - self._fresh_at >= WAITING_AFTER_S

    def detail(self, now: float) -> str:
        """One sentence for the report."""
        here = f"{self._partial.received_bytes / 1e6:.1f} of {self._plan.size / 1e6:.1f} MB are here"
        if not self.waiting(now):
            return here
        minutes = (now - self._fresh_at) / 60
        return f"waiting_for_chunks: {here}, nothing has come for {minutes:.0f} minutes; push the model again"

    # -- what to request

    def _next_group(self) -> int | None:
        """The group to request: ``_PAGES`` for the digest pages, which come first; None if nothing is missing."""
        if self._partial.missing_pages():
            return _PAGES
        chunk = self._partial.next_missing(self._start)
        return None if chunk is None else chunk // GROUP_CHUNKS

    def _ask(self) -> None:
        """Replace the subscription by one for the next missing data."""
        before = self._filters
        self._group = group = self._next_group()
        if group is None:
            self._filters = ()
        elif group == _PAGES:
            self._filters = (self._topics.pages(self._sha256),)
        else:
            missing = self._partial.missing(self._plan.group_range(group))
            if len(missing) > FEW_CHUNKS:
                self._filters = (self._topics.chunk_group(self._sha256, group),)
            else:
                self._filters = tuple(self._topics.chunk(self._sha256, index) for index in missing)
        # The new filters, too: a session that outlived the previous process may have them subscribed.
        self._link.unsubscribe(*{*before, *self._filters})
        self._link.subscribe(*self._filters)

    def _stalled(self, now: float) -> None:
        self._stalls += 1
        self.counts.stalls += 1
        self._patience = min(PATIENCE_S[1], 2 * self._patience)
        if self._stalls >= _STALLS_TO_GO_ON:
            if self._wrong_since_asked:
                text = "the broker keeps chunks that are not the manifest's; check who writes to it, push again"
                raise TransferError("hash_mismatch", text)
            if self._group is not None and self._group != _PAGES:
                self._start = self._plan.group_range(self._group).stop
        self._wrong_since_asked = False
        self._ask()
        self._asked_at = now
        if self._stalls >= _STALLS_TO_ASK_HOSTS and self._stalls != _STALLS_TO_GO_ON:
            self._publish_need()  # skipped when the next group is tried for the first time

    def _publish_need(self) -> None:
        pages = self._partial.missing_pages()
        group = self._group
        if pages or group is None or self.counts.needs:
            chunks = self._partial.missing()
        else:
            chunks = self._partial.missing(self._plan.group_range(group))
        self.counts.needs += 1
        log.info("blob %.12s: the broker lacks %d chunks, %d pages; asking", self._sha256, len(chunks), len(pages))
        self._need(Need(device=self._device, sha256=self._sha256, chunks=ranges(chunks), pages=ranges(pages)))

    def _finish_if_whole(self) -> None:
        if self._partial.received != self._plan.chunks or self._reading_back or self.path is not None:
            return
        if self._later is None or self._plan.size <= _AT_ONCE_BYTES or self._partial.complete:
            self.path = self._partial.finish()
            return
        self._partial.flush()
        self._reading_back = True
        self._later(self._partial.read_back, self._read_back)

    def _read_back(self, digest: str) -> None:
        """Rename the blob that was read back; raises ``TransferError`` (hash_mismatch) or ``LimitError``."""
        self._reading_back = False
        self.path = self._partial.name_it(digest)


def ranges(indices: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending ``indices`` as inclusive ranges, cut at ``MAX_RANGES``: a later ``Need`` names the rest."""
    found: list[tuple[int, int]] = []
    for index in indices:
        if found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
        elif len(found) == MAX_RANGES:
            break
        else:
            found.append((index, index))
    return found
