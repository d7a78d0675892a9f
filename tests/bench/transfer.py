"""Goodput of a push through each broker, against a bare TCP socket and ``mosquitto_pub -f``: one interleaved run.

    python tests/bench/transfer.py [--mb 100] [--rounds 3]

Each round measures every way once, so a change of the machine's mood hits all alike; the table gives medians.
``upload`` ends when the broker has acknowledged the last chunk, ``receive`` when the device, a process of its own, has
fsynced, hashed and renamed the blob. ``tcp`` moves the same bytes between two processes over loopback and keeps
nothing; ``tcp, kept`` hashes them, writes them to a file and fsyncs it, which any receiver must do to have a model.
``mosquitto_pub`` sends the file as one message and ends when ``mosquitto_sub`` has it, on no disk.
"""

import argparse
import hashlib
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

import msgspec  # noqa: E402  # after the path above
from support.brokers import MOSQUITTO, Broker, IotcoreBroker, MosquittoBroker  # noqa: E402
from support.transfers import Device, describe, upload  # noqa: E402

from edge_agent.wire.manifest import Blob  # noqa: E402


def device(url: str, namespace: str, folder: str, blob: str) -> None:
    """The receiving process: prints seconds from the connection to the renamed file, and the peak of its memory."""
    one = Device(url, namespace, Path(folder), msgspec.json.decode(blob, type=Blob))
    before = kilobytes("VmRSS")
    began = time.perf_counter()
    if one.run(300) is None:
        raise SystemExit(f"not received: {one.receiver.counts}")
    seconds = time.perf_counter() - began
    print(seconds, before, kilobytes("VmHWM"), one.receiver.counts.stalls)


def kilobytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def tcp_sink(port: str, path: str) -> None:
    """Receive from 127.0.0.1:port to the end; keep the bytes if ``path`` is not empty."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 20))
    with socket.create_connection(("127.0.0.1", int(port))) as peer, Path(path or os.devnull).open("wb") as file:
        while count := peer.recv_into(buffer):
            if path:
                digest.update(buffer[:count])
                file.write(buffer[:count])
        if path:
            file.flush()
            os.fsync(file.fileno())
        peer.sendall(b"!")


def measure_tcp(data: bytes, path: str) -> float:
    server = socket.create_server(("127.0.0.1", 0))
    sink = [sys.executable, __file__, "tcp_sink", str(server.getsockname()[1]), path]
    with server, subprocess.Popen(sink), server.accept()[0] as peer:
        began = time.perf_counter()
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        peer.recv(1)
        return time.perf_counter() - began


def measure_mosquitto_pub(broker: MosquittoBroker, model: Path, pub: str, sub: str) -> float:
    at = ["-h", "127.0.0.1", "-p", str(broker.port), "-t", "bench", "-q", "1"]
    with subprocess.Popen([sub, *at, "-C", "1"], stdout=subprocess.DEVNULL) as reader:
        time.sleep(0.5)
        began = time.perf_counter()
        subprocess.run([pub, *at, "-f", str(model)], check=True)
        reader.wait()
        return time.perf_counter() - began


def measure_push(
    broker: Broker, model: Path, blob: Blob, folder: Path, namespace: str
) -> tuple[float, float, int, int, int]:
    began = time.perf_counter()
    upload(broker.url, namespace, model, blob)
    uploaded = time.perf_counter() - began
    folder.mkdir()
    arguments = [broker.url, namespace, str(folder), msgspec.json.encode(blob).decode()]
    output = subprocess.run(
        [sys.executable, __file__, "device", *arguments], check=True, capture_output=True, text=True
    ).stdout.split()
    shutil.rmtree(folder)
    return uploaded, float(output[0]), int(output[1]), int(output[2]), int(output[3])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data = random.randbytes(options.mb * 1_000_000)  # noqa: S311  # no secret
    blob = describe(data)
    seconds: dict[str, list[float]] = defaultdict(list)
    peaks: dict[str, tuple[int, int]] = {}
    stalls: dict[str, int] = defaultdict(int)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model = root / "model"
        model.write_bytes(data)
        for number in range(options.rounds):
            seconds["tcp"].append(measure_tcp(data, ""))
            seconds["tcp, kept"].append(measure_tcp(data, str(root / "sink")))
            for kind in (IotcoreBroker, MosquittoBroker) if MOSQUITTO else (IotcoreBroker,):
                folder = root / f"{kind.kind}-{number}"
                folder.mkdir()
                broker = kind(folder)
                broker.start()
                up, down, before, peak, stalled = measure_push(broker, model, blob, folder / "device", "bench/x")
                seconds[f"{kind.kind} upload"].append(up)
                seconds[f"{kind.kind} receive"].append(down)
                peaks[kind.kind] = max((peak, before), peaks.get(kind.kind, (0, 0)))
                stalls[kind.kind] += stalled
                pub, sub = shutil.which("mosquitto_pub"), shutil.which("mosquitto_sub")
                if isinstance(broker, MosquittoBroker) and pub and sub:
                    seconds["mosquitto_pub -f"].append(measure_mosquitto_pub(broker, model, pub, sub))
                broker.kill()
                shutil.rmtree(folder)
    speeds = {what: options.mb / statistics.median(times) for what, times in seconds.items()}
    print(f"{options.mb} MB, {options.rounds} rounds, {os.cpu_count()} cores")
    print(f"{'':20}{'MB/s':>8}{'of tcp':>9}{'of tcp, kept':>14}")
    for what, speed in speeds.items():
        print(f"{what:20}{speed:8.0f}{speed / speeds['tcp']:9.2f}{speed / speeds['tcp, kept']:14.2f}")
    for kind, (peak, before) in peaks.items():
        print(
            f"{kind}: receiver peak {peak / 1024:.1f} MiB, {(peak - before) / 1024:.1f} above its start; "
            f"{stalls[kind]} stalls"
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["device", *arguments]:
            device(*arguments)
        case ["tcp_sink", port, path]:
            tcp_sink(port, path)
        case _:
            main()
