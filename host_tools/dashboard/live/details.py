"""What only a page about one device or job shows: infos and reports, encoded, in bounded memory. Pure.

A report is up to 64 kB of JSON, and its values would be several times that; so it is kept compressed, and decoded when
somebody looks at it.
"""

import zlib
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from edge_agent.wire.messages import DeviceInfo, JobReport, encode
from host_tools.fleet.reading import Said

MOST_REPORTS = 20
"""Of one device, the newest; an agent keeps as many."""
MOST_BYTES = 48 << 20
"""Of the whole fleet. Beyond that nothing is added until something goes; a fleet of 1,000 devices needs half of it."""
_LEVEL = 1
M = TypeVar("M", DeviceInfo, JobReport)


@dataclass(slots=True)
class _Kept:
    info: bytes = b""
    reports: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Job → when it started, and its report."""


class Details:
    """Infos and the newest reports of each device.

    Attributes:
        left_out: messages that had no room.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._devices: dict[str, _Kept] = {}
        self.left_out = 0

    def take(self, said: Said) -> None:
        """Note an info or a report, or that the broker keeps one no longer."""
        match said.message:
            case DeviceInfo() as info:
                self._put_info(said.device, zlib.compress(encode(info), _LEVEL))
            case JobReport() as report:
                self._put_report(said.device, report)
            case None if said.kind == "info":
                self._put_info(said.device, b"")
            case None if said.kind == "job" and (kept := self._devices.get(said.device)):
                self._drop(kept, said.leaf)

    def info(self, device: str) -> DeviceInfo | None:
        """What a device says of itself."""
        kept = self._devices.get(device)
        return _decoded(kept.info, DeviceInfo) if kept and kept.info else None

    def report(self, device: str, job: str) -> JobReport | None:
        """The report of a job."""
        kept = self._devices.get(device)
        found = kept.reports.get(job) if kept else None
        return _decoded(found[1], JobReport) if found else None

    def reports(self, device: str) -> list[JobReport]:
        """The reports of a device, the newest first."""
        kept = self._devices.get(device)
        found = sorted(kept.reports.values(), reverse=True) if kept else []
        return [_decoded(data, JobReport) for _, data in found]

    def _put_info(self, device: str, data: bytes) -> None:
        kept = self._devices.setdefault(device, _Kept())
        if self._room(len(data) - len(kept.info)):
            kept.info = data

    def _put_report(self, device: str, report: JobReport) -> None:
        kept = self._devices.setdefault(device, _Kept())
        self._drop(kept, report.job)
        while len(kept.reports) >= MOST_REPORTS:
            oldest = min(kept.reports, key=lambda job: kept.reports[job][0])
            if kept.reports[oldest][0] > report.started:
                return
            self._drop(kept, oldest)
        data = zlib.compress(encode(report), _LEVEL)
        if self._room(len(data)):
            kept.reports[report.job] = report.started, data

    def _drop(self, kept: _Kept, job: str) -> None:
        if (old := kept.reports.pop(job, None)) is not None:
            self._bytes -= len(old[1])

    def _room(self, more: int) -> bool:
        if more > 0 and self._bytes + more > self._most:
            self.left_out += 1
            return False
        self._bytes += more
        return True


def _decoded(data: bytes, kind: type[M]) -> M:
    return msgspec.json.decode(zlib.decompress(data), type=kind)
