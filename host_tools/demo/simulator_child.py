"""The simulated sensor's process: replays a recording on a pseudo-terminal, as a serial IMU would send it.

    python host_tools/demo/simulator_child.py --link /tmp/imu --pace real

Samples leave as csv lines, ``ax,ay,az,gx,gy,gz`` in g and rad/s, LF at the end. After the last sample the recording
begins again. ``--pace``:

* ``max``: as fast as the reader takes them. The sensor waits while nobody reads. (Bytes in the terminal are lost when
  their reader leaves, as in any serial port.)
* ``real``: at the recording's rate. A number: that many bytes a second (11520 is a line of 115,200 baud). Such a sensor
  does not wait: unread samples are lost, and lines that a reader is too slow for are dropped and counted.

``--fault KIND[:CHANNEL][@AFTER][+LASTS]`` breaks the sensor after AFTER samples, for LASTS or else for ever:
``stuck:az`` repeats one value, ``nan:gx`` and ``inf:gx`` write that word (LASTS in samples), ``noise`` puts random
bytes before every fiftieth line (LASTS in samples), ``silence`` sends nothing (LASTS in seconds), and ``unplug`` closes
the terminal and removes the link (LASTS in seconds; then another terminal appears behind the same link).

``--rewind`` starts the recording over for each reader (with ``--pace max``), so that each gets the same samples.

It imports nothing from this project, so it starts wherever the parent's modules came from. Progress goes to LINK.json.
"""

import argparse
import json
import os
import random
import re
import select
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_NOISE_EVERY = 50
_BATCH = 50
_LOOK_S = 0.02
_SETTLE_S = 0.2
"""A reader that opens a serial port first sets it up and discards its buffer. A pause leaves time for that."""
_TELL_S = 0.1
_FOR_EVER_S = 1e9
_FAULT = re.compile(r"(stuck|nan|inf|noise|silence|unplug)(?::(\w+))?(?:@(\d+))?(?:\+([\d.]+))?")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; ``lasts`` 0 is for ever."""

    kind: str
    channel: int
    after: int
    lasts: float

    def hits(self, sample: int) -> bool:
        """Whether it affects sample number ``sample``."""
        return sample >= self.after and (not self.lasts or sample < self.after + self.lasts)


class Terminal:
    """The pseudo-terminal and the stable link to it.

    Only the reader holds the slave, so its arrival and departure can be seen.
    """

    def __init__(self, link: Path, *, wait: bool, rewind: bool) -> None:
        self._link = link
        self._wait = wait
        self._rewind = rewind
        self._master = -1
        self.waited_s = 0.0
        self.readers = 0
        """Readers so far; counted only if the sensor waits for them."""
        self._read_before = False

    def plug(self) -> None:
        """Open a terminal and point the link at it."""
        self._master, slave = os.openpty()
        name = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        self._read_before = False
        fresh = self._link.with_name(self._link.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(name)
        fresh.replace(self._link)

    def unplug(self) -> None:
        """Act as a pulled cable: the reader gets an input/output error, and the device is gone afterwards."""
        self._link.unlink(missing_ok=True)
        os.close(self._master)

    def await_reader(self) -> int:
        """Wait for a reader; returns its number."""
        while not self._is_read():
            time.sleep(_LOOK_S)
            self.waited_s += _LOOK_S
        return self.readers

    def write(self, data: bytes) -> bool:
        """Send all of it; False if the sensor does not wait, and the rest was lost to a full buffer."""
        while data:
            if not self._is_read():
                if not self._wait or self._rewind:  # a recording that starts over need not keep unread data
                    return True
                time.sleep(_LOOK_S)
                self.waited_s += _LOOK_S
                continue
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                if not self._wait:
                    return False
                select.select([], [self._master], [], _LOOK_S)
        return True

    def _is_read(self) -> bool:
        poll = select.poll()
        poll.register(self._master, 0)
        read = not poll.poll(0)  # POLLHUP: no process has the slave open
        if read and not self._read_before and self._wait:
            time.sleep(_SETTLE_S)
            self.waited_s += _SETTLE_S
            self.readers += 1
        self._read_before = read
        return read


class Sender:
    """Sends the lines for ever, with all faults."""

    def __init__(
        self, samples: list[list[float]], *, rate_hz: float, link: Path, pace: str, faults: list[Fault], rewind: bool
    ) -> None:
        self._samples = samples
        self._rate_hz = rate_hz
        self._status = link.with_name(link.name + ".json")
        self._bytes_per_s = 0.0 if pace in ("max", "real") else float(pace)
        self._real = pace == "real"
        self._faults = faults
        self._rewind = rewind and pace == "max"
        self._terminal = Terminal(link, wait=pace == "max", rewind=self._rewind)
        self._reader = 0
        self._origin = 0
        """The sample number at which the recording started for the present reader."""
        self._random = random.Random(0)  # noqa: S311  # noise, not a secret
        self._dropped = 0
        self._streaming_s = 0.0
        self._sent = 0
        self._due = time.monotonic()

    def run(self) -> None:
        """Plug in and send until the process is ended."""
        self._terminal.plug()
        threading.Thread(target=self._tell, daemon=True).start()
        breaks = sorted((f for f in self._faults if f.kind in ("silence", "unplug")), key=lambda fault: fault.after)
        for batch in self._batches([fault.after for fault in breaks]):
            while breaks and breaks[0].after == batch.start:
                self._pause(breaks.pop(0))
            if self._rewind and (reader := self._terminal.await_reader()) != self._reader:
                self._reader, self._origin = reader, batch.start
            began, waited = time.monotonic(), self._terminal.waited_s
            data = b"".join(self._line(number) for number in batch)
            if not self._terminal.write(data):
                self._dropped += len(batch)
            self._hold(len(data), len(batch))
            self._streaming_s += time.monotonic() - began - (self._terminal.waited_s - waited)
            self._sent = batch.stop

    def _batches(self, edges: list[int]) -> Iterator[range]:
        step, start = (_BATCH, 0) if not (self._real or self._bytes_per_s) else (1, 0)
        while True:
            end = min([start + step, *(edge for edge in edges if start < edge)])
            yield range(start, end)
            start = end

    def _line(self, number: int) -> bytes:
        values = self._decimals(number)
        noise = b""
        for fault in self._faults:
            if not fault.hits(number):
                continue
            match fault.kind:
                case "stuck":
                    values[fault.channel] = self._decimals(fault.after)[fault.channel]
                case "nan" | "inf":
                    values[fault.channel] = fault.kind.encode()
                case "noise" if number % _NOISE_EVERY == 0:
                    noise = self._random.randbytes(self._random.randint(1, 8))
        return noise + b",".join(values) + b"\n"

    def _decimals(self, number: int) -> list[bytes]:
        return [b"%.3f" % value for value in self._samples[(number - self._origin) % len(self._samples)]]

    def _pause(self, fault: Fault) -> None:
        time.sleep(_SETTLE_S)
        if fault.kind == "unplug":
            self._terminal.unplug()
        time.sleep(fault.lasts or _FOR_EVER_S)
        if fault.kind == "unplug":
            self._terminal.plug()

    def _hold(self, sent_bytes: int, samples: int) -> None:
        if not (self._real or self._bytes_per_s):
            return
        # A fixed schedule keeps late wake-ups from adding up. The limit prevents a burst after a long pause.
        self._due = max(self._due, time.monotonic() - 1.0)
        self._due += samples / self._rate_hz if self._real else sent_bytes / self._bytes_per_s
        time.sleep(max(0.0, self._due - time.monotonic()))

    def _tell(self) -> None:
        fresh = self._status.with_name(self._status.name + ".new")
        while True:
            state = {"samples": self._sent, "dropped": self._dropped, "rate_hz": self._rate_hz}
            fresh.write_text(json.dumps(state | {"seconds": self._streaming_s}), encoding="utf-8")
            fresh.replace(self._status)
            time.sleep(_TELL_S)


def read_recording(path: Path) -> tuple[list[list[float]], list[str], float]:
    """The samples, the channels' names, and the rate in Hz."""
    with np.load(path) as file:
        samples = file["samples"] * float(file["scale"])
        return samples.tolist(), file["channels"].tolist(), float(file["rate_hz"])


