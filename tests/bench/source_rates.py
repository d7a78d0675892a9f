"""Samples lost and processor time used by each kind of source, at the rates that a device has to stand.

    python tests/bench/source_rates.py [--seconds 10]

Goals: none lost at 6 axes x 1 kHz over serial, 16 kHz sound, 30 pictures of 320 x 240 a second. A child process reads
as capture does and prints what it got; the sender numbers its samples, so what is missing shows. The processor's time
is the child's own, from when it has opened the source, in percent of one core. Sound comes from a ``.wav`` at its rate
in place of PortAudio, pictures from a video file through the call that opens a camera, the kernel's buffer is a pipe.
"""

import argparse
import contextlib
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

import numpy as np  # noqa: E402  # after the path above
from cobs import cobs  # noqa: E402
from support.brokers import IotcoreBroker  # noqa: E402
from support.captures import Terminal  # noqa: E402
from support.links import QueuedLink  # noqa: E402
from support.rigs import WavCard, iio_scan, ramp, write_iio_tree, write_video, write_wav  # noqa: E402

from edge_agent.mqtt import Connected  # noqa: E402
from edge_agent.sources import EndOfSource, Source, open_source  # noqa: E402
from edge_agent.sources import audio as audio_kind  # noqa: E402

AXES = [f"a{axis}" for axis in range(6)]
RATE_HZ = 1000
AUDIO_HZ = 16_000
FPS = 30
WRAP = 30_000
"""Numbers of samples begin again here: they fit an int16."""


def read(table: dict[str, Any], seconds: float) -> None:
    """The child: read for so long, then say what came."""
    source = _open(table)
    numbers: list[np.ndarray] = []
    print("ready", flush=True)
    while source.read(1.0) is None:
        pass
    usage, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    count = 0
    while time.monotonic() < began + seconds:
        try:
            arrived = source.read(0.5)
        except EndOfSource:
            break
        if arrived is not None:
            count += len(arrived)
            numbers.append(np.array(arrived.reshape(len(arrived), -1)[:, 0], np.float64))
    took, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = used.ru_utime + used.ru_stime - usage.ru_utime - usage.ru_stime
    source.close()
    wrap = 2000 if table["kind"] == "iio" else WRAP
    scale = 32_768 if table["kind"] == "audio" else 1
    steps = np.diff(np.concatenate(numbers) * scale) % wrap if numbers else np.empty(0)
    told = {
        "samples": count,
        "missing": -1 if source.frame_shape else int(np.round(steps - 1).sum()),
        "late": round(source.rate_hz * took) - count,
        "malformed": source.malformed,
        "gaps": source.gaps,
        "cpu_percent": 100 * cpu_s / took,
        "rate_hz": source.arrivals.rate_hz(),
    }
    print(json.dumps(told), flush=True)


def _open(table: dict[str, Any]) -> Source:
    if table["kind"] != "audio":
        return open_source("it", table)
    options = audio_kind.Options(channels=["mono"], rate_hz=AUDIO_HZ)
    return audio_kind.AudioSource(options, lambda asked: WavCard(Path(table["path"]), asked, lambda: True))


def measure(name: str, table: dict[str, Any], seconds: float, send: Callable[[int], None] | None = None) -> None:
    """One kind: a child that reads, and this process that sends ``RATE_HZ`` samples a second."""
    argv = [sys.executable, __file__, "--child", json.dumps(table), "--seconds", str(seconds)]
    stop = threading.Event()
    sender = threading.Thread(target=_send, args=(send, stop), daemon=True)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        if child.stdout is None or child.stdout.readline() != "ready\n":
            raise SystemExit(f"{name}: the reader did not begin")
        if send is not None:
            sender.start()
        said = child.stdout.readline()
        stop.set()
    if send is not None:
        sender.join()
    told = json.loads(said)
    missing = told["missing"] if told["missing"] >= 0 else max(0, told["late"] - 1)
    print(
        f"{name:34}{told['samples']:9} samples{missing:7} lost{told['malformed']:5} malformed{told['gaps']:4} gaps"
        f"{told['rate_hz'] or 0:10.1f} Hz{told['cpu_percent']:8.2f} % of a core",
        flush=True,
    )


