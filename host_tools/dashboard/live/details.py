"""Infos and reports for the pages about one device or job, as received, in bounded memory. Pure.

A report is up to 64 kB of JSON, and several times that when decoded. So it is stored compressed, and decoded when
somebody opens its page.
"""

from dataclasses import dataclass, field

from edge_agent.wire.messages import DeviceInfo, JobReport
from edge_agent.wire.topics import Topics
from host_tools.dashboard.live.sealed import Sealed
from host_tools.fleet.reading import Said

KINDS = frozenset({"info", "job"})
"""Kinds of topics that are stored."""
MOST_REPORTS = 20
"""The newest reports per device; an agent keeps as many."""
LEAST_REPORTS = 5
"""Reports per device that are kept for any number of devices."""
MOST_BYTES = 24 << 20
"""Size limit for the whole fleet. Beyond it each device keeps only its newest :data:`LEAST_REPORTS`; beyond twice that,
nothing is added until something is removed."""


@dataclass(slots=True)
class _Kept:
    info: bytes = b""
    reports: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Job → its start, and its report."""


class Details:
    """Infos and the newest reports of each device.

    Attributes:
        left_out: messages that found no room.
    """

    def __init__(self, topics: Topics, most_bytes: int = MOST_BYTES) -> None:
        self._topics = topics
        self._most = most_bytes
        self._bytes = 0
        self._devices: dict[str, _Kept] = {}
        self.left_out = 0

    def take(self, said: Said, packed: bytes) -> None:
        """Store an info or a report with the compressed payload ``packed``, or remove one that was cleared."""
        match said.message:
            case DeviceInfo():
                self._put_info(said.device, packed)
            case JobReport() as report:
                self._put_report(said.device, report, packed)
            case None if said.kind == "info":
                self._put_info(said.device, b"")
            case None if said.kind == "job" and (kept := self._devices.get(said.device)):
                self._drop(kept, said.leaf)

    def info(self, device: str) -> Sealed | None:
        """A device's info."""
        kept = self._devices.get(device)
        return Sealed(self._topics, self._topics.device(device, "info"), kept.info) if kept and kept.info else None

    def report(self, device: str, job: str) -> Sealed | None:
        """The report of a job."""
        kept = self._devices.get(device)
        found = kept.reports.get(job) if kept else None
        return self._sealed(device, job, found[1]) if found else None

    def reports(self, device: str) -> list[Sealed]:
        """The reports of a device, the newest first."""
        kept = self._devices.get(device)
        found = sorted(kept.reports.items(), key=lambda pair: pair[1], reverse=True) if kept else []
        return [self._sealed(device, job, data) for job, (_, data) in found]

    def _put_info(self, device: str, packed: bytes) -> None:
        kept = self._devices.setdefault(device, _Kept())
        if self._room(len(packed) - len(kept.info)):
            kept.info = packed

    def _put_report(self, device: str, report: JobReport, packed: bytes) -> None:
        kept = self._devices.setdefault(device, _Kept())
        self._drop(kept, report.job)
        while len(kept.reports) >= self._reports_of_each(len(packed)):
            oldest = min(kept.reports, key=lambda job: kept.reports[job][0])
            if kept.reports[oldest][0] > report.started:
                return
            self._drop(kept, oldest)
        if self._room(len(packed)):
            kept.reports[report.job] = report.started, packed

    def _reports_of_each(self, more: int) -> int:
        return LEAST_REPORTS if self._bytes + more > self._most else MOST_REPORTS

    def _drop(self, kept: _Kept, job: str) -> None:
        if (old := kept.reports.pop(job, None)) is not None:
            self._bytes -= len(old[1])

    def _room(self, more: int) -> bool:
        if more > 0 and self._bytes + more > 2 * self._most:
            self.left_out += 1
            return False
        self._bytes += more
        return True

    def _sealed(self, device: str, job: str, packed: bytes) -> Sealed:
        return Sealed(self._topics, self._topics.device(device, "job", job), packed)
