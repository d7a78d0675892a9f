"""The last part of a push: the blobs, the want, and the devices' answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.wire.manifest import Blob, Manifest
from edge_agent.wire.messages import JobReport
from edge_agent.wire.topics import Scope
from host_tools.broker.command_line import command_line
from host_tools.broker.commands import place
from host_tools.broker.job_tracker import EXIT_SUCCEEDED, DeviceOutcome, JobTracker
from host_tools.broker.purge import purge
from host_tools.broker.registry import Device
from host_tools.broker.session import Session
from host_tools.display.progress import Display
from host_tools.exits import INTERRUPTED
from host_tools.push.foresight import Asked, Outlook, ignores, inactive
from host_tools.push.upload import Uploader
from host_tools.push.waiting import listen, wait


@dataclass(slots=True)
class PushResult:
    """The result of a push; ``summary`` is the last line of ``--json``."""

    exit: int
    manifest: Manifest
    job: str
    reports: list[JobReport] = field(default_factory=list)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def summary(self) -> dict[str, Any]:
        """Flat fields for scripts."""
        return {
            "exit": self.exit,
            "job": self.job,
            "model": self.manifest.name,
            "version": self.manifest.version,
            "devices": self.devices,
        }


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed manifest with the files that it names; no files where the broker has them already."""

    manifest: Manifest
    envelope: bytes
    job: str
    blobs: list[tuple[Path, Blob]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """How long to wait for the devices.

    Attributes:
        wait: wait until the job has ended everywhere.
        timeout_s: the longest wait; None: the announced capture time and 15 minutes.
        devices_stay: devices continue when this command is interrupted; False: the caller handles Ctrl-C.
        sent: called with the manifest once the broker has it, or may have it.
    """

    wait: bool = True
    timeout_s: float | None = None
    devices_stay: bool = True
    sent: Callable[[Manifest], object] = lambda _manifest: None


def new_tracker(
    asked: Asked, devices: Mapping[str, Device], outlooks: Mapping[str, tuple[Outlook, int]], highest: int
) -> JobTracker:
    """The devices to wait for, without those that will not answer."""
    statuses = {name: device.status for name, device in devices.items()}
    tracker = JobTracker(asked.job, asked.model, statuses, open_ended=any(scope.kind == "g" for scope in asked.scopes))
    for name, foreseen in outlooks.items():
        match foreseen:
            case ((Outlook.IGNORED | Outlook.UNANSWERED), _):
                tracker.devices[name].ignored = ignores(name, foreseen, asked, highest)
            case Outlook.INACTIVE, active:
                tracker.devices[name].inactive = inactive(asked, active)
    return tracker


def send(
    session: Session, scopes: Sequence[Scope], sealed: Sealed, tracker: JobTracker, display: Display, stay: Stay
) -> PushResult:
    """Publish, and wait as long as ``stay`` allows."""
    settings = session.settings
    manifest, job = sealed.manifest, sealed.job
    result = PushResult(EXIT_SUCCEEDED, manifest, job)
    watch = command_line(settings, "host-tools", "watch", "--job", job)
    uploader = Uploader(session, sealed.blobs, display.upload, max_broker_bytes=settings.max_broker_bytes)
    try:
        if sealed.blobs:
            uploader.upload()
    except KeyboardInterrupt:
        if stay.devices_stay:
            display.note("no device has an order yet; push again, and chunks that the broker has are not sent twice")
        raise
    listen(session, job)
    wants = (session.topics.want(scope, manifest.name) for scope in scopes)
    place(session, wants, sealed.envelope, lambda: stay.sent(manifest))
    session.say_left(purge(session, settings).refused)
    if not stay.wait:
        display.note(f"sent; watch it with: {watch}")
        return result
    try:
        in_time = wait(session, tracker, display, timeout_s=stay.timeout_s, on_need=uploader.answer)
    except KeyboardInterrupt:
        if not stay.devices_stay:
            raise
        display.note(f"the job goes on; watch it with: {watch}")
        result.exit = INTERRUPTED
    else:
        result.exit = tracker.exit_code
        if not in_time and stay.devices_stay:
            display.note(f"time is up; the job goes on; watch it with: {watch}")
    fill(result, tracker)
    return result


def fill(result: PushResult, tracker: JobTracker) -> None:
    """Copy each device's state into ``result``."""
    for name, progress in tracker.devices.items():
        report = progress.report
        if report and progress.end is not DeviceOutcome.INACTIVE:
            result.reports.append(report)
        result.devices[name] = {
            "end": progress.end.value,
            "code": progress.code,
            "message": progress.message,
            "release": report.release if report else "",
        }