def _send(send: Callable[[int], None], stop: threading.Event) -> None:
    began, number = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - began) * RATE_HZ)
        while number < due:
            send(number % WRAP)
            number += 1
        time.sleep(0.001)


def offer(descriptor: int, data: bytes) -> None:
    """Send, as a sensor does: what does not fit into the kernel's buffer is lost."""
    with contextlib.suppress(BlockingIOError):
        os.write(descriptor, data)


def record(number: int) -> bytes:
    """One binary sample: six int16 and a checksum."""
    body = struct.pack("<6h", number, 1, 2, 3, 4, 5)
    return body + struct.pack("<I", zlib.crc32(body))


def serial(folder: Path, seconds: float) -> None:
    """Every framing at 6 axes x 1 kHz."""
    binary = {"layout": "<6h", "check": "crc32"}
    framings: dict[str, tuple[dict[str, Any], Callable[[int], bytes]]] = {
        "csv": ({}, lambda n: b"%d,0.001,-0.002,9.810,0.004,-0.005\n" % n),
        "json": ({}, lambda n: b'{"a0":%d,"a1":0.001,"a2":-0.002,"a3":9.81,"a4":0.004,"a5":-0.005}\n' % n),
        "cobs": (binary, lambda n: cobs.encode(record(n)) + b"\0"),
        "sync": (binary | {"sync": "aa55"}, lambda n: b"\xaa\x55" + record(n)),
    }
    for framing, (options, frame) in framings.items():
        master = Terminal(folder / framing)._master
        os.set_blocking(master, False)
        table = {"kind": "serial", "port": str(folder / framing), "channels": AXES, "rate_hz": RATE_HZ}
        measure(
            f"serial {framing}, 6 axes x 1 kHz",
            {**table, "framing": framing, **options},
            seconds,
            lambda n, master=master, frame=frame: offer(master, frame(n)),  # type: ignore[misc]
        )


def mqtt(folder: Path, seconds: float) -> None:
    """100 messages a second of 10 samples each."""
    with IotcoreBroker(folder) as broker, QueuedLink(broker.url) as publisher:
        publisher.expect(Connected)
        rows: list[int] = []

        def send(number: int) -> None:
            rows.append(number)
            if len(rows) == 10:
                values = np.zeros((10, 6), "<i2")
                values[:, 0] = rows
                publisher.link.publish("s", values.tobytes(), qos=0)
                rows.clear()

        table = {"kind": "mqtt", "url": broker.url, "topic": "s", "channels": AXES, "rate_hz": RATE_HZ}
        measure("mqtt raw, 6 axes x 1 kHz", {**table, "format": "raw", "dtype": "int16"}, seconds, send)


def iio(folder: Path, seconds: float) -> None:
    """A buffer of two axes and a time stamp."""
    write_iio_tree(folder / "sys" / "iio:device0")
    (folder / "dev").mkdir()
    os.mkfifo(folder / "dev" / "iio:device0")
    writer = os.open(folder / "dev" / "iio:device0", os.O_RDWR | os.O_NONBLOCK)
    table = {"kind": "iio", "device": "imu", "channels": ["accel_x", "accel_y"], "rate_hz": RATE_HZ}
    places = {"sysfs": str(folder / "sys"), "dev": str(folder / "dev")}
    (folder / "sys" / "iio:device0" / "in_accel_scale").write_text("1")
    measure(
        "iio buffer, 2 axes x 1 kHz",
        table | places,
        seconds,
        lambda n: offer(writer, iio_scan(n % 2000, n * 1_000_000)),
    )
    os.close(writer)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        read(json.loads(options.child), options.seconds)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        serial(folder, options.seconds)
        write_wav(folder / "mic.wav", ramp(WRAP, 1), AUDIO_HZ)
        measure("audio, 16 kHz mono", {"kind": "audio", "path": str(folder / "mic.wav")}, options.seconds)
        write_video(folder / "v.avi", int((options.seconds + 3) * FPS), (240, 320), FPS)
        camera = {"kind": "camera", "device": str(folder / "v.avi"), "width": 320, "height": 240}
        measure("camera, 320 x 240 x 30 a second", camera, options.seconds)
        mqtt(folder, options.seconds)
        iio(folder, options.seconds)


if __name__ == "__main__":
    main()
