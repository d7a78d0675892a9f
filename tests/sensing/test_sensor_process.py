"""A sensor's own process on a pseudo-terminal: who reads it, what happens when it, they or the sensor go away."""

import contextlib
import os
import resource
import selectors
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.processes import gone
from support.sensing import NumberedSensor, Served, SourceProcess, read_for, status

from edge_agent.acquisition.monitored import MonitoredSource
from edge_agent.errors import SourceError
from edge_agent.process import seccomp
from edge_agent.sensing.frames import Batch, Decoder, Hello
from edge_agent.sensing.server import MAX_READERS, Server
from edge_agent.sensing.subscribe import Subscription, is_served, subscribe
from edge_agent.settings.sharing import SOCKET_NAME


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[NumberedSensor]:
    with NumberedSensor(tmp_path) as sensor:
        yield sensor


@pytest.fixture
def process(tmp_path: Path, sensor: NumberedSensor) -> Iterator[SourceProcess]:
    with SourceProcess(tmp_path / "state" / "sources" / "imu", sensor.table) as process:
        process.expect(lambda state: state.state == "open")
        yield process


def test_two_read_along_and_none_misses_a_sample(process: SourceProcess, sensor: NumberedSensor) -> None:
    one, two = process.subscribe(), process.subscribe()
    seen: list[np.ndarray] = []
    other = threading.Thread(target=lambda: seen.append(read_for(two, 60, until=301)))
    other.start()
    mine = read_for(one, 60, until=301)
    other.join()

    assert (one.channels, one.rate_hz, one.frame_shape, one.live) == (("n", "y"), 200, (), True)
    for numbers in (mine, seen[0]):
        assert len(numbers) > 300
        assert np.all(np.diff(numbers) == 1)
    assert one.gaps == two.gaps == one.malformed == one.lost == 0
    assert one.arrivals.rate_hz() == pytest.approx(200, rel=0.3)
    assert abs(time.time() - one.time_s) < 10
    one.close()
    one.close()
    two.close()


def until_trouble(reader: Subscription, words: str) -> None:
    """Read what comes until the reader knows of that."""
    deadline = time.monotonic() + 60
    while words not in reader.trouble:
        assert time.monotonic() < deadline, reader.trouble
        reader.read(0.2)


def test_the_socket_is_the_groups_and_what_lies_beside_it_the_services(process: SourceProcess) -> None:
    assert stat.S_IMODE((process.folder / SOCKET_NAME).stat().st_mode) == 0o660
    assert stat.S_IMODE(process.folder.stat().st_mode) == 0o750


def test_who_reads_can_only_read(process: SourceProcess) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(process.folder / SOCKET_NAME))
        assert connection.recv(10)
        time.sleep(0.2)
        with pytest.raises(BrokenPipeError):
            connection.send(b"rm -rf")


def test_who_reads_is_shown_a_line_that_was_malformed(process: SourceProcess, sensor: NumberedSensor) -> None:
    reader = process.subscribe()
    read_for(reader, 0.5)
    before = reader.malformed_example
    sensor.say(b"\nBMI270 reset\n")
    deadline = time.monotonic() + 60
    while not reader.malformed and time.monotonic() < deadline:
        reader.read(0.2)
    late = process.subscribe()

    assert before == ""
    assert reader.malformed == 1
    assert reader.malformed_example.startswith("'BMI270 reset': it is not a row of 2 decimals; send")
    (finding,) = MonitoredSource(reader, "imu").findings()
    assert "such as 'BMI270 reset'" in finding.message
    assert read_for(late, 60, until=1).size
    assert MonitoredSource(late, "imu").findings() == []  # it came before this one began to read
    reader.close()
    late.close()


def test_the_cable_is_pulled_and_put_back(process: SourceProcess, sensor: NumberedSensor) -> None:
    reader = process.subscribe()
    before = read_for(reader, 60, until=1)
    sensor.unplug()
    until_trouble(reader, "is gone")
    assert read_for(reader, 0.5).size == 0
    sensor.plug()
    after = read_for(reader, 60, until=101)

    assert len(before)
    assert len(after) > 100
    assert reader.gaps == 1
    assert reader.trouble == ""
    assert np.all(np.diff(after) == 1)
    assert process.stop() == 0
    reader.close()


