"""The agent's promises: whatever fails, and whenever, what was active stays active or the new release is."""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from support.agents import DEVICE, TOPICS, LocalAgent, wanted

from edge_agent.daemon import housekeeping
from edge_agent.daemon.activation import activator
from edge_agent.execution.run import StageEnd
from edge_agent.jobs.job import Job, Status
from edge_agent.jobs.job_report import encode_report, job_report
from edge_agent.jobs.result import MeasuredOn, Result
from edge_agent.jobs.task import Stage
from edge_agent.mqtt import Incoming
from edge_agent.state.releases import Releases
from edge_agent.state.store import KEPT_JOBS
from edge_agent.wire.envelope import COMMAND_TYPE, seal
from edge_agent.wire.manifest import Recipe
from edge_agent.wire.messages import MAX_REPORT_BYTES, Command, DeviceStatus, Done, JobReport, decode
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import Scope

TRUE = {"hook": [shutil.which("true") or "true"]}
FALSE = {"hook": [shutil.which("false") or "false"]}


class PowerCut(BaseException):
    """Nothing after it happens, not even what handles exceptions."""


class Disk:
    """Counts what is made durable; at the ``fail_at``-th it fails: for good, or with ``full`` until there is room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = 0
        self.fail_at = 0
        self.full = False
        monkeypatch.setattr(os, "fsync", self.fsync)
        for module in (activator, housekeeping):  # a power cut there must reach the test
            monkeypatch.setattr(module, "work_in_background", lambda work, put, event: put(event(work())))

    def fsync(self, _descriptor: int) -> None:
        """Stands for the real one, which would only take time: no real power is cut."""
        self.writes += 1
        if self.fail_at and self.writes >= self.fail_at:
            if self.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self.writes == self.fail_at:
                raise PowerCut


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    yield Disk(monkeypatch)
    monkeypatch.undo()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalAgent]:
    agent = LocalAgent(tmp_path / "state").boot()
    yield agent
    agent.off()


def active(state: Path) -> str:
    """The name of the release that an application would load, which must be whole; empty: none."""
    releases = Releases(state / "models", "har")
    release = releases.active()
    if release is None:
        assert not releases.link.is_symlink(), "the link points at nothing"
        return ""
    releases.verify(release)
    return release.name


def first_version(state: Path) -> str:
    """Make version 1 active; returns the release's name."""
    device = LocalAgent(state).boot()
    device.want(1)
    device.settle()
    device.off()
    return active(state)


def copies(base: Path, disk: Disk) -> Iterator[Path]:
    """Copies of a state directory, in the n-th of which the n-th durable write fails, until there are no more."""
    for number in range(1, 500):
        state = base.with_name(f"cut-{number}")
        shutil.copytree(base, state, symlinks=True)
        disk.writes, disk.fail_at = 0, number
        yield state
        failed, disk.fail_at = disk.writes >= number, 0
        shutil.rmtree(state)
        if not failed:
            assert number > 20
            return


@pytest.mark.parametrize("hook", [{}, TRUE, FALSE], ids=["no hook", "hook", "hook that refuses"])
def test_the_power_fails_at_every_write_of_a_job(tmp_path: Path, disk: Disk, hook: dict[str, Any]) -> None:
    before = first_version(tmp_path / "base")
    for state in copies(tmp_path / "base", disk):
        device = LocalAgent(state, activation=hook)
        try:
            device.boot().want(2)
            device.settle()
        except PowerCut:
            pass
        device.off()
        disk.fail_at = -1  # the power stays on from here

        between = active(state)
        again = LocalAgent(state, activation=hook).boot()
        job_id = again.want(2)
        again.settle()

        job = again.agent.jobs[job_id]
        record, report = again.store.record("har"), again.store.report(job_id)
        expected = (Status.FAILED, before) if hook is FALSE else (Status.SUCCEEDED, f"2-{job_id}")
        assert between in (before, f"2-{job_id}")
        assert (job.status, active(state)) == expected, job.message
        assert record is not None
        assert (record.version, record.job, record.status) == (2, job_id, job.status)
        assert report is not None
        assert decode(report, JobReport).results["verdict"] == ("failed" if hook is FALSE else "accepted")
        assert {path.name for path in again.store.job_dir(job_id).iterdir()} == {
            "job.json",
            "manifest.json",
            "report.json",
        }
        events = again.events()
        ends = [event.kind for event in events if event.job == job_id and event.kind != "rolled_back"]
        assert ends == (["failed"] if hook is FALSE else ["activated"]), "told once, wherever the power failed"
        assert [event.event_seq for event in events] == sorted({event.event_seq for event in events})
        again.off()


