"""Where documents wait for the check of their signatures: a bounded queue for each scope's wants and commands. Pure.

No queue can starve another: each gives its oldest in turn, the device's own wants first, then its groups', then
commands. Whoever fills one queue does so at the cost of that one alone. Wants of models that are here already have
queues of their own: whoever makes names up does not stand in their way.
"""

from collections import OrderedDict
from collections.abc import Iterable

from edge_agent.daemon.admission.documents import Address, Document
from edge_agent.wire.topics import Scope, WantTopic

MOST = 512
"""Documents in one queue, and in one batch."""
MOST_BYTES = 512 * 1024
"""Of the documents in one queue, and in one batch; a largest document has 64 KiB."""
_RESERVED = 2
"""Queues take so many times as much of what was fetched on purpose, so that a flood cannot keep it out."""


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
    """Takes documents in until a queue is full, and gives them out in fair batches."""

    def __init__(self, scopes: Iterable[Scope]) -> None:
        """``scopes``: the device's own first."""
        known = list(scopes)
        keys = [(kind, scope) for kind in ("known", "want", "cmd") for scope in known]
        self._queues = {key: _Queue() for key in keys}
        self._singly: set[bytes] = set()

    def __len__(self) -> int:
        return sum(len(queue.documents) for queue in self._queues.values())

    def has_room(self) -> bool:
        """Whether no queue is more than half full, so that what was missed may be fetched."""
        return all(2 * len(queue.documents) <= MOST and 2 * queue.size <= MOST_BYTES for queue in self._queues.values())

    def add(self, document: Document, *, fetched: bool = False) -> bool:
        """Take a document in; False: its queue is full. One that waits already is not taken twice."""
        queue = self._queue(document)
        if document.fingerprint in queue.documents:
            return True
        if not queue.fits(document, _RESERVED if fetched else 1):
            return False
        queue.add(document)
        return True

    def put_back(self, documents: Iterable[Document]) -> None:
        """Take in again what a failed check left unchecked: each alone next time, as one may be the cause."""
        for document in documents:
            self._singly.add(document.fingerprint)
            self._queue(document).add(document)

    def drop(self, topic: Address) -> None:
        """Forget what waits of a topic: it was cleared."""
        for (_, scope), queue in self._queues.items():
            gone = [one for one in queue.documents.values() if one.topic == topic] if scope == topic.scope else []
            for document in gone:
                queue.drop(document.fingerprint)
                self._singly.discard(document.fingerprint)

    def take(self) -> list[Document]:
        """The next batch: the oldest of each queue, then the next of each, as many as one check may have."""
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