def test_a_sensor_that_is_not_there_yet_is_waited_for_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "sources" / "imu"
    table = {"kind": "serial", "port": str(tmp_path / "port"), "channels": ["n", "y"], "rate_hz": 200}
    with SourceProcess(folder, table) as process:
        waiting = process.expect(lambda state: state.state == "waiting")
        assert waiting.code == "source_unavailable"
        with pytest.raises(SourceError, match="port does not exist"):
            process.subscribe()
        time.sleep(1)
        assert process.states() == []  # said once
        with NumberedSensor(tmp_path):
            process.expect(lambda state: state.state == "open")
            reader = process.subscribe()
            assert len(read_for(reader, 60, until=101)) > 100
            reader.close()


def test_a_process_that_is_killed_and_started_again_is_an_interruption(process: SourceProcess) -> None:
    reader = process.subscribe()
    before = read_for(reader, 60, until=1)
    process.kill()
    until_trouble(reader, "is not running")
    assert not is_served(process.folder)
    process.start()
    after = read_for(reader, 60, until=101)

    assert is_served(process.folder)
    assert len(before)
    assert len(after) > 100
    assert np.all(np.diff(after) == 1)
    assert reader.gaps == 1
    reader.close()


def test_it_ends_when_nobody_listens_any_more(process: SourceProcess) -> None:
    child = process.process
    assert child is not None
    code = (
        "import subprocess, sys, os; from pathlib import Path\n"
        "from edge_agent.process.program import PARENT_VARIABLE\n"
        "env = os.environ | {PARENT_VARIABLE: str(os.getpid())}\n"
        "config = Path(sys.argv[1]).read_bytes()\n"
        "child = subprocess.Popen([sys.executable, '-m', 'edge_agent.sensing'], stdin=subprocess.PIPE, env=env,"
        " stdout=subprocess.DEVNULL)\n"
        "child.stdin.write(config); child.stdin.close()\n"
        "print(child.pid, flush=True); sys.stdin.read()\n"
    )
    config = process.folder.parent / "config.json"
    config.write_bytes(process._config.replace(b"/imu", b"/other"))
    parent = subprocess.Popen([sys.executable, "-c", code, str(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    deadline = time.monotonic() + 60
    while not is_served(process.folder.with_name("other")) and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.kill()
    parent.communicate()

    assert gone(orphan)


def test_a_source_that_is_no_sensor_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", samples=np.zeros((10, 2), np.float32))
    table = {"kind": "replay", "path": str(tmp_path / "r.npz"), "rate_hz": 50}
    with SourceProcess(tmp_path / "it", table) as process:
        said = process.expect(lambda state: state.state == "waiting")

    assert "is a recording" in said.message
    assert said.confined is not None  # what the kernel can do is another question
    assert ("seccomp" in said.confined) is seccomp.available()


def test_without_a_process_the_error_says_what_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="its process is not running; see edge-agent status") as error:
        subscribe("imu", tmp_path / "nowhere", open_within_s=0.1)

    assert error.value.code == "source_unavailable"


def picture(number: int) -> Batch:
    return Batch(number, time.monotonic(), time.time(), False, 0, np.full((1, 240, 320, 3), number % 251, np.uint8))


def test_a_reader_that_sleeps_holds_nobody_up_and_is_told_what_it_lost(tmp_path: Path) -> None:
    hello = Hello(channels=("r", "g", "b"), rate_hz=30, silence_s=10, frame_shape=(240, 320))
    served = Served(tmp_path / SOCKET_NAME, hello)
    quick, slow = subscribe("camera", tmp_path), subscribe("camera", tmp_path)
    rss_before = status(os.getpid(), "VmRSS")
    numbers = []
    for number in range(400):  # 92 MB
        served.give(picture(number))
        arrived = None
        while arrived is None:
            arrived = quick.read(60)
        numbers.append(int(arrived[0, 0, 0, 0]))
    rss_after = status(os.getpid(), "VmRSS")
    late: list[int] = []
    deadline = time.monotonic() + 60
    while len(late) + slow.lost < 400 and time.monotonic() < deadline:
        if (samples := slow.read(0.2)) is not None:
            late.append(int(samples[0, 0, 0, 0]))
    dropped = served.server.dropped  # not before: the last may be counted after the quick reader has it
    for reader in (quick, slow):
        reader.close()
    served.close()

    assert numbers == [number % 251 for number in range(400)]
    assert quick.lost == quick.gaps == 0
    assert dropped > 300
    assert slow.lost == dropped
    assert slow.gaps == 1
    assert late[-1] == 399 % 251
    assert len(late) + slow.lost == 400
    assert rss_after - rss_before < 60_000  # of a backlog that is bounded, KiB


def test_who_leaves_and_who_comes_too_many_is_let_go(tmp_path: Path) -> None:
    served = Served(tmp_path / SOCKET_NAME, Hello(channels=("x",), rate_hz=50, silence_s=10))
    readers = [subscribe("imu", tmp_path) for _ in range(MAX_READERS)]
    with pytest.raises(SourceError, match="too many readers: 32") as error:
        subscribe("imu", tmp_path)
    assert error.value.code == "source_busy"
    readers.pop().close()
    subscribe("imu", tmp_path).close()  # a place is free although nothing was sent since
    for reader in readers[1:]:
        reader.close()
    served.give(Batch(0, 0.0, 0.0, False, 0, np.zeros((1, 1), np.float32)))
    assert readers[0].read(60) is not None
    deadline = time.monotonic() + 60
    while served.server.readers > 1 and time.monotonic() < deadline:
        time.sleep(0.01)

    assert served.server.readers == 1
    readers[0].close()
    served.close()


def test_a_batch_that_cannot_be_written_costs_its_readers_and_not_the_process(tmp_path: Path) -> None:
    served = Served(tmp_path / SOCKET_NAME, Hello(channels=("x",), rate_hz=50, silence_s=10))
    reader = subscribe("imu", tmp_path)
    served.give(Batch(0, 0.0, 0.0, False, -1, np.zeros((1, 1), np.float32)))  # no such number on the wire
    assert reader.read(0.5) is None
    reader.close()
    with closing(subscribe("imu", tmp_path)) as another:
        served.give(Batch(1, 0.0, 0.0, False, 0, np.zeros((1, 1), np.float32)))

        assert another.read(60) is not None
    served.close()


def test_a_state_directory_may_lie_deep(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    served = Served(deep / SOCKET_NAME, Hello(channels=("x",), rate_hz=50, silence_s=10))

    assert len(str(deep / SOCKET_NAME)) > 107
    with closing(subscribe("imu", deep)) as reader:
        assert reader.channels == ("x",)
    served.close()


def test_bytes_come_in_the_order_that_the_protocol_says(process: SourceProcess) -> None:
    decoder, frames = Decoder(), []
    with socket.socket(socket.AF_UNIX) as connection, selectors.DefaultSelector() as selector:
        connection.connect(str(process.folder / SOCKET_NAME))
        selector.register(connection, selectors.EVENT_READ)
        while not any(isinstance(frame, Batch) for frame in frames):
            assert selector.select(5)
            frames += decoder.feed(connection.recv(4096))

    assert isinstance(frames[0], Hello)


def test_an_interrupt_from_a_terminal_is_a_clean_end(process: SourceProcess) -> None:
    assert process.process is not None
    process.process.send_signal(signal.SIGINT)

    assert process.process.wait(60) == 0
    assert not is_served(process.folder)


def test_who_ends_leaves_the_next_ones_socket_alone_and_is_not_hurt_by_a_late_driver(tmp_path: Path) -> None:
    one = Server(tmp_path / SOCKET_NAME)
    with closing(Server(tmp_path / SOCKET_NAME)):
        one.close()
        one.wake()

        assert is_served(tmp_path)
    assert not is_served(tmp_path)


def test_a_process_that_lets_nobody_in_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as waiting:
        listener.bind(str(tmp_path / SOCKET_NAME))
        listener.listen(0)
        for _ in range(2):
            other = waiting.enter_context(socket.socket(socket.AF_UNIX))
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                other.connect(str(tmp_path / SOCKET_NAME))
        assert is_served(tmp_path)
        with pytest.raises(SourceError, match="its process is busy"):
            subscribe("imu", tmp_path, open_within_s=0.3)


def test_an_application_may_have_many_files_open(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2048, hard), hard))
    served = Served(tmp_path / SOCKET_NAME, Hello(channels=("x",), rate_hz=50, silence_s=10))
    with contextlib.ExitStack() as files, closing(served):
        for _ in range(1024):
            files.enter_context(Path("/dev/null").open("rb"))
        with closing(subscribe("imu", tmp_path)) as reader:
            assert reader.channels == ("x",)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
