import random
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.transfers import describe

from edge_agent.daemon.transfer import receiver
from edge_agent.daemon.transfer.partial_blob import PartialBlob
from edge_agent.daemon.transfer.receiver import Later, Receiver, ranges
from edge_agent.errors import TransferError
from edge_agent.wire.chunks import CHUNK_BYTES, GROUP_CHUNKS, digest_pages
from edge_agent.wire.messages import Need
from edge_agent.wire.topics import ChunkTopic, PageTopic, Topics

if TYPE_CHECKING:
    from collections.abc import Callable

TOPICS = Topics("t")
DATA = random.Random(3).randbytes((2 * GROUP_CHUNKS + 5) * CHUNK_BYTES - 1)  # noqa: S311  # no secret
CHUNKS = [DATA[i : i + CHUNK_BYTES] for i in range(0, len(DATA), CHUNK_BYTES)]
BLOB = describe(DATA)
ALL = {TOPICS.chunk(BLOB.sha256, index): chunk for index, chunk in enumerate(CHUNKS)} | {
    TOPICS.page(BLOB.sha256, page): payload for page, payload in enumerate(digest_pages(iter(CHUNKS)))
}


class Broker:
    """Retained messages, subscriptions, and a will of its own: ``loss`` of what it should deliver it forgets.

    Like rumqttd it delivers retained messages only for a filter that was not subscribed.
    """

    def __init__(self, *, loss: float = 0.0, host: bool = False, seed: int = 0) -> None:
        self.retained = dict(ALL)
        self.filters: set[str] = set()
        self.sending: deque[tuple[str, bytes]] = deque()
        self.needs: list[Need] = []
        self.host = host
        self._loss = loss
        self._random = random.Random(seed)  # noqa: S311  # no secret

    def subscribe(self, *filters: str) -> None:
        for name in set(filters) - self.filters:
            matching = [(topic, payload) for topic, payload in self.retained.items() if matches(name, topic)]
            self._random.shuffle(matching)
            self._deliver(matching)
        self.filters.update(filters)

    def unsubscribe(self, *filters: str) -> None:
        self.filters.difference_update(filters)

    def need(self, need: Need) -> None:
        self.needs.append(need)
        if not self.host:
            return
        for first, last in need.pages:
            self._publish([TOPICS.page(BLOB.sha256, page) for page in range(first, last + 1)])
        for first, last in need.chunks:
            self._publish([TOPICS.chunk(BLOB.sha256, index) for index in range(first, last + 1)])

    def _publish(self, topics: list[str]) -> None:
        for topic in topics:
            self.retained[topic] = ALL[topic]
            if any(matches(name, topic) for name in self.filters):
                self._deliver([(topic, ALL[topic])])

    def _deliver(self, messages: list[tuple[str, bytes]]) -> None:
        self.sending.extend(message for message in messages if self._random.random() >= self._loss)


def matches(name: str, topic: str) -> bool:
    wanted, levels = name.split("/"), topic.split("/")
    return len(wanted) == len(levels) and all(a in ("+", b) for a, b in zip(wanted, levels, strict=True))


class Clocked:
    """A receiver on a broker of its own, and time that passes only here."""

    def __init__(self, folder: Path, broker: Broker, later: Later | None = None) -> None:
        self.broker = broker
        self.now = 1000.0
        self.partial = PartialBlob(folder, BLOB, reserve_bytes=0)
        self.receiver = Receiver(self.partial, TOPICS, broker, broker.need, device="pi-01", now=self.now, later=later)
        self.receiver.connected(self.now)

    def run(self, seconds: float, *, seconds_a_message: int = 0) -> float:
        """Let time pass until the blob is whole; the seconds it took. 0 seconds a message: all come at once."""
        began = self.now
        while self.receiver.path is None and self.now < began + seconds:
            while self.broker.sending and not (seconds_a_message and (self.now - began) % seconds_a_message):
                topic, payload = self.broker.sending.popleft()
                parsed = TOPICS.parse(topic)
                assert isinstance(parsed, ChunkTopic | PageTopic)
                self.receiver.take(parsed, payload, self.now)
                if seconds_a_message:
                    break
            self.now += 1.0
            self.receiver.tick(self.now)
        self.receiver.stop()
        return self.now - began


@settings(deadline=None, max_examples=30)
@given(loss=st.floats(0, 0.9), seed=st.integers(0, 10**6))
def test_a_broker_that_forgets_to_deliver_is_only_slow(
    tmp_path_factory: pytest.TempPathFactory, loss: float, seed: int
) -> None:
    one = Clocked(tmp_path_factory.mktemp("blobs"), Broker(loss=loss, seed=seed))

    one.run(36_000)

    assert one.receiver.path is not None
    assert one.receiver.path.read_bytes() == DATA


@settings(deadline=None, max_examples=30)
@given(gone=st.sets(st.sampled_from(sorted(ALL)), min_size=1), seed=st.integers(0, 10**6))
def test_a_broker_that_lost_messages_is_healed_by_a_host(
    tmp_path_factory: pytest.TempPathFactory, gone: set[str], seed: int
) -> None:
    broker = Broker(host=True, seed=seed)
    one = Clocked(tmp_path_factory.mktemp("blobs"), broker)
    one.broker.sending.clear()
    for topic in gone:
        del broker.retained[topic]

    seconds = one.run(3600)

    assert one.receiver.path is not None
    assert seconds < 120
    assert broker.needs