def read_fault(text: str, channels: list[str]) -> Fault:
    """A fault as the command line writes it; raises ``ValueError``."""
    found = _FAULT.fullmatch(text)
    if found is None or (found[1] in ("stuck", "nan", "inf")) != bool(found[2]):
        raise ValueError(f"{text!r} is no fault; write stuck:az@1000, nan:gx, noise, silence@500+2 or unplug@500+2")
    return Fault(found[1], channels.index(found[2]) if found[2] else 0, int(found[3] or 0), float(found[4] or 0))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description="a simulated serial IMU on a pseudo-terminal")
    parser.add_argument("--link", type=Path, required=True, help="path of the sensor; made here")
    parser.add_argument("--recording", type=Path, default=Path(__file__).with_name("data") / "imu_recording.npz")
    parser.add_argument("--pace", default="real", help="max, real, or bytes a second")
    parser.add_argument("--fault", action="append", default=[], help="KIND[:CHANNEL][@AFTER][+LASTS]")
    parser.add_argument("--rewind", action="store_true", help="start the recording over for each reader")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when stdin closes")
    args = parser.parse_args()
    samples, channels, rate_hz = read_recording(args.recording)
    faults = [read_fault(text, channels) for text in args.fault]
    if args.end_with_stdin:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    sender = Sender(samples, rate_hz=rate_hz, link=args.link, pace=args.pace, faults=faults, rewind=args.rewind)
    sender.run()


if __name__ == "__main__":
    main()
