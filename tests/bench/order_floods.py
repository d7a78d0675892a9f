"""Honest orders while somebody floods the broker: the real daemon, a real mosquitto, signatures checked.

    python tests/bench/order_floods.py [--rates 20,200,2000] [--seconds 20] [--kinds unsigned,forged] [--qos 0,1]

Each flood sends wants to topics of the device's own, at ``rate`` a second, no two of them alike:

* ``unsigned``: nobody signed them;
* ``stranger``: signed by a key that the device does not trust;
* ``forged``: they name a trusted key's id over a signature that is not its own, which only a check of it finds out.

Meanwhile an operator sends a signed order every second, wants and commands in turn. Goal: each is answered. Printed are
the orders answered within ``PATIENCE_S`` of the flood's end, the seconds until an answer (median, longest), the most
memory that the daemon held, and its share of a core.
"""

import argparse
import base64
import os
import queue
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.brokers import MosquittoBroker  # noqa: E402  # after the path above
from support.device import Device  # noqa: E402
from support.links import QueuedLink  # noqa: E402

from edge_agent.mqtt import Connected, Incoming  # noqa: E402
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, Envelope, Signature, unseal  # noqa: E402
from edge_agent.wire.manifest import Blob, Manifest, encode_manifest  # noqa: E402
from edge_agent.wire.messages import Command, DeviceInfo, JobReport, decode, encode  # noqa: E402
from edge_agent.wire.timestamps import rfc3339  # noqa: E402
from edge_agent.wire.topics import DeviceTopic, Scope, Topics  # noqa: E402
from host_tools.broker.signing import enclose, generate_key  # noqa: E402

PATIENCE_S = 20.0
SETTLE_S = 2.0
TOO_LARGE = Blob("0" * 64, 1 << 29, ["1" * 64] * 5)
"""Of a model that the device refuses to fetch, so that a want is answered at once by its job's only report."""
TICKS = os.sysconf("SC_CLK_TCK")


def manifest(namespace: str, name: str, scope: Scope, version: int = 1) -> bytes:
    return encode_manifest(Manifest(namespace, name, version, "onnx", TOO_LARGE, targets=[str(scope)]))


def resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Flood:
    """Sends at a rate, from a process of its own, until it is stopped; ``sent`` is how many it sent."""

    def __init__(self, device: Device, kind: str, keyid: str, stranger: Path, rate: int, qos: int) -> None:
        words = [device.url, device.namespace, device.name, kind, keyid, str(stranger), str(rate), str(qos)]
        argv = [sys.executable, __file__, "--flood", *words]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.sent = 0

    def stop(self) -> None:
        out, _ = self._process.communicate("", timeout=60)
        self.sent = int(out)


def flood(url: str, namespace: str, name: str, kind: str, keyid: str, stranger: str, rate: int, qos: int) -> int:
    """Send until standard input ends; returns how many were sent. MQTT 3.1.1 by hand: a client library is too slow."""
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    scope, topics, sent = Scope("d", name), Topics(namespace), 0
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as connection:
        client = f"flood-{secrets.token_hex(4)}".encode()
        connection.sendall(packet(0x10, b"\0\x04MQTT\x04\x02\0\0" + len(client).to_bytes(2) + client))
        threading.Thread(target=drain, args=(connection,), daemon=True).start()
        template = manifest(namespace, "name", scope).replace(b'"name":"name"', b'"name":"NAME"')
        began = time.monotonic()
        while not over.is_set():
            due = min(int((time.monotonic() - began) * rate), sent + 200)
            burst = []
            for number in range(sent, due):
                topic = topics.want(scope, f"x{number}").encode()
                body = len(topic).to_bytes(2) + topic + ((number % 65535 + 1).to_bytes(2) if qos else b"")
                content = template.replace(b'"NAME"', b'"x%d"' % number)
                burst.append(packet(0x30 | qos << 1, body + hostile(content, kind, keyid, stranger)))
            connection.sendall(b"".join(burst))
            sent = max(sent, due)
            time.sleep(0.005)
        connection.shutdown(socket.SHUT_RDWR)
    return sent


def drain(connection: socket.socket) -> None:
    """Read acknowledgements, and forget them."""
    with suppress(OSError):
        while connection.recv(65536):
            pass


def packet(kind: int, body: bytes) -> bytes:
    """An MQTT packet: its kind and flags, the length in sevens of bits, the body."""
    left, length = len(body), bytearray()
    while True:
        left, digit = divmod(left, 128)
        length.append(digit | (0x80 if left else 0))
        if not left:
            return bytes([kind]) + bytes(length) + body


def hostile(content: bytes, kind: str, keyid: str, stranger: str) -> bytes:
    """A want that nobody who is trusted has signed."""
    if kind == "stranger":
        return enclose(content, MANIFEST_TYPE, stranger)
    forged = [Signature(base64.b64encode(os.urandom(64)).decode(), keyid)] if kind == "forged" else []
    return Envelope(base64.b64encode(content).decode(), MANIFEST_TYPE, forged).encoded()


