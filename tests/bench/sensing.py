"""What a sensor's own process takes: processor time, memory and samples lost, with one who reads along.

    python tests/bench/sensing.py [--seconds 30]

The rates of source_rates.py: 6 axes at 50 Hz and 1 kHz over serial, 16 kHz sound, 30 pictures of 320 x 240 a
second; each once shared only and once with 1,000 stretches kept (100 of sound and of pictures). Processor time is the
process's own between two looks at /proc, after it has begun to keep, in percent of one core. Sound comes from a
``.wav`` at its rate, pictures from a video file, each through what a live sensor goes through.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

import msgspec  # noqa: E402  # after the path above
from support.captures import Terminal  # noqa: E402
from support.rigs import WavCard, ramp, write_video, write_wav  # noqa: E402
from support.sensing import status  # noqa: E402

from edge_agent.sensing import process  # noqa: E402
from edge_agent.sensing.subscribe import subscribe  # noqa: E402
from edge_agent.settings.sharing import Keeping, SensorProcessConfig, SourceState  # noqa: E402
from edge_agent.sources import Source, open_source  # noqa: E402
from edge_agent.sources import audio as audio_kind  # noqa: E402

AXES = [f"a{axis}" for axis in range(6)]
AUDIO_HZ, FPS = 16_000, 30
WRAP = 30_000
_SETTLE_S = 3.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Case:
    """A sensor: its table, how many stretches are kept, and what makes it send."""

    name: str
    table: dict[str, Any]
    keep: int
    send: Callable[[threading.Event], None] | None = None


def open_as_live(name: str, table: Mapping[str, Any]) -> Source:
    """A file in place of a microphone or a camera, which a process reads as if it were one."""
    if table["kind"] == "audio":
        options = audio_kind.Options(channels=["mono"], rate_hz=AUDIO_HZ)
        return audio_kind.AudioSource(options, lambda asked: WavCard(Path(table["device"]), asked, lambda: True))
    source = open_source(name, table)
    source.live = True
    return source


def serial_case(folder: Path, rate_hz: int) -> Case:
    """Csv lines on a pseudo-terminal; what does not fit into the kernel's buffer is lost, as a sensor loses it."""
    port = folder / f"port-{rate_hz}"
    terminal = Terminal(port)
    os.set_blocking(terminal._master, False)

    def send(stop: threading.Event) -> None:
        began, number = time.monotonic(), 0
        while not stop.wait(0.001):
            while number < (time.monotonic() - began) * rate_hz:
                with contextlib.suppress(BlockingIOError):
                    os.write(terminal._master, b"%d,0.001,-0.002,9.810,0.004,-0.005\n" % (number % WRAP))
                number += 1

    table = {"kind": "serial", "port": str(port), "channels": AXES, "rate_hz": rate_hz}
    return Case(f"serial csv, 6 axes x {rate_hz} Hz", table, 1000, send)


def cases(folder: Path, seconds: float) -> Iterator[Case]:
    """Each sensor once."""
    yield serial_case(folder, 50)
    yield serial_case(folder, 1000)
    write_wav(folder / "mic.wav", ramp(WRAP, 1), AUDIO_HZ)
    yield Case("audio, 16 kHz mono", {"kind": "audio", "device": str(folder / "mic.wav")}, 100)
    write_video(folder / "v.avi", int((seconds + 2 * _SETTLE_S + 5) * FPS), (240, 320), FPS)
    camera = {"kind": "camera", "device": str(folder / "v.avi"), "width": 320, "height": 240}
    yield Case(f"camera, 320 x 240 x {FPS} a second", camera, 100)


def measure(case: Case, folder: Path, keep: int, seconds: float) -> None:
    """Run the process, read along, and print a line."""
    keeping = Keeping(keep_windows=keep) if keep else Keeping(share=True)
    config = SensorProcessConfig(name="it", folder=str(folder), table=case.table, keeping=keeping)
    folder.mkdir(parents=True)
    argv = [sys.executable, __file__, "--child", msgspec.json.encode(config).decode()]
    stop = threading.Event()
    if case.send is not None:
        threading.Thread(target=case.send, args=(stop,), daemon=True).start()
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        try:
            source = subscribe("it", folder)
            count, gaps = _read(source, _SETTLE_S), source.gaps
            before, began = _cpu_s(child.pid), time.monotonic()
            count = _read(source, seconds)
            took, cpu_s = time.monotonic() - began, _cpu_s(child.pid) - before
            peak, resident = status(child.pid, "VmHWM"), status(child.pid, "VmRSS")
        finally:
            stop.set()
            child.terminate()
            said = child.communicate()[0].splitlines()
    state = msgspec.json.decode(said[-1], type=SourceState)
    print(
        f"{case.name:32}{'keeps ' + str(keep) if keep else 'shared':>12}{count / took:10.1f} Hz{source.lost:5} lost"
        f"{state.late:5} late{source.gaps - gaps:4} gaps{100 * cpu_s / took:8.2f} % of a core"
        f"{resident / 1024:8.1f} MiB, peak{peak / 1024:7.1f}",
        flush=True,
    )
    source.close()


def _read(source: Any, seconds: float) -> int:
    count, deadline = 0, time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        arrived = source.read(min(0.5, left))
        count += 0 if arrived is None else len(arrived)
    return count


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        process.run(msgspec.json.decode(options.child, type=SensorProcessConfig), open_as_live)
        return
    with tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(cases(Path(name), options.seconds)):
            for keep in (0, case.keep):
                measure(case, Path(name) / f"{number}-{keep}", keep, options.seconds)


if __name__ == "__main__":
    main()
