"""Windows of a sensor without a job: as a capture takes them, with what a capture would say of them."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from support.captures import CHANNELS, Terminal, csv_lines, motion, serial_table
from support.sensing import NumberedSensor

from edge_agent.acquisition import monitored
from edge_agent.sources import Source, open_source
from edge_agent.wire.manifest import Window
from edge_agent.worker.capture import source_fit
from edge_agent.worker.capture.preview import Preview, WindowSampler


@pytest.fixture
def source(tmp_path: Path) -> Iterator[tuple[NumberedSensor, Source]]:
    with NumberedSensor(tmp_path) as sensor, closing(open_source("imu", sensor.table)) as opened:
        yield sensor, opened


def take(source: Source, windows: int, size: int, said: list[float | None] | None = None) -> Preview:
    sampler = WindowSampler(source, "imu", [], Window(size, size))
    return sampler.take(windows, lambda _fraction, _detail, left_s: None if said is None else said.append(left_s))


def test_the_time_of_a_dropout_does_not_make_the_sensor_slow(
    source: tuple[NumberedSensor, Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitored, "RATE_AFTER_S", 0.5)
    sensor, opened = source

    def fall_quiet() -> None:
        time.sleep(1)
        sensor._there.clear()
        time.sleep(2)
        sensor._there.set()

    quiet = threading.Thread(target=fall_quiet)
    quiet.start()
    preview = take(opened, 24, 16)
    quiet.join()

    codes = [finding.code for finding in preview.findings]
    assert "stream_gaps" in codes
    assert "wrong_rate" not in codes
    assert preview.rate_hz is None or preview.rate_hz == pytest.approx(200, rel=0.2)


def test_samples_that_come_late_do_not_end_it(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "port")
    samples = motion(200)
    with closing(open_source("imu", serial_table(terminal.link, silence_s=0.2))) as opened:
        sampler = WindowSampler(opened, "imu", [], Window(20, 20))

        def send() -> None:
            for start in range(0, len(samples), 20):
                time.sleep(0.35)  # longer than silence_s, shorter than a read waits
                terminal.write(csv_lines(samples[start : start + 20]))

        sender = threading.Thread(target=send)
        sender.start()
        preview = sampler.take(3, lambda *_: None)
        sender.join()

    assert len(preview.windows) == 3
    assert preview.channels == tuple(CHANNELS)


def test_a_gap_brings_no_groups_closer_together(tmp_path: Path) -> None:
    """Between two groups lies a window's worth of samples, also where the stream was interrupted there."""
    terminal = Terminal(tmp_path / "port")
    table = {"framing": "json", "counter": "n", "channels": ["n2"], "rate_hz": 100}
    # one sample is missing right behind the first group of 20
    counts = [*range(25), *range(26, 200)]
    with closing(open_source("imu", serial_table(terminal.link, **table))) as opened:
        terminal.write(b"\n" + b"".join(b'{"n": %d, "n2": %d}\n' % (count, count) for count in counts))
        preview = take(opened, 3, 20)

    spans = [(int(window[0, 0]), int(window[-1, 0])) for window in preview.windows]
    assert all(last - first == 19 for first, last in spans)
    assert all(later[0] - earlier[1] > 20 for earlier, later in pairwise(spans))


def test_how_long_a_quick_recording_takes_is_told_as_it_comes(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", samples=motion(200_000))
    table = {"kind": "replay", "path": str(tmp_path / "r.npz"), "channels": CHANNELS, "rate_hz": 50, "rate": "max"}
    said: list[float | None] = []

    with closing(open_source("imu", table)) as opened:
        take(opened, 100, 100, said)

    assert max(left_s for left_s in [0.0, *said] if left_s is not None) < 60, "rate_hz alone would say three minutes"


def test_of_windows_that_lie_apart_only_one_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of every 15 would otherwise hold the 14 between in memory, too; what there is to see stays the same."""
    samples = motion(2000)
    samples[600:900, 1] = samples[600, 1]
    np.savez(tmp_path / "r.npz", samples=samples)
    table = {"kind": "replay", "path": str(tmp_path / "r.npz"), "channels": CHANNELS, "rate_hz": 50, "rate": "max"}
    read: list[int] = []
    levels = source_fit.levels
    monkeypatch.setattr(source_fit, "levels", lambda block: (read.append(len(block)), levels(block))[1])

    with closing(open_source("imu", table)) as opened:
        preview = WindowSampler(opened, "imu", [], Window(2, 15)).take(120, lambda *_: None)

    assert max(read) == 2
    starts = [group * (9 * 15 + 2 + 2) + place * 15 for group in range(12) for place in range(10)]
    assert [window[0].tolist() for window in preview.windows] == [samples[start].tolist() for start in starts]
    assert "stuck_channel" in [finding.code for finding in preview.findings]