@pytest.mark.parametrize("hook", [{}, TRUE], ids=["no hook", "hook"])
def test_the_disk_is_full_from_every_write_on(tmp_path: Path, disk: Disk, hook: dict[str, Any]) -> None:
    before = first_version(tmp_path / "base")
    disk.full = True
    for state in copies(tmp_path / "base", disk):
        device = LocalAgent(state, activation=hook).boot()
        job_id = device.want(2)
        device.settle()

        job = device.agent.jobs.get(job_id)
        done = job is not None and job.status is Status.SUCCEEDED
        assert job is None or (job.status, job.code) in ((Status.SUCCEEDED, "accepted"), (Status.FAILED, "no_space"))
        assert active(state) == (f"2-{job_id}" if done else before)

        number, disk.fail_at = disk.fail_at, 0
        device.agent.tick()
        assert job is None or job in device.store.load_jobs()
        assert job is None or device.store.report(job_id) is not None
        disk.fail_at = number
        device.off()


def test_what_is_signed_for_another_device_is_not_for_this_one(local: LocalAgent) -> None:
    """A broker may deliver a sound manifest where it does not belong: its topic and its targets agree."""
    local.want(scope=Scope("d", "pi-02"))

    assert not local.agent.jobs
    assert local.link.acknowledged == 1


def test_an_older_version_in_the_place_of_a_newer_one_is_refused(local: LocalAgent) -> None:
    """What the topic held before is gone, so it is no higher want that stands beside this one."""
    for version in (3, 2):
        local.want(version)
        local.settle()

    assert refused(local) == [("har", "downgrade")]

    local.want(2, scope=Scope("g", "lab"), recipe=Recipe(calibration_windows=10))
    local.settle()

    assert [job.version for job in local.agent.jobs.values()] == [3]
    assert local.agent.publisher._refused_count == 2, "its own topic asks for version 3 no longer"


def test_a_newer_version_whose_want_has_expired_does_not_hush_an_older_one(local: LocalAgent) -> None:
    """It lies at the broker still, and comes again at every connect."""
    over = time.time() + 3600
    newer = wanted(3, scope=Scope("g", "lab"), expires=rfc3339(over))
    local.deliver(newer, Scope("g", "lab"))
    local.settle()
    local.agent.clock._floor = over + 1
    local.deliver(newer, Scope("g", "lab"))

    local.want(2)

    assert refused(local) == [("har", "downgrade")]


def test_a_refusal_is_said_until_a_newer_order_is_obeyed(local: LocalAgent) -> None:
    for version in (3, 2):
        local.want(version)
        local.settle()
    local.want(1, "gait")
    assert refused(local) == [("har", "downgrade")], "another model's job is no answer to it"

    local.want(4)
    local.settle()
    local.agent.publisher._status_published_at = 0.0
    local.agent.tick()

    assert refused(local) == []


def test_a_refused_command_is_said_until_another_one_is_obeyed(local: LocalAgent) -> None:
    topic = TOPICS.command(DEVICE, "one")
    local.handle(Incoming(topic, command("two", "rollback", model="har"), retained=True))
    assert refused(local) == [("one", "wrong_target")]

    local.handle(Incoming(topic, command("one", "rollback", model="har"), retained=True))
    local.agent.publisher._status_published_at = 0.0
    local.agent.tick()

    assert refused(local) == []


def refused(device: LocalAgent) -> list[tuple[str, str]]:
    """The refusal that the device's status tells of."""
    status = decode(device.link.retained[TOPICS.device(DEVICE.name, "status")], DeviceStatus)
    return [(status.refused.model, status.refused.code)] if status.refused else []


def test_what_was_fetched_serves_the_version_that_supersedes(local: LocalAgent, tmp_path: Path) -> None:
    """The older job ends when the newer one names the blob already, or it would be deleted under the transfer."""
    manifest = wanted(1)
    part = local.store.blobs / f"{manifest.blob.sha256}.part"
    local.deliver(manifest, blob=False)
    part.write_bytes(b"the beginning")

    local.deliver(wanted(2, recipe=Recipe(calibration_windows=10)), blob=False)

    assert sorted(job.code for job in local.agent.jobs.values()) == ["", "superseded"]
    assert part.read_bytes() == b"the beginning"