class Operator:
    """Sends signed orders, and notes when each is answered."""

    def __init__(self, device: Device, key: Path) -> None:
        self.device = device
        self.key = str(key)
        self.sent: dict[str, float] = {}
        self.answered: dict[str, float] = {}
        self._link = QueuedLink(device.url, f"operator-{secrets.token_hex(4)}")

    def __enter__(self) -> Self:
        self._link.__enter__()
        self._link.expect(Connected)
        names = "job/+", "done/+"
        self._link.link.subscribe(*(f"{self.device.namespace}/d/{self.device.name}/{name}" for name in names))
        return self

    def __exit__(self, *exception: object) -> None:
        self._link.link.stop()

    def send(self, number: int) -> None:
        scope, topics, name = Scope("d", self.device.name), self.device.topics, f"h{number}"
        if number % 2:
            now = time.time()
            command = Command(
                namespace=self.device.namespace, id=name, action="recalibrate", model="none",
                targets=[str(scope)], created=rfc3339(now), expires=rfc3339(now + 600),
            )  # fmt: skip
            topic, order = topics.command(scope, name), enclose(encode(command), COMMAND_TYPE, self.key)
        else:
            content = manifest(self.device.namespace, name, scope)
            topic, order = topics.want(scope, name), enclose(content, MANIFEST_TYPE, self.key)
        self.sent[name] = time.monotonic()
        self._link.link.publish(topic, order, retain=True).wait(10)

    def listen(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0 and len(self.answered) < len(self.sent):
            self._hear(left)

    def pause(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            self._hear(left)

    def _hear(self, timeout_s: float) -> None:
        try:
            event = self._link.inbox.get(timeout=timeout_s)
        except queue.Empty:
            return
        if not isinstance(event, Incoming) or not event.payload:
            return
        topic = Topics(self.device.namespace).parse(event.topic)
        if not isinstance(topic, DeviceTopic):
            return
        name = topic.leaf if topic.kind == "done" else decode(event.payload, JobReport).model
        if name in self.sent:
            self.answered.setdefault(name, time.monotonic())


def measure(folder: Path, kind: str, rate: int, qos: int, seconds: float) -> str:
    """One flood against one daemon; a line of the table."""
    broker = MosquittoBroker(folder)
    broker.start()
    keys = folder / "keys"
    keys.mkdir()
    generate_key(folder / "operator.key", keys / "operator.pem")
    generate_key(folder / "stranger.key", folder / "stranger.pem")
    trust, limits = {"allow_unsigned": False, "keys_dir": str(keys)}, {"max_model_bytes": 1 << 20}
    namespace = f"bench/{secrets.token_hex(4)}"
    with (
        Device(folder, broker.url, namespace, trust=trust, limits=limits) as device,
        Operator(device, folder / "operator.key") as operator,
    ):
        device.expect(DeviceInfo, lambda info: bool(info.runtimes), 60)
        time.sleep(SETTLE_S)
        most, used, began = resident_mib(device.pid), cpu_s(device.pid), time.monotonic()
        known = unseal(enclose(b"{}", MANIFEST_TYPE, str(folder / "operator.key")), MANIFEST_TYPE).signatures[0].keyid
        hostile_host = Flood(device, kind, known, folder / "stranger.key", rate, qos)
        for number in range(int(seconds)):
            operator.pause(began + 1.0 + number)
            operator.send(number)
            most = max(most, resident_mib(device.pid))
        hostile_host.stop()
        took = time.monotonic() - began
        share = (cpu_s(device.pid) - used) / took
        operator.listen(time.monotonic() + PATIENCE_S)
        most = max(most, resident_mib(device.pid))
        log_lines = len(device.log.read_text().splitlines())
    broker.kill()
    waits = [operator.answered[name] - operator.sent[name] for name in operator.answered]
    median, longest = (statistics.median(waits), max(waits)) if waits else (float("nan"), float("nan"))
    return (
        f"{kind:9} {rate:6} {qos:4} {hostile_host.sent / took:9.0f} {len(waits):4} of {len(operator.sent):3} "
        f"{median:8.2f} {longest:8.2f} {most:8.1f} {100 * share:6.0f} {log_lines:7}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rates", default="20,200,2000")
    parser.add_argument("--kinds", default="unsigned,stranger,forged")
    parser.add_argument("--qos", default="0,1")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--flood", nargs=8, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.flood:
        *words, rate, qos = options.flood
        print(flood(*words, int(rate), int(qos)))
        return
    print("flood       rate  QoS    sent/s   answered    median  longest  RSS MiB  CPU %  log lines")
    for kind in options.kinds.split(","):
        for rate in options.rates.split(","):
            for qos in options.qos.split(","):
                with tempfile.TemporaryDirectory() as name:
                    print(measure(Path(name), kind, int(rate), int(qos), options.seconds), flush=True)


if __name__ == "__main__":
    main()
