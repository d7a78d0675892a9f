"""What becomes of one job on every device, as far as the messages tell. Pure: messages go in, a view comes out.

* A report of another job changes nothing; an older report never replaces a newer one.
* A refusal counts only if it is news: a device's status is retained and may tell of an earlier try.
* A success counts only while what it activated is active: a report is retained, and a rollback does not change it.
* The exit code is the first that applies of 6, 5, 4, 8, 7: what matters most to a script comes first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge_agent.wire.messages import DeviceStatus, JobReport, Refused


class DeviceOutcome(StrEnum):
    """Where a job stands on one device, as a host sees it."""

    PENDING = "pending"
    """Nothing heard yet: the device is offline, or has other things to do first."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUSED = "refused"
    """The device does not obey this manifest."""
    IGNORED = "ignored"
    """The device makes nothing of this manifest, and says nothing."""
    INACTIVE = "inactive"
    """It succeeded, and what it activated is not active any more."""


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
    """One device's way through the job."""

    device: str
    online: bool | None = None
    """None: this device has never said anything."""
    report: JobReport | None = None
    refused: Refused | None = None
    refusals_before: tuple[str, int, Refused | None] | None = None
    """Boot id and number of refusals that the device's status told of before the job was sent."""
    ignored: str = ""
    """Why the device will say nothing, as far as the broker's messages tell; empty: they do not."""
    inactive: str = ""
    """Why the success that the device reported before the job was sent stands no more; empty: it stands."""

    @property
    def end(self) -> DeviceOutcome:
        """Where the job stands here."""
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
        """Whether nothing more will come."""
        return self.end not in (DeviceOutcome.PENDING, DeviceOutcome.RUNNING)

    @property
    def code(self) -> str:
        """Why it ended."""
        if self.end is DeviceOutcome.REFUSED and self.refused:
            return self.refused.code
        if self.end is DeviceOutcome.INACTIVE:
            return "not_active"
        return self.report.code if self.report else ""

    @property
    def message(self) -> str:
        """One sentence: what ended it, or what is being done."""
        if self.end is DeviceOutcome.REFUSED and self.refused:
            return self.refused.message
        if self.end is DeviceOutcome.INACTIVE:
            return self.inactive
        if self.end is DeviceOutcome.IGNORED:
            return self.ignored
        if self.report:
            return self.report.message if self.report.ended else self.report.detail
        return "waiting for the device" if self.online else "offline; it will begin when it is back"


class JobTracker:
    """The job's view over all devices.

    Attributes:
        job: the job that is followed.
        devices: every device that is waited for, in the order in which they were named.
    """

    def __init__(
        self, job: str, model: str, statuses: Mapping[str, DeviceStatus | None], *, open_ended: bool = False
    ) -> None:
        """Follow ``job`` of ``model`` on the devices of ``statuses``: what they said before the job was sent.

        ``open_ended``: any other device that reports the job is followed too (a group may gain members).
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
        """Note what a device says; the device's progress if that changed it."""
        progress = self.devices.get(message.device)
        match message:
            case JobReport() if message.job == self.job:
                if progress is None:
                    if not self._open_ended:
                        return None
                    progress = self.devices[message.device] = Progress(message.device, online=True)
                return progress if _reported(progress, message) else None
            case DeviceStatus() if progress:
                return progress if self._said(progress, message) else None
        return None

    @property
    def ended(self) -> bool:
        """Whether the job has ended on every device."""
        return all(progress.ended for progress in self.devices.values())

    @property
    def exit_code(self) -> int:
        """What a command that waited until now should exit with."""
        return exit_code(progress.end for progress in self.devices.values())

    def _said(self, progress: Progress, status: DeviceStatus) -> bool:
        changed = progress.online is not status.online
        progress.online = status.online
        refused = status.refused
        news = _refusals(status) != progress.refusals_before
        if refused and news and self._is_about_us(refused):
            changed = changed or progress.refused != refused
            progress.refused = refused
        return changed

    def _is_about_us(self, refused: Refused) -> bool:
        """A device that cannot read what it does not trust names only the model."""
        return refused.job == self.job or (not refused.job and refused.model == self._model)


def _refusals(status: DeviceStatus) -> tuple[str, int, Refused | None]:
    """What tells a new refusal from an old one. The count alone does not: it begins anew with the agent."""
    return status.boot_id, status.refused_count, status.refused


def exit_code(ends: Iterable[DeviceOutcome]) -> int:
    """The exit code of a command, by how the job ended on each device."""
    ended = set(ends)
    return next((code for end, code in _EXITS.items() if end in ended), EXIT_SUCCEEDED)


def _reported(progress: Progress, report: JobReport) -> bool:
    last = progress.report
    if last and (last == report or (last.boot_id == report.boot_id and last.seq > report.seq)):
        return False
    progress.report = report
    if not report.ended:
        progress.inactive = ""  # the device begins it anew
    return True