def test_a_job_waits_until_the_worker_of_the_one_before_has_ended(local: LocalAgent) -> None:
    """It was told to stop, but still holds the sensor and the processor; what it leaves behind is deleted."""
    local.stages.held = {Stage.CAPTURE}
    first = local.want(1)
    while not local.stages.runs:
        local.step()
    second = local.want(2)
    for _ in range(3):
        local.step()
    waiting = local.agent.jobs[second]
    _, run = local.stages.runs[0]

    run.end()
    while len(local.stages.runs) < 2:
        local.step()

    assert run.stopped
    assert (waiting.stage, waiting.running) == (Stage.CAPTURE, False)
    assert not (local.store.work_dir(first) / Stage.CAPTURE).exists()


def test_captures_from_one_sensor_follow_each_other(local: LocalAgent) -> None:
    local.stages.held = {Stage.CAPTURE}
    for model, source in (("har", "imu"), ("gait", "imu"), ("kws", "mic")):
        local.want(1, model, source=source)
    for _ in range(3):
        local.step()

    assert [job.model for job, _ in local.stages.runs] == ["har", "kws"]


def test_a_stage_that_cannot_be_judged_ends_its_job(local: LocalAgent) -> None:
    """Whatever goes wrong on the way: a job that waits for ever keeps every other one from the processor."""
    local.stages.ends = {Stage.QUANTIZE: StageEnd("", "", "nonsense", 0.1)}  # type: ignore[arg-type]
    local.stages.ends[Stage.VALIDATE] = StageEnd("no such code", "", "rejected", 0.1)
    job = local.want()
    local.settle()

    assert local.agent.jobs[job].status is Status.FAILED


def test_a_broken_outcome_does_not_keep_the_agent_from_reporting(local: LocalAgent) -> None:
    local.stages.ends[Stage.VALIDATE] = StageEnd("stage_crashed", "died", "failed", 0.1)
    local.stages.held = {Stage.VALIDATE}
    job = local.want()
    while len(local.stages.runs) < 4:
        local.step()
    local.stages.runs[-1][1].end()
    (local.store.work_dir(job) / Stage.VALIDATE / "outcome.json").write_text("{")

    local.settle()

    report = decode(local.link.retained[TOPICS.device(DEVICE.name, "job", job)], JobReport)
    assert (report.status, report.code) == ("failed", "stage_crashed")


def test_a_full_house_is_cleared(local: LocalAgent) -> None:
    """Months in a few lines: reports beyond the newest go, and with them all that is kept in memory of a job."""
    for version in range(1, KEPT_JOBS + 4):
        local.want(version)
        local.settle()
    (local.store.jobs / "left-by-a-crash").mkdir()

    local.want(KEPT_JOBS + 4)
    local.settle()

    agent = local.agent
    kept = {path.name for path in local.store.jobs.iterdir()}
    assert len(kept) == KEPT_JOBS
    assert kept == set(agent.jobs) >= set(agent.publisher._reported)
    assert not agent.ledger._manifests
    assert not agent.ledger._results
    assert not agent.ledger._unsaved
    assert len(list((local.store.models / "har" / "releases").iterdir())) == 2


def command(name: str, action: Literal["rollback", "recalibrate"], **fields: Any) -> bytes:
    """A command to the test's device."""
    body = Command(
        namespace="ea/v1", id=name, action=action, targets=[str(DEVICE)], expires="2099-01-01T00:00:00Z", **fields
    )  # fmt: skip
    return seal(msgspec.json.encode(body), COMMAND_TYPE)


def done(local: LocalAgent, name: str) -> Done:
    """How a command ended, as the broker has it."""
    return decode(local.link.retained[TOPICS.device(DEVICE.name, "done", name)], Done)


@pytest.mark.parametrize(("model", "code"), [("har", "no_previous"), ("kws", "not_active")])
def test_a_command_that_comes_again_is_told_how_it_ended(local: LocalAgent, model: str, code: str) -> None:
    """A group's command stays on the broker: each reconnect brings it again, and its end must not become a success."""
    local.want()
    local.settle()
    topic = TOPICS.command(DEVICE, "c-1")
    ends = []
    for _ in range(2):
        local.handle(Incoming(topic, command("c-1", "rollback", model=model), retained=True))
        ends.append(done(local, "c-1"))

    assert [end.code for end in ends] == [code, code]
    assert ends[0].message == ends[1].message
    assert local.link.retained[topic] == b""


