"""A job's way, with a real ledger, store and publisher; what the stages do is told by each test."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from support.agents import DEVICE, TOPICS, StillLink, wanted

from edge_agent.daemon.admission.rules import Want
from edge_agent.daemon.device_info import Identity, InfoPublisher
from edge_agent.daemon.job_flow import JobFlow
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.daemon.publisher import Publisher
from edge_agent.daemon.sensor_processes import Sensors
from edge_agent.errors import StageError
from edge_agent.execution.run import StageEnd
from edge_agent.jobs.job import (
    ActivationStep,
    Ended,
    Event,
    Job,
    Progressed,
    StageFailed,
    StageSucceeded,
    Started,
    Status,
    Stepped,
)
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.result import MeasuredOn, Result
from edge_agent.jobs.task import OUTCOME_FILE, Stage
from edge_agent.settings.device import parse_config
from edge_agent.state.clock import Clock
from edge_agent.state.store import Store
from edge_agent.wire.digests import content_digest
from edge_agent.wire.manifest import encode_manifest
from edge_agent.wire.messages import JobReport, decode
from edge_agent.wire.topics import WantTopic

if TYPE_CHECKING:
    from edge_agent.mqtt import Link

OK = StageEnd("", "", "ok", 0.1)


class ToldWork:
    """The work of every stage. ``does`` is what it gives at its start, ``then`` when its child has ended."""

    def __init__(self) -> None:
        self.free = True
        self.does: Callable[[Job], Iterable[Event]] = lambda _job: ()
        self.then: Callable[[Job], Iterable[Event]] = lambda _job: [StageSucceeded(0.1)]
        self.at_stop: Callable[[Job], None] = lambda _job: None
        self.started: list[str] = []
        self.stopped: list[str] = []

    def ready(self, _job: Job) -> bool:
        return self.free

    def start(self, job: Job) -> Iterable[Event]:
        self.started.append(f"{job.version} {job.stage}")
        return self.does(job)

    def ended(self, job: Job, _end: StageEnd) -> Iterable[Event]:
        return self.then(job)

    def stop(self, job: Job) -> None:
        self.stopped.append(f"{job.version} {job.stage}")
        self.at_stop(job)


class Device:
    """A job flow on the state directory ``state``; a second one there is the next start of the device."""

    def __init__(self, state: Path) -> None:
        table = {"device_id": DEVICE.name, "state_dir": str(state), "mqtt": {"url": "mqtt://127.0.0.1"}}
        config = parse_config(table, "test")
        self.store = Store(state)
        self.store.lock()
        self.link = StillLink()
        self.work = ToldWork()
        self.tidied: list[tuple[str, bool, bool]] = []
        """Of each ended job: its version, and whether its report was on disk and on the broker by then."""
        self.hooks: list[Callable[[Job], None]] = [self._tidy]
        clock = Clock(state / "clock")
        publisher = Publisher(cast("Link", self.link), TOPICS, DEVICE.name, clock, "boot")
        self.ledger = JobLedger(self.store, publisher)
        self.ledger.load()
        info = InfoPublisher(config, self.store, Identity(), Sensors(config, lambda _said: None), publisher)
        self.flow = JobFlow(self.ledger, dict.fromkeys(Stage, self.work), clock, info, on_end=self.hooks)

    def _tidy(self, job: Job) -> None:
        published = decode(self.link.retained[TOPICS.device(DEVICE.name, "job", job.id)], JobReport)
        self.tidied.append((f"{job.version}", self.store.report(job.id) is not None, published.ended))

    def accept(self, version: int = 1, model: str = "har", **fields: Any) -> str:
        """Let a trusted want in; returns its job."""
        manifest = wanted(version, model, **fields)
        content = encode_manifest(manifest)
        want = Want(WantTopic(DEVICE, model), manifest, content, content_digest(content))
        self.flow.accept(want)
        return want.job

    def until(self, stage: Stage, job_id: str) -> None:
        """Let a job come to a stage, and start it."""
        while self.ledger.jobs[job_id].stage is not stage:
            self.flow.schedule()
            self.flow.stage_ended(job_id, OK)
        self.flow.schedule()

    def on_disk(self, job_id: str) -> Job:
        """The job that a boot would find now."""
        return next(job for job in self.store.load_jobs() if job.id == job_id)

    def report(self, job_id: str) -> JobReport:
        """The job's report as the broker has it."""
        return decode(self.link.retained[TOPICS.device(DEVICE.name, "job", job_id)], JobReport)

    def off(self) -> None:
        """The power is gone."""
        self.store.unlock()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    found = Device(tmp_path / "state")
    yield found
    found.off()


def test_an_accepted_job_is_stored_told_and_started(device: Device) -> None:
    job_id = device.accept()
    stored, told = device.on_disk(job_id), device.report(job_id)
    record = device.store.record("har")

    device.flow.schedule()

    assert (stored.status, told.status) == (Status.QUEUED, "queued")
    assert record is not None
    assert (record.version, record.job) == (1, job_id)
    assert device.work.started == ["1 receive"]
    assert device.on_disk(job_id).running


