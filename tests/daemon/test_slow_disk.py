"""A card that takes minutes for a model: the daemon goes on with everything else meanwhile, and says READY before."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.agents import LocalAgent
from support.brokers import Broker
from support.device import Device, push

from edge_agent.daemon.activation.release_steps import roll_back
from edge_agent.daemon.control_socket import ControlRequest
from edge_agent.execution.run import StageEnd
from edge_agent.jobs.job import Ended, Status
from edge_agent.jobs.task import Stage
from edge_agent.state.releases import Releases
from edge_agent.wire.messages import JobReport


class SlowDisk:
    """Whoever reads or copies a model waits here until ``go``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.waiting = threading.Event()
        self._prepare, self._verify = Releases.prepare, Releases.verify
        monkeypatch.setattr(Releases, "prepare", lambda *given: self._held(self._prepare, *given))
        monkeypatch.setattr(Releases, "verify", lambda *given: self._held(self._verify, *given))

    def _held(self, work: object, *given: object) -> None:
        assert callable(work)
        self.waiting.set()
        assert self.go.wait(60)
        work(*given)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    slow = SlowDisk(monkeypatch)
    yield slow
    slow.go.set()


def until(local: LocalAgent, disk: SlowDisk) -> None:
    """Let the agent work until it is the disk that it waits for."""
    deadline = time.monotonic() + 60
    while not disk.waiting.is_set():
        assert time.monotonic() < deadline
        local.step()


def with_two_versions(folder: Path, disk: SlowDisk) -> LocalAgent:
    """An agent with version 2 of ``har`` active and version 1 before it; from now on the disk waits."""
    disk.go.set()
    local = LocalAgent(folder / "state").boot()
    for version in (1, 2):
        local.want(version)
        local.settle()
    disk.go.clear()
    disk.waiting.clear()
    return local


def test_a_release_is_copied_while_the_daemon_goes_on(tmp_path: Path, disk: SlowDisk) -> None:
    local = LocalAgent(tmp_path / "state").boot()
    job = local.want(1)
    until(local, disk)

    other = local.want(1, "kws")  # is let in, received and captured
    deadline = time.monotonic() + 60
    while local.agent.jobs[other].stage in (Stage.RECEIVE, Stage.CAPTURE) and time.monotonic() < deadline:
        local.step()
    assert local.agent.jobs[other].stage is Stage.CALIBRATE
    assert local.agent.jobs[job].step is None

    disk.go.set()
    local.settle()
    assert local.agent.jobs[job].status is Status.SUCCEEDED
    local.off()


def test_what_is_being_written_is_not_collected(tmp_path: Path, disk: SlowDisk) -> None:
    local = LocalAgent(tmp_path / "state").boot()
    job = local.want(1)
    until(local, disk)
    writing = local.store.models / "har" / "releases" / f"1-{job}.tmp"
    writing.mkdir(parents=True)
    canceled = local.want(1, "kws")

    local.agent.flow.apply(canceled, Ended("canceled", "an operator canceled the job"))

    assert writing.is_dir()
    disk.go.set()
    local.settle()
    local.off()


def test_a_rollback_while_a_release_is_copied_is_not_undone_when_that_backs_out(tmp_path: Path, disk: SlowDisk) -> None:
    """The release would name the one that was rolled back from as its previous, which by then is not even kept."""
    local = with_two_versions(tmp_path, disk)
    releases = Releases(local.store.models, "har")
    job = local.want(3)
    until(local, disk)
    disk.go.set()
    active, previous = roll_back(local.store, "har")  # before the end of the copy is taken out of the inbox
    assert (active.version, previous.version) == (2, 1)
    local.stages.ends[Stage.ACTIVATE] = StageEnd("stage_crashed", "it did not load", "failed", 0.1)

    local.settle()

    assert local.agent.jobs[job].code == "activation_failed"
    current = releases.active()
    assert current is not None
    assert current.version == 1
    local.off()


def test_a_release_is_read_before_a_rollback_while_the_daemon_goes_on(tmp_path: Path, disk: SlowDisk) -> None:
    local = with_two_versions(tmp_path, disk)
    releases = Releases(local.store.models, "har")
    first, second = ControlRequest("rollback", "har"), ControlRequest("rollback", "har")

    for request in (first, second):
        local.handle(request)
    until(local, disk)
    current = releases.active()
    assert current is not None
    assert current.version == 2
    assert first.answers.empty()

    disk.go.set()
    said = [answer(local, request) for request in (first, second)]
    done, refused = sorted(said, key=lambda one: "code" in one)
    assert done["message"] == "har 1 is active again"
    assert refused["code"] == "locked", "it was about what is active no longer"
    local.off()


def answer(local: LocalAgent, request: ControlRequest) -> dict[str, Any]:
    """What the agent answers, within its patience."""
    deadline = time.monotonic() + 60
    while request.answers.empty():
        assert time.monotonic() < deadline
        local.step()
    return request.answers.get()


def test_a_boot_does_not_wait_for_the_releases_to_be_read(tmp_path: Path, disk: SlowDisk) -> None:
    disk.go.set()
    local = LocalAgent(tmp_path / "state").boot()
    local.want(1)
    local.settle()
    local.off()
    disk.go.clear()
    disk.waiting.clear()

    again = LocalAgent(tmp_path / "state").boot()  # returns

    assert disk.waiting.wait(60), "they are read all the same"
    disk.go.set()
    again.off()


def test_at_boot_one_release_is_read_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalAgent(tmp_path / "state").boot()
    names = [f"m{number}" for number in range(4)]
    for name in names:
        local.want(1, name)
    local.settle()
    local.off()
    lock, at_once, read = threading.Lock(), 0, []

    def diagnose(releases: Releases) -> tuple[str, str]:
        nonlocal at_once
        with lock:
            at_once += 1
            assert at_once == 1
        time.sleep(0.05)
        with lock:
            at_once -= 1
            read.append(releases.model)
        return "", ""

    monkeypatch.setattr(Releases, "diagnose", diagnose)
    again = LocalAgent(tmp_path / "state").boot()
    deadline = time.monotonic() + 60
    while len(read) < len(names):
        assert time.monotonic() < deadline
        again.step()

    assert read == names
    again.off()


_ALL_BLOBS_ARE_LARGE = """
import sys
from edge_agent.cli import main
from edge_agent.daemon.transfer import receiver
receiver._AT_ONCE_BYTES = 0
sys.exit(main())
"""


def test_a_blob_that_is_read_back_in_the_background_reaches_its_job(
    tmp_path: Path, one_broker: Broker, namespace: str
) -> None:
    device = Device(tmp_path, one_broker.url, namespace)
    device.program = ["-c", _ALL_BLOBS_ARE_LARGE]
    with device:
        push(device)
        device.expect(JobReport, lambda report: report.stage != Stage.RECEIVE, 60)