def test_a_command_is_cleared_when_its_end_is_known_and_not_before(tmp_path: Path) -> None:
    """The hook takes its time; if the power fails meanwhile, the command is still there and its end is told."""
    state = tmp_path / "state"
    local = LocalAgent(state).boot()
    for version in (1, 2):
        local.want(version)
        local.settle()
    local.off()
    slow = LocalAgent(state, activation={"hook": [shutil.which("sleep") or "sleep", "0"]}).boot()
    topic = TOPICS.command(DEVICE, "c-2")
    slow.handle(Incoming(topic, command("c-2", "rollback", model="har", version=2), retained=True))
    deadline = time.monotonic() + 60
    while not active(state).startswith("1-"):
        assert time.monotonic() < deadline
        slow.step()
    said_at_once = topic in slow.link.retained
    slow.off()

    again = LocalAgent(state).boot()
    again.handle(Incoming(topic, command("c-2", "rollback", model="har", version=2), retained=True))

    assert not said_at_once
    assert done(again, "c-2").code == "not_active"
    assert again.link.retained[topic] == b""
    again.off()


def test_a_recalibration_outlives_the_expiry_of_its_manifest_and_keeps_out_of_a_newer_jobs_way(
    local: LocalAgent,
) -> None:
    release = local.want(1, expires="2030-01-01T00:00:00Z")
    local.settle()
    local.agent.clock.seen(2_000_000_000.0)  # 2033
    topic = TOPICS.command(DEVICE, "c-3")
    local.handle(Incoming(topic, command("c-3", "recalibrate", model="har"), retained=True))
    local.settle()
    local.stages.held = {Stage.CAPTURE}
    newer = local.want(2)
    local.step()
    local.handle(Incoming(TOPICS.command(DEVICE, "c-4"), command("c-4", "recalibrate", model="har"), retained=True))

    recalibrated = next(job for job in local.agent.jobs.values() if job.id not in (release, newer))
    assert recalibrated.status is Status.SUCCEEDED, recalibrated.message
    assert done(local, "c-4").code == "locked"
    assert not local.agent.jobs[newer].ended


@pytest.mark.parametrize("what", ["changed", "a FIFO", "a link"])
def test_nothing_is_recalibrated_by_a_manifest_that_is_not_the_releases(local: LocalAgent, what: str) -> None:
    """It was signed when it came; what lies on the disk now is not."""
    job = local.want(1)
    local.settle()
    path = local.store.models / "har" / "releases" / f"1-{job}" / "manifest.json"
    content = path.read_bytes()
    path.unlink()
    match what:
        case "changed":
            path.write_bytes(content.replace(b'"size":8', b'"size":9'))
        case "a FIFO":
            os.mkfifo(path)
        case _:
            path.with_name("other.json").write_bytes(content)
            path.symlink_to("other.json")

    local.handle(Incoming(TOPICS.command(DEVICE, "c-5"), command("c-5", "recalibrate", model="har"), retained=True))

    assert done(local, "c-5").code == "release_corrupt"
    assert list(local.agent.jobs) == [job]


@pytest.mark.parametrize("broken", ["model.onnx", "release.json"])
def test_a_release_that_broke_on_disk_is_taken_out_at_boot(tmp_path: Path, broken: str) -> None:
    state = tmp_path / "state"
    before = first_version(state)
    device = LocalAgent(state).boot()
    device.want(2)
    device.settle()
    device.off()
    path = state / "models" / "har" / "active" / broken
    path.write_bytes(path.read_bytes()[:-1])
    broken_link = path.parent.readlink()

    device = LocalAgent(state).boot()
    deadline = time.monotonic() + 60
    while path.parent.readlink() == broken_link and time.monotonic() < deadline:
        device.step()

    assert active(state) == before
    device.off()


def test_a_report_that_is_too_large_still_says_the_verdict() -> None:
    job = Job(id="0" * 16, model="har", version=1, digest="", scope="d/pi-01", created=0, code="internal", message="m")
    result = Result(device=MeasuredOn(board="y" * MAX_REPORT_BYTES), verdict="failed", message="m")
    report = job_report(job, device="pi-01", boot_id="", seq=1, now=0, message="m", release="")

    data = encode_report(report, result)

    assert len(data) <= MAX_REPORT_BYTES
    assert decode(data, JobReport).results["verdict"] == "failed"