def test_a_stage_after_the_other_until_the_job_has_succeeded(device: Device) -> None:
    """Six stages end with a child each; the last one gives its steps at once."""
    job_id = device.accept()
    device.until(Stage.BENCHMARK, job_id)
    device.work.does = lambda _job: [Stepped(step, "1-j") for step in ActivationStep]

    device.flow.stage_ended(job_id, OK)
    device.flow.schedule()

    assert device.work.started == [f"1 {stage}" for stage in Stage]
    assert device.ledger.jobs[job_id].status is Status.SUCCEEDED
    assert device.report(job_id).code == "accepted"


def test_what_a_stage_has_found_is_in_the_next_report(device: Device) -> None:
    job_id = device.accept()
    device.until(Stage.CAPTURE, job_id)
    before = device.report(job_id).results["device"]["board"]
    (device.store.work_dir(job_id) / Stage.CAPTURE).mkdir()
    outcome = Outcome(results=Result(device=MeasuredOn(board="Pi")))
    (device.store.work_dir(job_id) / Stage.CAPTURE / OUTCOME_FILE).write_bytes(msgspec.json.encode(outcome))

    device.flow.stage_ended(job_id, OK)

    assert (before, device.report(job_id).results["device"]["board"]) == (None, "Pi")


def test_a_stage_that_is_not_ready_waits(device: Device) -> None:
    job_id = device.accept()
    device.work.free = False
    device.flow.schedule()
    waiting = device.on_disk(job_id)
    device.work.free = True

    device.flow.schedule()

    assert (waiting.status, waiting.running) == (Status.QUEUED, False)
    assert device.work.started == ["1 receive"]


def test_each_event_is_on_disk_before_the_stage_goes_on(device: Device) -> None:
    found: list[ActivationStep | None] = []

    def steps(job: Job) -> Iterator[Event]:
        for step in (ActivationStep.PREPARED, ActivationStep.SWAPPED):
            found.append(device.on_disk(job.id).step)
            yield Stepped(step, "1-j")
        found.append(device.on_disk(job.id).step)

    job_id = device.accept()
    device.until(Stage.BENCHMARK, job_id)
    device.work.does = steps
    device.flow.stage_ended(job_id, OK)
    device.flow.schedule()

    assert found == [None, ActivationStep.PREPARED, ActivationStep.SWAPPED]


def test_a_stage_is_not_asked_on_once_its_job_has_ended(device: Device) -> None:
    done: list[str] = []

    def work(_job: Job) -> Iterator[Event]:
        yield StageFailed("stage_crashed", "it crashed")
        done.append("what must not happen")

    job_id = device.accept()
    device.work.does = work
    device.flow.schedule()

    assert device.ledger.jobs[job_id].code == "stage_crashed"
    assert not done


def test_a_newer_version_ends_the_older_job(device: Device) -> None:
    older, other = device.accept(1), device.accept(1, "kws")
    device.flow.schedule()

    newer = device.accept(2)

    assert device.ledger.jobs[older].code == "superseded"
    assert device.work.stopped == ["1 receive"]
    assert device.report(older).message == "version 2 of har arrived"
    assert [device.ledger.jobs[job].ended for job in (newer, other)] == [False, False]


def test_a_newer_version_waits_for_an_activation(device: Device) -> None:
    older = device.accept(1)
    device.until(Stage.BENCHMARK, older)
    device.work.does = lambda job: [Stepped(ActivationStep.PREPARED, "1-j")] if job.stage is Stage.ACTIVATE else []
    device.flow.stage_ended(older, OK)
    device.flow.schedule()

    newer = device.accept(2)

    assert not device.ledger.jobs[older].ended
    assert not device.ledger.jobs[newer].ended


@pytest.mark.parametrize(
    ("fault", "code"), [(StageError("no_space", "the disk is full"), "no_space"), (ValueError("oops"), "internal")]
)
@pytest.mark.parametrize("where", ["start", "on the way", "when its child has ended"])
def test_a_fault_of_a_stage_ends_its_job_and_no_other(device: Device, where: str, fault: Exception, code: str) -> None:
    def breaks(job: Job) -> Iterator[Event]:
        if job.model == "har":
            if where == "on the way":
                yield Progressed(0.5)
            raise fault

    job_id, other = device.accept(), device.accept(1, "kws")
    if where == "when its child has ended":
        device.work.then = breaks
        device.flow.schedule()
        device.flow.stage_ended(job_id, OK)
    else:
        device.work.does = breaks
        device.flow.schedule()

    job = device.ledger.jobs[job_id]
    assert (job.status, job.code) == (Status.FAILED, code)
    assert device.report(job_id).code == code
    assert device.work.stopped == ["1 receive"]
    assert device.ledger.jobs[other].running


def test_a_job_that_the_power_cut_is_started_again(tmp_path: Path) -> None:
    """The stage runs a model, so the cut is counted; what a boot saved is what the next one finds."""
    before = Device(tmp_path / "state")
    job_id = before.accept()
    before.until(Stage.CALIBRATE, job_id)
    before.off()

    again = Device(tmp_path / "state")
    again.flow.resume()
    resumed = again.on_disk(job_id)
    again.flow.schedule()

    assert (resumed.stage, resumed.running, resumed.restarts) == (Stage.CALIBRATE, False, 1)
    assert again.work.started == ["1 calibrate"]
    again.off()


