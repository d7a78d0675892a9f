"""A rig for each kind of source: the nearest to a sensor that a test can have, which sends, goes away and comes back.

``RIGS`` names one for every kind, so a new kind without a rig fails the conformance suite. What a rig sends is
numbered: its first channel counts up.
"""

import json
import os
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge_agent.errors import SourceError
from edge_agent.mqtt import Connected
from edge_agent.sources import Source, open_source
from edge_agent.sources import audio as audio_kind
from support.brokers import IotcoreBroker
from support.captures import Terminal
from support.links import QueuedLink

RATE_HZ = 100
MODULUS = 30_000


class Rig:
    """A sensor.

    Attributes:
        table: its ``[sources.NAME]``.
        goes_away: whether it can be unplugged; a recording cannot.
        exclusive: whether a second reader must be refused.
    """

    goes_away = True
    exclusive = False
    frame_shape: tuple[int, ...] = ()
    channels: tuple[str, ...] = ("n", "y")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table: dict[str, Any] = {}
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._number = 0

    def open(self) -> Source:
        """Open the source; it is sending when this returns."""
        return open_source("it", self.table)

    def unplug(self) -> None:
        """The sensor goes away."""

    def plug(self) -> None:
        """It comes back."""

    def close(self) -> None:
        """Stop everything."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def every(self, seconds: float, send: Callable[[int], None]) -> None:
        """Call ``send`` with the next sample's number in a thread of its own, at a steady rate."""

        def run() -> None:
            due = time.monotonic()
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                due += seconds
                self._number = (self._number + 1) % MODULUS
                send(self._number)

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()


class SerialRig(Rig):
    """csv lines on a pseudo-terminal."""

    exclusive = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._terminal = Terminal(folder / "port")
        self._plugged = threading.Lock()
        self._there = True
        self.table = {"kind": "serial", "port": str(folder / "port"), "channels": ["n", "y"], "rate_hz": RATE_HZ}

    def open(self) -> Source:
        source = super().open()
        self.every(1 / RATE_HZ, self._send)
        return source

    def unplug(self) -> None:
        with self._plugged:
            self._there = False
            self._terminal.unplug()

    def plug(self) -> None:
        with self._plugged:
            self._terminal.plug()
            self._there = True

    def _send(self, number: int) -> None:
        with self._plugged:
            if self._there:
                self._terminal.write(f"{number},{number / 2}\n".encode())


