"""What the dashboard costs for a large fleet: the first page, rows a second, memory, and what a browser loads.

    python tests/bench/dashboard.py [--devices N] [--reports N] [--seconds S]

The devices are simulated and speak on a real mosquitto; each has older jobs, too, with reports of some 10 kB. The
server is a process of its own. First paint is a real Chromium's, from the request to the first contentful paint, once
the server has read the fleet; where there is no Chromium it is left out. Row updates are those that the streams of all
pages send, of 100 rows each. Prints lines, asserts nothing.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import exp
from pathlib import Path
from random import Random

import psutil

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.brokers import MosquittoBroker  # noqa: E402
from support.dashboards import get  # noqa: E402
from support.fleets import Voice, eventually, running  # noqa: E402

from edge_agent.wire.topics import Topics  # noqa: E402  # after the path above
from host_tools.broker.session import Session  # noqa: E402
from host_tools.broker.settings import Settings  # noqa: E402

NAMESPACE = "sim/bench"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
PAINT = "() => performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)"


def main() -> None:
    """Print what was asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--devices", type=int, default=1000)
    options.add_argument("--reports", type=int, default=19)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--connections", type=int, default=50)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        broker = MosquittoBroker(Path(folder), "max_queued_messages 0", "max_connections -1")
        broker.start()
        try:
            keep_reports(broker.url, chosen.devices, chosen.reports)
            measure(broker.url, chosen.devices, chosen.connections, chosen.seconds)
        finally:
            broker.stop()


def keep_reports(url: str, devices: int, number: int) -> None:
    """Have the broker keep so many older reports of each device."""
    random = Random(1)  # noqa: S311  # numbers that do not compress well
    topics = Topics(NAMESPACE)
    layers = [{"name": f"layer_{place}/conv", "sqnr_db": random.gauss(30, 9), "op": "Conv"} for place in range(20)]
    counts = [[int(random.gauss(9000, 900) * exp(-((bar - 20) ** 2) / 90)) for bar in range(64)] for _ in range(20)]

    def reports() -> Iterator[tuple[str, bytes]]:
        for place in range(devices):
            voice = Voice(f"sim-{place + 1:04}", topics)
            for job in range(number):
                about = {"layers": layers, "counts": counts, "value": [random.random() for _ in range(50)]}
                started = f"2026-01-{job + 1:02}T00:00:00Z"
                yield voice.report(f"{job:08x}{place:08x}", version=job + 1, results=about, started=started)

    with Session(Settings(url=url, namespace=NAMESPACE)) as session:
        session.publish_all(reports())


def measure(url: str, devices: int, connections: int, seconds: float) -> None:
    """Start a fleet and a dashboard, and look at both."""
    where = ("--broker", url, "--namespace", NAMESPACE)
    busy = ("--jobs-per-hour", "6", "--health", "5", "--samples", "5")
    fleet = ("simulate", str(devices), *where, "--connections", str(connections), *busy)
    with running(*fleet) as simulation:
        simulation.said(f"{devices} devices online", 300)
        began = time.perf_counter()
        with running("dashboard", "--listen", "127.0.0.1:0", *where) as command:
            found = re.search(r"http://[\d.:]+", command.said("the dashboard of", 60))
            assert found
            eventually(lambda: "broker keeps" not in get(found[0]).text, 300)
            print(f"{devices} devices: {time.perf_counter() - began:.1f} s until the fleet was read")
            look(found[0], psutil.Process(command.process.pid), devices, seconds)
            with urllib.request.urlopen(f"{found[0]}/live?view=fleet", timeout=30) as answer:  # noqa: S310  # our own server
                answer.readline()
                print(f"{timed(command.end):.1f} s from SIGTERM to the end, with an open page")


def look(url: str, server: psutil.Process, devices: int, seconds: float) -> None:
    """The numbers of one server."""
    page = get(url, Accept_Encoding="gzip")
    files = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', get(url).text))
    loaded = sum(len(get(url + path, Accept_Encoding="gzip").body) for path in files)
    print(f"page: {len(page.body) / 1e3:.1f} kB of data, {loaded / 1e3:.1f} kB of scripts and styles, compressed")
    times = [timed(lambda: get(url)) for _ in range(10)]
    print(f"server: {1e3 * min(times):.0f} to {1e3 * max(times):.0f} ms a page of 100 rows")
    if Path(CHROMIUM).exists():
        print(f"first paint: {first_paint(url):.0f} ms")
    pages = -(-devices // 100)
    rows = [0] * pages
    ended = threading.Event()
    streams = [
        threading.Thread(target=count_rows, args=(f"{url}/live?view=fleet&page={number + 1}", rows, number, ended))
        for number in range(pages)
    ]
    for stream in streams:
        stream.start()
    time.sleep(5)
    before, cpu, began = sum(rows), sum(server.cpu_times()[:2]), time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - began
    updates, busy = (sum(rows) - before) / took, (sum(server.cpu_times()[:2]) - cpu) / took
    ended.set()
    print(f"{pages} open pages: {updates:.0f} row updates a second, {busy:.0%} of a processor")
    print(f"memory of the server: {server.memory_info().rss / 1e6:.0f} MB")
    for stream in streams:
        stream.join()


def count_rows(address: str, rows: list[int], number: int, ended: threading.Event) -> None:
    """Add up the rows that a stream sends."""
    with suppress(OSError), urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  # our own server
        for line in answer:
            rows[number] += line.count(b"<tr ")
            if ended.is_set():
                return


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def first_paint(url: str) -> float:
    """Milliseconds until a browser shows something, in a warm browser with an empty cache."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # only where there is a browser

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        times = []
        for _ in range(5):
            page = browser.new_context().new_page()
            page.goto(url, wait_until="domcontentloaded")
            page.wait_for_function(f"({PAINT})().length > 0")
            times += page.evaluate(PAINT)
            page.context.close()
        browser.close()
    return min(times)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt, subprocess.SubprocessError):
        main()