def test_a_clean_stop_is_not_counted(tmp_path: Path) -> None:
    before = Device(tmp_path / "state")
    job_id = before.accept()
    before.until(Stage.CALIBRATE, job_id)
    before.flow.pause()
    before.flow.stage_ended(job_id, StageEnd("canceled", "stopped", "stopped", 0.1))
    before.off()

    again = Device(tmp_path / "state")
    again.flow.resume()

    job = again.on_disk(job_id)
    assert (job.stage, job.restarts, job.running) == (Stage.CALIBRATE, 0, False)
    again.off()


def test_a_boot_makes_the_record_that_the_power_cut(tmp_path: Path) -> None:
    """The job was on disk, and what says that its version was accepted was not."""
    before = Device(tmp_path / "state")
    job_id = before.accept()
    (before.store.models / "har.json").unlink()
    before.off()

    again = Device(tmp_path / "state")
    again.flow.resume()

    record = again.store.record("har")
    assert record is not None
    assert (record.version, record.job) == (1, job_id)
    again.off()


def test_a_boot_makes_the_report_that_the_power_cut(tmp_path: Path) -> None:
    before = Device(tmp_path / "state")
    job_id = before.accept()
    before.ledger.apply(job_id, Started())
    before.ledger.apply(job_id, Ended("canceled", "an operator canceled the job"))  # and no more
    before.off()

    again = Device(tmp_path / "state")
    again.flow.resume()

    assert again.work.stopped == ["1 receive"]
    assert again.tidied == [("1", True, True)]
    assert again.report(job_id).code == "canceled"
    again.off()


def test_a_boot_ends_the_older_of_two_versions(tmp_path: Path) -> None:
    """The power failed when the newer one was on disk and the older one had not been ended yet."""
    before = Device(tmp_path / "state")
    older, newer = before.accept(1), "0" * 16
    job = before.ledger.jobs[older]
    next_one = msgspec.structs.replace(job, id=newer, version=2, created=job.created + 1)
    before.ledger.add(next_one, encode_manifest(wanted(2)))  # and no more
    before.off()

    again = Device(tmp_path / "state")
    again.flow.resume()

    assert again.ledger.jobs[older].code == "superseded"
    assert not again.ledger.jobs[newer].ended
    again.off()


def test_a_boot_ends_a_job_whose_manifest_is_lost_and_goes_on_with_others(tmp_path: Path) -> None:
    before = Device(tmp_path / "state")
    broken, sound = before.accept(1), before.accept(1, "kws")
    (before.store.job_dir(broken) / "manifest.json").unlink()
    before.off()

    again = Device(tmp_path / "state")
    again.flow.resume()
    again.flow.schedule()

    assert again.report(broken).code == "state_unreadable"
    assert again.ledger.jobs[sound].running
    again.off()


def test_the_report_is_out_before_anything_is_deleted(device: Device) -> None:
    """First the stage takes back what it did, so that the report tells the truth; what is deleted comes last."""
    order: list[str] = []
    job_id = device.accept()
    device.flow.schedule()
    device.work.at_stop = lambda job: order.append(f"stopped {device.report(job.id).status}")
    device.hooks.insert(0, lambda job: order.append(f"tidied {device.report(job.id).status}"))

    device.flow.apply(job_id, Ended("canceled", "an operator canceled the job"))

    assert order == ["stopped in_progress", "tidied canceled"]
    assert device.tidied == [("1", True, True)]


@pytest.mark.parametrize("fault", [StageError("no_space", "full"), OSError("gone")])
def test_a_job_is_reported_though_what_surrounds_its_end_fails(device: Device, fault: Exception) -> None:
    def breaks(_job: Job) -> None:
        raise fault

    job_id = device.accept()
    device.flow.schedule()
    device.work.at_stop = breaks
    device.hooks.insert(0, breaks)
    info = TOPICS.device(DEVICE.name, "info")
    before = device.link.retained[info]

    device.flow.apply(job_id, Ended("canceled", "an operator canceled the job"))

    assert device.report(job_id).code == "canceled"
    assert device.tidied == [("1", True, True)], "the next one is still asked"
    assert device.link.retained[info] != before


def test_a_child_that_outlives_its_job_is_tidied_up_after(device: Device) -> None:
    job_id = device.accept()
    device.flow.schedule()
    device.flow.apply(job_id, Ended("canceled", "an operator canceled the job"))

    device.flow.stage_ended(job_id, OK)
    device.flow.stage_ended("0" * 16, OK)  # of a job that is forgotten already

    assert len(device.tidied) == 2
    assert device.ledger.jobs[job_id].code == "canceled"


def test_an_expired_manifest_ends_its_job(device: Device) -> None:
    expired, lasting = device.accept(expires="2001-01-01T00:00:00Z"), device.accept(1, "kws")

    device.flow.expire()

    assert device.report(expired).code == "expired"
    assert not device.ledger.jobs[lasting].ended
