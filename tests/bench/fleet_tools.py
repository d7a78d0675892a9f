"""What the tools around a fleet cost the host: a scrape of the exporter, and storing what is said.

    python tests/bench/fleet_tools.py [--devices N]

A device has a model and its last 20 jobs, and says its health and what serving does. Each message goes the whole way
from its bytes; a batch of 1,000 is a transaction. PostgreSQL runs with fsync. fleet_month.py has what becomes of it.
Times of the processor are this process's own, so PostgreSQL's are not in them. Prints tables, asserts nothing.
"""

import argparse
import itertools
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from prometheus_client import parser  # noqa: E402  # after the path above
from support.fleets import Voice  # noqa: E402
from support.postgresql import postgresql  # noqa: E402

from edge_agent.wire.topics import Topics  # noqa: E402
from host_tools.exporter.serving import Exporter, answering  # noqa: E402
from host_tools.fleet.reading import Said, read  # noqa: E402
from host_tools.history.address import address  # noqa: E402
from host_tools.history.database import Database  # noqa: E402
from host_tools.history.rows import Rows  # noqa: E402

TOPICS = Topics("ea/v1")
ROUNDS = 20
BOOT = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
BATCH = 1000
JOBS = 20


def main() -> None:
    """Print what was asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--devices", type=int, default=2000)
    chosen = options.parse_args()
    fleet = [Voice(f"pi-{number:05}", TOPICS, boot_id=BOOT) for number in range(chosen.devices)]
    scrape(fleet)
    messages = [message for _ in range(ROUNDS) for voice in fleet for message in (voice.health(), voice.sample())]
    with tempfile.TemporaryDirectory() as folder:
        store("SQLite", f"{folder}/history.db", messages)
    with postgresql(fsync=True) as server:
        store("PostgreSQL", server.url, messages)


def scrape(fleet: list[Voice]) -> None:
    """Seconds and size of a scrape."""
    exporter = Exporter(TOPICS, print)
    kept = dict(itertools.chain.from_iterable(_kept(voice) for voice in fleet))
    began = time.perf_counter()
    exporter.kept(kept)
    print(f"exporter, {len(fleet)} devices: {time.perf_counter() - began:.2f} s to read {len(kept)} retained messages")
    for voice in fleet:
        for topic, payload in (voice.health(), voice.sample(), voice.event()):
            said = read(TOPICS, topic, payload)
            assert isinstance(said, Said)
            exporter.exported.fleet.take(said, time.time())
    with answering(exporter.exported, "127.0.0.1", 0) as port:
        for compressed in (False, True):
            request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics")
            if compressed:
                request.add_header("Accept-Encoding", "gzip")
            times, body = [], b""
            for _ in range(3):
                began, busy = time.perf_counter(), time.process_time()
                with urllib.request.urlopen(request) as answer:  # noqa: S310  # our own
                    body = answer.read()
                times.append((time.perf_counter() - began, time.process_time() - busy))
            name, (took, cpu) = " (gzip)" if compressed else "", min(times)
            print(f"  scrape{name}: {took:.2f} s, {cpu:.2f} s of processor, {len(body) / 1e6:.2f} MB")
            if not compressed:
                families = parser.text_string_to_metric_families(body.decode())
                print(f"  {sum(len(family.samples) for family in families)} samples")


def _kept(voice: Voice) -> Iterator[tuple[str, bytes]]:
    yield from (voice.status(), voice.info(), voice.model())
    yield from (voice.report(f"{number:016x}") for number in range(JOBS))


def store(name: str, db: str, messages: list[tuple[str, bytes]]) -> None:
    """Messages a second from their bytes to a commit."""
    database = Database(address(db), "ea/v1")
    writing = 0.0
    began, busy = time.perf_counter(), time.process_time()
    for start in range(0, len(messages), BATCH):
        rows = Rows()
        for topic, payload in messages[start : start + BATCH]:
            said = read(TOPICS, topic, payload)
            assert isinstance(said, Said)
            rows.add(said, time.time())
        at = time.perf_counter()
        assert not database.write(rows)
        writing += time.perf_counter() - at
    took, cpu = time.perf_counter() - began, time.process_time() - busy
    database.close()
    print(f"{name}: {len(messages)} messages in {took:.1f} s: {len(messages) / took:.0f} a second", end="; ")
    print(f"{writing / took:.0%} of it in the database; {cpu / len(messages) * 1e6:.0f} µs of our processor a message")


if __name__ == "__main__":
    main()
