"""``host-tools simulate``: the command, on real brokers."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.brokers import Broker, MosquittoBroker
from support.fake_device import FakeDevice
from support.host import Host
from support.simulated import wait_for

from host_tools.broker.registry import read_devices
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.cli.app import main

TOOLS = Path(sys.executable).with_name("host-tools")


@pytest.fixture
def host(
    one_broker: Broker,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Host]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Host(one_broker.url, namespace, tmp_path, monkeypatch, capsys)
    for number, handler in before.items():
        signal.signal(number, handler)


def retained(host: Host) -> dict[str, bytes]:
    with Session(Settings(url=host.url, namespace=host.namespace)) as session:
        topics = session.topics
        return session.snapshot(*(topics.devices(kind) for kind in ("status", "info", "model", "job")))


def start(host: Host, *argv: str, as_json: bool = True) -> "subprocess.Popen[str]":
    """The command in a process of its own, all of its devices online."""
    where = ["--broker", host.url, "--namespace", host.namespace, *(["--json"] if as_json else [])]
    streams = {"stdout" if as_json else "stderr": subprocess.PIPE}
    process = subprocess.Popen([TOOLS, "simulate", *argv, *where], text=True, **streams)
    heard = process.stdout or process.stderr
    assert heard is not None
    first = heard.readline()
    assert json.loads(first)["event"] == "online" if as_json else f": {argv[0]} devices online, 0 jobs" in first
    return process


def in_shell(command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)


def test_a_fleet_lives_for_its_time_and_leaves_nothing(host: Host) -> None:
    ended = host.run(main, "simulate", "12", "--timeout", "0.1", "--json")

    assert ended.exit == 0
    assert ended.events[-1]["event"] == "summary"
    assert ended.events[-1]["exit"] == 0
    assert retained(host) == {}


def test_what_is_kept_is_cleared_later_and_nothing_else(host: Host, one_broker: Broker) -> None:
    with FakeDevice(one_broker.url, host.namespace, "sim-0099"):
        process = start(host, "5", "--keep", "--beside-real", as_json=False)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        topics = retained(host)
        cleared = host.run(main, "simulate", "--clear", "--json")
        left = retained(host)

    assert process.returncode == 130
    assert cleared.exit == 0
    assert len(topics) == 5 * 4 + 2
    assert json.loads(cleared.out) == {"cleared": 20}
    assert {topic.split("/")[-2] for topic in left} == {"sim-0099"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_fleet_that_is_stopped_says_so_and_leaves_nothing(host: Host, number: signal.Signals) -> None:
    process = start(host, "8")
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)

    assert process.returncode == 130
    assert json.loads(out.splitlines()[-1])["exit"] == 130
    assert json.loads(out.splitlines()[-1])["connected"] == 8
    assert json.loads(out.splitlines()[-1])["messages"] >= 8 * 6
    assert retained(host) == {}


@pytest.mark.mosquitto
def test_a_fleet_whose_broker_is_gone_ends_soon_and_says_how_to_clear(
    mosquitto: MosquittoBroker, namespace: str
) -> None:
    where = ["--broker", mosquitto.url, "--namespace", namespace, "--broker-timeout", "1", "--json"]
    argv = [TOOLS, "simulate", "3", *where]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "online"
        with Session(Settings(url=mosquitto.url, namespace=namespace)) as session:
            kinds = [session.topics.devices(kind) for kind in ("status", "info", "model", "job")]
            wait_for(lambda: len(session.snapshot(*kinds)) == 3 * 4)  # so there is something to clear
        mosquitto.kill()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert json.loads(out)["event"] == "summary"
    assert "later: host-tools simulate --clear --prefix sim" in err


def test_the_wills_of_a_fleet_that_was_killed_say_that_it_is_gone(host: Host) -> None:
    with start(host, "8") as process:
        process.kill()
    with Session(Settings(url=host.url, namespace=host.namespace)) as session:
        wait_for(lambda: not any(one.online for one in read_devices(session).values()))
        assert len(read_devices(session)) == 8

    assert host.run(main, "simulate", "--clear").out == "cleared 32 messages\n"


def test_a_push_is_taken_by_every_device(host: Host) -> None:
    process = start(host, "4", "--group", "lab", "--job-seconds", "0.5", "--failures", "0", "--jobs-per-hour", "0")
    pushed = host.push("--group", "lab", "--json", "--timeout", "120")
    watched = host.run(main, "watch", "--job", pushed.events[-1]["job"], "--json")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert pushed.exit == watched.exit == 0
    assert {name: one["end"] for name, one in pushed.events[-1]["devices"].items()} == {
        f"sim-000{number}": "succeeded" for number in range(1, 5)
    }


def test_a_system_that_permits_too_few_files_is_told_of_with_what_to_do(host: Host) -> None:
    ended = in_shell(f"ulimit -n 150; exec {TOOLS} simulate 200 --timeout 0.1 --broker {host.url}")

    assert ended.returncode == 2
    assert "200 connections need 264 open files, and this system permits 150" in ended.stderr
    assert "--connections 86" in ended.stderr


def test_a_soft_limit_is_raised(host: Host) -> None:
    where = f"--broker {host.url} --namespace {host.namespace}"
    ended = in_shell(f"ulimit -Sn 100; exec {TOOLS} simulate 60 --timeout 0.1 {where}")

    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "give the number of devices"),
        (["3", "--prefix", "a/b"], "must match [a-z0-9]"),
        (["3", "--group", "+"], "must match [a-z0-9]"),
        (["5001"], "5000"),
        (["3", "--job-seconds", "604801"], "604800"),
        (["3", "--connections", "2", "--drops-per-hour", "1"], "leave out --connections"),
        (["3", "--clear"], "leave out the number"),
    ],
)
def test_a_fleet_that_cannot_be_is_refused(host: Host, argv: list[str], words: str) -> None:
    ended = host.run(main, "simulate", *argv)

    assert ended.exit == 2
    assert words in ended.err
