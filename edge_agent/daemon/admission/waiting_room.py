"""Bounded queues in which documents wait for their signature check, one per scope and kind. Pure.

No queue can starve another: each contributes its oldest document in turn, the device's own wants first, then its
groups', then commands. A flood fills only its own queue. Wants of models that this device knows have separate queues,
so that made-up model names do not displace them.
"""

from collections import OrderedDict
from collections.abc import Iterable

from edge_agent.daemon.admission.documents import Address, Document
from edge_agent.wire.topics import Scope, WantTopic

MOST = 512
"""Documents in one queue, and in one batch."""
MOST_BYTES = 512 * 1024
"""Size of the documents in one queue, and in one batch; a single document has at most 64 KiB."""
_RESERVED = 2
"""Factor by which a queue has more room for documents fetched on purpose, so that a flood cannot keep them out."""


class _Queue:
    def __init__(self) -> None:
        self.documents: OrderedDict[bytes, Document] = OrderedDict()
        self.size = 0

    def fits(self, document: Document, times: int) -> bool:
        return len(self.documents) < times * MOST and self.size + document.size <= times * MOST_BYTES

    def add(self, document: Document) -> None:
        self.documents[document.fingerprint] = document
        self.size += document.size

    def drop(self, fingerprint: bytes) -> Document:
        document = self.documents.pop(fingerprint)
        self.size -= document.size
        return document


class WaitingRoom:
    """Accepts documents until a queue is full, and returns them in fair batches."""

    def __init__(self, scopes: Iterable[Scope]) -> None:
        """``scopes``: the device's own comes first."""
        known = list(scopes)
        keys = [(kind, scope) for kind in ("known", "want", "cmd") for scope in known]
        self._queues = {key: _Queue() for key in keys}
        self._singly: set[bytes] = set()

    def __len__(self) -> int:
        return sum(len(queue.documents) for queue in self._queues.values())

    def has_room(self) -> bool:
        """Whether no queue is more than half full, so that missed orders may be fetched."""
        return all(2 * len(queue.documents) <= MOST and 2 * queue.size <= MOST_BYTES for queue in self._queues.values())

    def add(self, document: Document, *, fetched: bool = False) -> bool:
        """Add a document unless it waits already; False if its queue is full."""
        queue = self._queue(document)
        if document.fingerprint in queue.documents:
            return True
        if not queue.fits(document, _RESERVED if fetched else 1):
            return False
        queue.add(document)
        return True

    def put_back(self, documents: Iterable[Document]) -> None:
        """Return documents after a failed check; each is checked alone next time, as any may be the cause."""
        for document in documents:
            self._singly.add(document.fingerprint)
            self._queue(document).add(document)

    def drop(self, topic: Address) -> None:
        """Remove the waiting documents of a cleared topic."""
        for (_, scope), queue in self._queues.items():
            gone = [one for one in queue.documents.values() if one.topic == topic] if scope == topic.scope else []
            for document in gone:
                queue.drop(document.fingerprint)
                self._singly.discard(document.fingerprint)

    def take(self) -> list[Document]:
        """The next batch: the oldest of each queue, then the next of each, up to the limits of one check."""
        batch: list[Document] = []
        size = 0
        queues = [queue for queue in self._queues.values() if queue.documents]
        while queues:
            for queue in queues:
                fingerprint, document = next(iter(queue.documents.items()))
                alone = fingerprint in self._singly
                if batch and (alone or len(batch) >= MOST or size + document.size > MOST_BYTES):
                    return batch
                batch.append(queue.drop(fingerprint))
                size += document.size
                if alone:
                    self._singly.discard(fingerprint)
                    return batch
            queues = [queue for queue in queues if queue.documents]
        return batch

    def _queue(self, document: Document) -> _Queue:
        kind = "cmd"
        if isinstance(document.topic, WantTopic):
            kind = "known" if document.familiar else "want"
        return self._queues[kind, document.topic.scope]