class MqttRig(Rig):
    """A publisher at a real broker, which is killed and started again."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._broker = IotcoreBroker(folder)
        self._broker.start()
        self._publisher = QueuedLink(self._broker.url, "a-sensor")
        self._publisher.__enter__().expect(Connected)
        self.table = {
            "kind": "mqtt", "url": self._broker.url, "topic": "lab/imu", "channels": ["n", "y"], "rate_hz": RATE_HZ
        }  # fmt: skip

    def open(self) -> Source:
        source = super().open()
        source.read(0.5)  # the subscription is made by the first read
        self.every(1 / RATE_HZ, self._send)
        return source

    def unplug(self) -> None:
        self._broker.kill()

    def plug(self) -> None:
        self._broker.start()

    def close(self) -> None:
        super().close()
        self._publisher.__exit__(None, None, None)
        self._broker.kill()

    def _send(self, number: int) -> None:
        self._publisher.link.publish("lab/imu", json.dumps({"n": number, "y": number / 2}).encode(), qos=0)


class ReplayRig(Rig):
    """A recording that is repeated."""

    goes_away = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        numbers = np.arange(MODULUS, dtype=np.float32)
        np.savez(folder / "r.npz", samples=np.stack([numbers, numbers / 2], axis=1), channels=np.array(["n", "y"]))
        self.table = {"kind": "replay", "path": str(folder / "r.npz"), "rate_hz": RATE_HZ, "loop": True}


class WavRig(Rig):
    """A recording of sound."""

    goes_away = False
    channels = ("left", "right")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        write_wav(folder / "r.wav", ramp(MODULUS, 2), 1000)
        self.table = {"kind": "replay", "path": str(folder / "r.wav")}


class PicturesRig(Rig):
    """A folder of images."""

    goes_away = False
    channels = ("r", "g", "b")
    frame_shape = (6, 8)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "pictures").mkdir()
        for number in range(20):
            picture = np.full((6, 8, 3), number * 10, np.uint8)
            Image.fromarray(picture).save(folder / "pictures" / f"{number:03}.png")
        self.table = {"kind": "replay", "path": str(folder / "pictures"), "rate_hz": 20, "loop": True}


class CameraRig(Rig):
    """A video file, opened by the call that opens a camera."""

    goes_away = False
    channels = ("r", "g", "b")
    frame_shape = (48, 64)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        write_video(folder / "v.avi", 120, (48, 64), 30)
        self.table = {"kind": "camera", "device": str(folder / "v.avi"), "width": 64, "height": 48}


class AudioRig(Rig):
    """A sound card whose samples come from a ``.wav``, in place of PortAudio, which wants a real one."""

    channels = ("left", "right")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        write_wav(folder / "mic.wav", ramp(MODULUS, 2), 1000)
        self.table = {"kind": "audio", "channels": ["left", "right"], "rate_hz": 1000}
        self._plugged = True

    def open(self) -> Source:
        options = {key: value for key, value in self.table.items() if key != "kind"}
        return audio_kind.AudioSource(audio_kind.Options(**options), self._card)

    def unplug(self) -> None:
        self._plugged = False

    def plug(self) -> None:
        self._plugged = True

    def _card(self, options: audio_kind.Options) -> "WavCard":
        if not self._plugged:
            raise SourceError("source_unavailable", "no such sound device")
        return WavCard(self.folder / "mic.wav", options, lambda: self._plugged)


class WavCard:
    """Delivers a ``.wav`` at its rate, over and over; what is not fetched within a second is lost."""

    def __init__(self, path: Path, options: audio_kind.Options, plugged: Callable[[], bool]) -> None:
        with wave.open(str(path)) as file:
            assert (file.getframerate(), file.getnchannels()) == (options.rate_hz, len(options.channels))
            data = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
        self._data = (data / np.float32(32_768)).astype(np.float32)
        self._rate_hz = options.rate_hz
        self._plugged = plugged
        self._started, self._taken, self._lost = time.monotonic(), 0, False

    def available(self) -> int:
        if not self._plugged():
            raise OSError("the device was unplugged")
        due = int((time.monotonic() - self._started) * self._rate_hz) - self._taken
        if due > self._rate_hz:
            self._taken, self._lost = self._taken + due - int(self._rate_hz), True
        return min(due, int(self._rate_hz))

    def read(self, samples: int) -> tuple[np.ndarray, bool]:
        places = np.arange(self._taken, self._taken + samples) % len(self._data)
        self._taken += samples
        lost, self._lost = self._lost, False
        return self._data[places], lost

    def close(self) -> None:
        pass


class IioRig(Rig):
    """A tree as the kernel shows it, and a pipe in place of the device's node."""

    exclusive = True
    channels = ("accel_x", "accel_y")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.dev, self.sysfs = folder / "dev", folder / "sys"
        self.dev.mkdir()
        self._lock, self._writer = threading.Lock(), -1
        self.plug()
        self.table = {
            "kind": "iio", "device": "imu", "channels": ["accel_x", "accel_y"], "rate_hz": RATE_HZ,
            "sysfs": str(self.sysfs), "dev": str(self.dev),
        }  # fmt: skip

    def open(self) -> Source:
        source = super().open()
        self.every(1 / RATE_HZ, self._send)
        return source

    def unplug(self) -> None:
        with self._lock:
            os.close(self._writer)
            self._writer = -1
            (self.dev / "iio:device0").unlink()
            for path in sorted(self.sysfs.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()

    def plug(self) -> None:
        with self._lock:
            write_iio_tree(self.sysfs / "iio:device0")
            os.mkfifo(self.dev / "iio:device0")
            self._writer = os.open(self.dev / "iio:device0", os.O_RDWR | os.O_NONBLOCK)

    def close(self) -> None:
        super().close()
        if self._writer >= 0:
            os.close(self._writer)

    def _send(self, number: int) -> None:
        with self._lock:
            if self._writer >= 0:
                os.write(self._writer, iio_scan(number % 2000))


class IioPollRig(IioRig):
    """The same, its files read one by one."""

    exclusive = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.table |= {"mode": "poll", "rate_hz": 50}

    def unplug(self) -> None:
        super().unplug()

    def _send(self, number: int) -> None:
        with self._lock:
            for name in ("x", "y"):
                path = self.sysfs / "iio:device0" / f"in_accel_{name}_raw"
                if path.exists():
                    fresh = path.with_suffix(".new")
                    fresh.write_text(str(number % 2000))
                    fresh.replace(path)


RIGS: dict[str, list[type[Rig]]] = {
    "audio": [AudioRig],
    "camera": [CameraRig],
    "iio": [IioRig, IioPollRig],
    "mqtt": [MqttRig],
    "replay": [ReplayRig, WavRig, PicturesRig],
    "serial": [SerialRig],
}


def ramp(samples: int, channels: int) -> np.ndarray:
    """int16 ``[samples, channels]`` that count up."""
    return np.repeat(np.arange(samples, dtype=np.int16)[:, None], channels, axis=1)


def write_wav(path: Path, samples: np.ndarray, rate_hz: int) -> None:
    """int16 ``[n, channels]`` as PCM."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())


def write_video(path: Path, pictures: int, shape: tuple[int, int], rate_hz: float) -> None:
    """A video whose pictures are red on the left, get brighter and begin again; MJPG, so colours are nearly kept."""
    import cv2  # noqa: PLC0415  # heavy, and only a camera's tests need it

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, shape[::-1])
    for number in range(pictures):
        picture = np.zeros((*shape, 3), np.uint8)
        picture[:, : shape[1] // 2, 2] = 200
        picture[:, shape[1] // 2 :, 0] = 40 + number % 200
        writer.write(picture)
    writer.release()


def write_iio_tree(folder: Path) -> None:
    """An accelerometer of two axes of 12 bits in 16, big-endian, with a time stamp."""
    files = {
        "name": "imu", "sampling_frequency": "25", "in_accel_scale": "0.5", "in_accel_y_offset": "10",
        "in_accel_x_raw": "1", "in_accel_y_raw": "2", "buffer/enable": "0", "buffer/length": "2",
        "scan_elements/in_accel_x_en": "0", "scan_elements/in_accel_x_index": "0",
        "scan_elements/in_accel_x_type": "be:s12/16>>4",
        "scan_elements/in_accel_y_en": "0", "scan_elements/in_accel_y_index": "1",
        "scan_elements/in_accel_y_type": "be:s12/16>>4",
        "scan_elements/in_accel_z_en": "1", "scan_elements/in_accel_z_index": "2",
        "scan_elements/in_accel_z_type": "be:s12/16>>4",
        "scan_elements/in_timestamp_en": "0", "scan_elements/in_timestamp_index": "3",
        "scan_elements/in_timestamp_type": "le:s64/64>>0",
    }  # fmt: skip
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n", encoding="ascii")


def iio_scan(number: int, stamp_ns: int | None = None) -> bytes:
    """One sample of that device as the kernel lays it out: x, y, four bytes of padding, time stamp."""
    value = number << 4 & 0xFFFF
    stamp = time.time_ns() if stamp_ns is None else stamp_ns
    return value.to_bytes(2, "big") * 2 + b"\0\0\0\0" + stamp.to_bytes(8, "little")
