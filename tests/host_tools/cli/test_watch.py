"""``host-tools watch``: the fleet, live, on a terminal and elsewhere."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec import structs
from support.brokers import Broker
from support.fake_device import FakeDevice
from support.host import Host
from support.simulated import simulated, wait_for

from edge_agent.wire.messages import ActiveRelease
from edge_agent.wire.telemetry import Event, Health, ModelSample, ModelState
from host_tools.cli.app import main
from host_tools.simulation.plan import Plan

TOOLS = Path(sys.executable).with_name("host-tools")


@pytest.fixture
def host(
    one_broker: Broker,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Host:
    return Host(one_broker.url, namespace, tmp_path, monkeypatch, capsys)


@dataclass
class Terminal:
    """A terminal of 140 columns, and what a program has written to it."""

    process: "subprocess.Popen[bytes]"
    heard: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it, without what moves the cursor."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(self.heard).decode(errors="replace"))


@contextmanager
def on_a_terminal(host: Host, *argv: str, lines: int = 30, kind: str = "xterm") -> Iterator[Terminal]:
    """The command, in a process of its own that is interrupted in the end; no lines: it writes to a pipe."""
    ours, theirs = pty.openpty() if lines else os.pipe()
    if lines:
        termios.tcsetwinsize(theirs, (lines, 140))
    where = ["--broker", host.url, "--namespace", host.namespace]
    env = {**os.environ, "TERM": kind, "COLUMNS": "140", "LINES": str(lines)}
    process = subprocess.Popen([TOOLS, *argv, *where], stderr=theirs, stdout=subprocess.PIPE, env=env)
    os.close(theirs)
    terminal = Terminal(process)

    def read() -> None:
        try:
            while part := os.read(ours, 65536):
                terminal.heard.append(part)
        except OSError:  # Linux says EIO when the other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield terminal
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=30)
        finally:
            process.kill()  # nothing, if it has ended
            process.communicate()
            reader.join()
        os.close(ours)


def test_a_terminal_gets_a_table_that_follows_the_fleet(host: Host, one_broker: Broker) -> None:
    with (
        FakeDevice(
            one_broker.url, host.namespace, "old-01", active=[ActiveRelease("har", 3, "a" * 16, "accepted")]
        ) as old,
        FakeDevice(one_broker.url, host.namespace, "new-01") as new,
    ):
        state = ModelState(
            device="new-01", model="har", active_version=7, p50_ms=2.0, float_p50_ms=4.0, agreement=0.987
        )
        new.say("model", "har", state)
        with on_a_terminal(host, "watch") as terminal:
            wait_for(lambda: "2 devices, 2 online" in terminal.text)
            old.report("b" * 16, stage="capture", progress=0.5)
            new.say("tele", "health", Health(device="new-01", temperature_c=83.4, throttled=True), retain=False)
            new.say(
                "tele", "model/har", ModelSample(device="new-01", model="har", interval_s=60, p50_ms=3.0), retain=False
            )
            wait_for(lambda: "1 working" in terminal.text and "0.75" in terminal.text)

    last = terminal.text.split("2 devices, 2 online")[-1]
    assert re.search(r"old-01 +Test Board +har +3 +━━──────  21% capture", last)
    assert re.search(r"new-01 +Test Board +har +7 +throttled +3 ms +0.75 +98.7 % +83", last)
    assert terminal.process.returncode == 130


def test_a_large_fleet_fits_the_screen(host: Host, one_broker: Broker) -> None:
    plan = Plan(devices=200, jobs_per_hour=0, health_s=2, model_s=2)
    with simulated(one_broker, host.namespace, plan, connections=4), on_a_terminal(host, "watch", lines=12) as terminal:
        wait_for(lambda: "200 devices, 200 online" in terminal.text and "and 192" in terminal.text)


def test_elsewhere_there_is_a_line_for_each_change(host: Host, one_broker: Broker) -> None:
    with FakeDevice(one_broker.url, host.namespace, "pi-01") as pi, FakeDevice(one_broker.url, host.namespace, "pi-02"):
        pi.say("model", "har", ModelState(device="pi-01", model="har", active_version=7, status="succeeded"))
        event = Event(device="pi-01", event_seq=1, kind="disk_low", severity="warning", message="1 GB is left")
        with on_a_terminal(host, "watch", lines=0) as pipe:
            wait_for(lambda: "pi-02: online" in pipe.text)

            def heard() -> bool:  # before it has subscribed it hears of no event
                pi.say("event", "", event, retain=False)
                time.sleep(0.1)
                return "disk_low" in pipe.text

            wait_for(heard)
            pi.say("event", "", event, retain=False)  # as after a connection that broke
            pi.say("event", "", structs.replace(event, event_seq=2, kind="throttled"), retain=False)
            wait_for(lambda: "throttled" in pipe.text)
        filtered = host.run(main, "watch", "--timeout", "0.5", "--filter", "Succeeded")
        named = host.run(main, "watch", "pi-02", "--timeout", "0.5")
        unknown = host.run(main, "watch", "pi-03", "--timeout", "0.5")

    assert pipe.process.returncode == 130
    assert pipe.text.splitlines() == [
        "pi-01 har 7: online, succeeded",
        "pi-02: online",
        "pi-01: warning disk_low: 1 GB is left",
        "pi-01: warning throttled: 1 GB is left",
    ]
    assert filtered.err.splitlines() == ["pi-01 har 7: online, succeeded"]
    assert named.err.splitlines() == ["pi-02: online"]
    assert unknown.exit == 2
    assert "did you mean" in unknown.err


def test_a_device_that_comes_later_is_seen_with_its_jobs(host: Host, one_broker: Broker) -> None:
    with FakeDevice(one_broker.url, host.namespace, "pi-01"), on_a_terminal(host, "watch", lines=0) as pipe:
        wait_for(lambda: "pi-01: online" in pipe.text)
        with FakeDevice(one_broker.url, host.namespace, "pi-09", agent_version="0.1.0") as late:
            late.report("a" * 16, stage="validate", progress=0.5)
            wait_for(lambda: "pi-09 har: online, validate 64%" in pipe.text)
        wait_for(lambda: "pi-09 har: offline" in pipe.text)


def test_a_terminal_that_cannot_draw_again_gets_lines(host: Host, one_broker: Broker) -> None:
    with FakeDevice(one_broker.url, host.namespace, "pi-01"), on_a_terminal(host, "watch", kind="dumb") as terminal:
        wait_for(lambda: "pi-01: online" in terminal.text)


@pytest.mark.parametrize("other", [["--json"], ["--job", "a" * 16]])
def test_a_filter_is_for_the_table(host: Host, other: list[str]) -> None:
    ended = host.run(main, "watch", "--filter", "pi", *other)

    assert ended.exit == 2
    assert "--filter is for the table" in ended.err