def test_everything_else_is_fetched_while_one_chunk_is_lost(tmp_path: Path) -> None:
    broker = Broker()
    del broker.retained[TOPICS.chunk(BLOB.sha256, 3)]
    one = Clocked(tmp_path, broker)

    one.run(700)

    assert one.partial.missing() == [3]
    assert {tuple(need.chunks) for need in broker.needs} == {((3, 3),)}
    assert one.receiver.waiting(one.now)
    assert one.receiver.detail(one.now).startswith("waiting_for_chunks")
    assert one.receiver.fraction > 0.98


def test_need_is_repeated_and_names_first_the_group_then_all(tmp_path: Path) -> None:
    broker = Broker()
    for index in range(len(CHUNKS)):
        del broker.retained[TOPICS.chunk(BLOB.sha256, index)]
    one = Clocked(tmp_path, broker)

    one.run(600)

    assert broker.needs[0].chunks == [(0, GROUP_CHUNKS - 1)]
    assert [need.chunks for need in broker.needs[1:]] == [[(0, len(CHUNKS) - 1)]] * (len(broker.needs) - 1)
    assert 8 <= len(broker.needs) <= 14
    assert not broker.needs[0].pages


def test_what_is_here_is_not_fetched_again_and_again(tmp_path: Path) -> None:
    broker = Broker()
    for index in range(20):
        del broker.retained[TOPICS.chunk(BLOB.sha256, index)]
    one = Clocked(tmp_path, broker)

    one.run(3600)

    assert one.partial.missing() == list(range(20))
    assert one.receiver.counts.known <= 12 * 3600 / 60 + 100


def test_slow_links_get_time(tmp_path: Path) -> None:
    one = Clocked(tmp_path, Broker())

    one.run(60, seconds_a_message=12)  # 10 kB/s
    stalls = one.receiver.counts.stalls
    one.receiver.connected(one.now)
    one.run(1200, seconds_a_message=12)

    assert stalls <= 2
    assert one.receiver.counts.stalls == stalls
    assert one.receiver.counts.fresh + one.receiver.counts.known >= 100


def test_wrong_bytes_that_stay_end_it(tmp_path: Path) -> None:
    broker = Broker()
    broker.retained[TOPICS.chunk(BLOB.sha256, 40)] = b"x"
    one = Clocked(tmp_path, broker)

    with pytest.raises(TransferError, match="hash_mismatch"):
        one.run(3600)

    assert one.now < 1000 + 60
    assert one.partial.missing(range(GROUP_CHUNKS)) == []
    one.receiver.stop()


def test_few_missing_chunks_are_asked_for_by_name(tmp_path: Path) -> None:
    first = Clocked(tmp_path, Broker())
    first.run(10)
    whole = tmp_path / BLOB.sha256
    whole.unlink()
    partial = PartialBlob(tmp_path, BLOB, reserve_bytes=0)
    partial.add_page(0, ALL[TOPICS.page(BLOB.sha256, 0)])
    for index, chunk in enumerate(CHUNKS):
        if index not in (3, 9):
            partial.add_chunk(index, chunk)
    partial.close()

    one = Clocked(tmp_path, Broker())

    assert one.broker.filters == {TOPICS.chunk(BLOB.sha256, 3), TOPICS.chunk(BLOB.sha256, 9)}
    one.run(10)
    assert (one.receiver.counts.fresh, one.receiver.counts.known) == (2, 0)


def test_nothing_is_asked_while_offline(tmp_path: Path) -> None:
    one = Clocked(tmp_path, Broker())
    one.broker.sending.clear()
    one.receiver.disconnected()

    one.run(300)

    assert (one.receiver.counts.stalls, one.broker.needs) == (0, [])


def test_cleared_messages_and_other_blobs_mean_nothing(tmp_path: Path) -> None:
    one = Clocked(tmp_path, Broker())
    one.receiver.take(PageTopic(BLOB.sha256, 0), b"", one.now)
    one.receiver.take(PageTopic("0" * 64, 0), b"x", one.now)

    assert one.receiver.counts == receiver.Counts()
    one.receiver.stop()


@given(st.sets(st.integers(0, 200)))
def test_ranges_name_exactly_the_indices(indices: set[int]) -> None:
    found = ranges(sorted(indices))

    assert {index for first, last in found for index in range(first, last + 1)} == indices
    assert all(b[0] > a[1] + 1 for a, b in pairwise(found))


def test_ranges_are_bounded() -> None:
    assert len(ranges(range(0, 100_000, 2))) == receiver.MAX_RANGES


def test_a_large_blob_is_read_back_elsewhere_and_asks_for_nothing_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "_AT_ONCE_BYTES", 0)
    asked: list[tuple[Callable[[], str], Callable[[str], None]]] = []
    one = Clocked(tmp_path, Broker(), later=lambda work, then: asked.append((work, then)))

    one.run(600)

    [(work, then)] = asked
    assert one.receiver.path is None
    assert (one.broker.needs, one.broker.filters, one.receiver.counts.stalls) == ([], set(), 0)
    assert one.receiver.fraction == 1
    assert "nothing has come" not in one.receiver.detail(one.now)
    then(work())
    assert one.receiver.path is not None
    assert one.receiver.path.read_bytes() == DATA


def test_a_large_blob_that_was_read_back_wrong_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "_AT_ONCE_BYTES", 0)
    asked: list[Callable[[str], None]] = []
    one = Clocked(tmp_path, Broker(), later=lambda _work, then: asked.append(then))
    one.run(600)

    with pytest.raises(TransferError, match="hash_mismatch"):
        asked[0]("0" * 64)

    assert list(tmp_path.iterdir()) == []
