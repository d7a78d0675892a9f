"""What a flood costs the daemon: the real process and a real mosquitto; hostile wants, and honest ones among them.

    python tests/bench/flood.py [--seconds 10] [--rates 20 200 2000 0] [--sizes 100 60000 200000] [--honest 5]

A row for each rate (0: as many as the broker takes), size and QoS: the messages sent, the largest RSS of the daemon,
the lines that it wrote to its log, and how many of the honest wants it answered, with the longest wait. Every hostile
message is another one, so nothing is known twice. Signatures are not asked for, so an honest want is answered by its
job at once: what is measured is the way to the rules and not the rules.
"""

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.brokers import MosquittoBroker  # noqa: E402  # after the path above
from support.device import Device  # noqa: E402
from support.documents import BLOB  # noqa: E402
from support.flood import Flood  # noqa: E402

from edge_agent.wire.envelope import MANIFEST_TYPE, seal  # noqa: E402
from edge_agent.wire.manifest import InputContract, Manifest, Window, encode_manifest  # noqa: E402
from edge_agent.wire.messages import JobReport  # noqa: E402
from edge_agent.wire.topics import Scope  # noqa: E402
from host_tools.broker.session import Session  # noqa: E402
from host_tools.broker.settings import Settings  # noqa: E402

ANSWER_S = 20.0


def resident_kib(pid: int, key: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def honest(device: Device, session: Session, version: int) -> float | None:
    """Seconds until the device reported an honest want; None: not in time."""
    scope = Scope("d", device.name)
    contract = InputContract(source="imu", channels=["ax"], window=Window(8, 8))
    manifest = Manifest(
        namespace=device.namespace, name="honest", version=version, format="onnx", blob=BLOB, inputs=[contract],
        targets=[str(scope)],
    )  # fmt: skip
    began = time.monotonic()
    session.publish(device.topics.want(scope, "honest"), seal(encode_manifest(manifest), MANIFEST_TYPE))
    try:
        device.expect(JobReport, lambda report: report.version == version, ANSWER_S)
    except TimeoutError:
        return None
    return time.monotonic() - began


def measure(folder: Path, rate: float, size: int, qos: int, seconds: float, orders: int) -> str:
    broker = MosquittoBroker(folder)
    broker.start()
    with Device(folder, broker.url, f"bench/{secrets.token_hex(4)}") as device:
        time.sleep(3)
        idle = resident_kib(device.pid, "VmRSS:")
        lines = device.log.read_bytes().count(b"\n")
        nonce = secrets.token_bytes(size)
        topic = device.topics.want(Scope("d", device.name), "hostile")
        took: list[float | None] = []
        settings = Settings(url=device.url, namespace=device.namespace)
        with Session(settings, lambda _text: None) as session:
            message = lambda number: (topic, (b"%09d" % number + nonce)[:size])  # noqa: E731
            with Flood(broker.url, message, a_second=rate, qos=qos) as flood:
                end = time.monotonic() + seconds
                for version in range(1, orders + 1):
                    took.append(honest(device, session, version))
                    time.sleep(seconds / orders / 2)
                time.sleep(max(0.0, end - time.monotonic()))
                sent = flood.sent
        answered = [one for one in took if one is not None]
        peak = resident_kib(device.pid, "VmHWM:")
        logged = device.log.read_bytes().count(b"\n") - lines
    broker.kill()
    longest = f"{max(answered):.1f} s" if answered else "-"
    return (
        f"{rate or 'most':>6} {size:>8} {qos:>4} {sent:>8} {idle / 1024:>8.1f} {peak / 1024:>8.1f} {logged:>8}"
        f" {len(answered):>4}/{orders} {longest:>8}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rates", type=float, nargs="*", default=[20, 200, 2000, 0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 60_000, 200_000])
    parser.add_argument("--honest", type=int, default=5)
    options = parser.parse_args()
    print("  rate     size  QoS     sent     idle     peak      log  honest  longest", flush=True)
    for size in options.sizes:
        for rate in options.rates:
            for qos in (0, 1):
                with tempfile.TemporaryDirectory() as name:
                    print(measure(Path(name), rate, size, qos, options.seconds, options.honest), flush=True)


if __name__ == "__main__":
    main()
