"""The state of one job on every device, as far as the messages tell. Pure: messages go in, a view comes out.

* A report of another job changes nothing; an older report never replaces a newer one.
* A refusal counts only if it is new: a device's status is retained and may contain an earlier one.
* A success counts only while its release is active: a report is retained, and a rollback does not change it.
* The exit code is the first of 6, 5, 4, 8, 7 that applies, so a script learns the most important result.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge_agent.wire.messages import DeviceStatus, JobReport, Refused


class DeviceOutcome(StrEnum):
    """The state of a job on one device, as a host sees it."""

    PENDING = "pending"
    """No message yet: the device is offline, or busy with other work."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUSED = "refused"
    """The device refuses this manifest."""
    IGNORED = "ignored"
    """The device ignores this manifest without a message."""
    INACTIVE = "inactive"
    """The job succeeded, and its release is no longer active."""


_EXITS = {
    DeviceOutcome.REFUSED: 6,
    DeviceOutcome.IGNORED: 6,
    DeviceOutcome.FAILED: 5,
    DeviceOutcome.REJECTED: 4,
    DeviceOutcome.CANCELED: 8,
    DeviceOutcome.INACTIVE: 8,
    DeviceOutcome.PENDING: 7,
    DeviceOutcome.RUNNING: 7,
}
_ENDS = {
    end.value: end
    for end in (DeviceOutcome.SUCCEEDED, DeviceOutcome.REJECTED, DeviceOutcome.FAILED, DeviceOutcome.CANCELED)
}
EXIT_SUCCEEDED = 0


@dataclass(slots=True)
class Progress:
    """One device's progress with the job."""

    device: str
    online: bool | None = None
    """None: this device has never published a status."""
    report: JobReport | None = None
    refused: Refused | None = None
    refusals_before: tuple[str, int, Refused | None] | None = None
    """Boot id, number of refusals and last refusal in the device's status before the job was sent."""
    ignored: str = ""
    """Why the device will not answer, as far as the broker's messages show; empty if unknown."""
    inactive: str = ""
    """Why the success reported before the job was sent is no longer valid; empty if it is."""

    @property
    def end(self) -> DeviceOutcome:
        """The state of the job on this device."""
        if self.report and self.report.ended:
            end = _ENDS.get(self.report.status, DeviceOutcome.FAILED)
            return DeviceOutcome.INACTIVE if self.inactive and end is DeviceOutcome.SUCCEEDED else end
        if self.refused:
            return DeviceOutcome.REFUSED
        if self.report:
            return DeviceOutcome.RUNNING
        return DeviceOutcome.IGNORED if self.ignored else DeviceOutcome.PENDING

    @property
    def ended(self) -> bool:
        """Whether no more messages are expected."""
        return self.end not in (DeviceOutcome.PENDING, DeviceOutcome.RUNNING)

    @property
    def code(self) -> str:
        """The code of the job's end."""
        if self.end is DeviceOutcome.REFUSED and self.refused:
            return self.refused.code
        if self.end is DeviceOutcome.INACTIVE:
            return "not_active"
        return self.report.code if self.report else ""

    @property
    def message(self) -> str:
        """One sentence: why the job ended, or its current activity."""
        if self.end is DeviceOutcome.REFUSED and self.refused:
            return self.refused.message
        if self.end is DeviceOutcome.INACTIVE:
            return self.inactive
        if self.end is DeviceOutcome.IGNORED:
            return self.ignored
        if self.report:
            return self.report.message if self.report.ended else self.report.detail
        return "waiting for the device" if self.online else "offline; it will start when it is back"


class JobTracker:
    """The state of a job on all devices.

    Attributes:
        job: id of the tracked job.
        devices: every expected device, in the order in which they were named.
    """

    def __init__(
        self, job: str, model: str, statuses: Mapping[str, DeviceStatus | None], *, open_ended: bool = False
    ) -> None:
        """Track ``job`` of ``model`` on the devices of ``statuses``, their statuses from before the job was sent.

        ``open_ended``: also track any other device that reports the job (a group may gain members).
        """
        self.job = job
        self._model = model
        self.devices = {device: Progress(device) for device in statuses}
        self._open_ended = open_ended
        for device, status in statuses.items():
            if status:
                self.devices[device].online = status.online
                self.devices[device].refusals_before = _refusals(status)

    def take(self, message: DeviceStatus | JobReport) -> Progress | None:
        """Handle a device's message; returns the device's progress if it has changed."""
        progress = self.devices.get(message.device)
        match message:
            case JobReport() if message.job == self.job:
                if progress is None:
                    if not self._open_ended:
                        return None
                    progress = self.devices[message.device] = Progress(message.device, online=True)
                return progress if _apply_report(progress, message) else None
            case DeviceStatus() if progress:
                return progress if self._apply_status(progress, message) else None
        return None

    @property
    def ended(self) -> bool:
        """Whether the job has ended on every device."""
        return all(progress.ended for progress in self.devices.values())

    @property
    def exit_code(self) -> int:
        """The exit code of a command that waited until now."""
        return exit_code(progress.end for progress in self.devices.values())

    def _apply_status(self, progress: Progress, status: DeviceStatus) -> bool:
        changed = progress.online is not status.online
        progress.online = status.online
        refused = status.refused
        news = _refusals(status) != progress.refusals_before
        if refused and news and self._concerns_job(refused):
            changed = changed or progress.refused != refused
            progress.refused = refused
        return changed

    def _concerns_job(self, refused: Refused) -> bool:
        """Whether a refusal concerns this job.

        A device names only the model if it cannot read an untrusted manifest.
        """
        return refused.job == self.job or (not refused.job and refused.model == self._model)


def _refusals(status: DeviceStatus) -> tuple[str, int, Refused | None]:
    """The identity of a refusal. The count alone is not enough, as it starts again with the agent."""
    return status.boot_id, status.refused_count, status.refused


def exit_code(ends: Iterable[DeviceOutcome]) -> int:
    """The exit code of a command for these outcomes on its devices."""
    ended = set(ends)
    return next((code for end, code in _EXITS.items() if end in ended), EXIT_SUCCEEDED)


def _apply_report(progress: Progress, report: JobReport) -> bool:
    last = progress.report
    if last and (last == report or (last.boot_id == report.boot_id and last.seq > report.seq)):
        return False
    progress.report = report
    if not report.ended:
        progress.inactive = ""  # the device starts the job again
    return True
