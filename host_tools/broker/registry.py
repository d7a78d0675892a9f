"""The devices that the broker knows, and the selection of those that a command line names.

It reads retained messages only. Messages outside this protocol are skipped, as other programs may write to a device's
topics. A device without readable messages counts as unknown.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from edge_agent.errors import ConfigError, WireError
from edge_agent.printable import printable_values
from edge_agent.strict import UNDECODABLE, did_you_mean
from edge_agent.wire.envelope import MANIFEST_TYPE, unseal
from edge_agent.wire.manifest import Manifest, decode_manifest
from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport, M, decode
from edge_agent.wire.topics import EVERYONE, DeviceTopic, Scope, Topic, Topics
from host_tools.broker.session import Session

_TOGETHER = 1000
"""Devices whose reports are read at once: twenty reports each stay below the number that a broker may drop."""


@dataclass(slots=True)
class Device:
    """A device's last messages about itself."""

    id: str
    status: DeviceStatus | None = None
    info: DeviceInfo | None = None

    @property
    def online(self) -> bool:
        """Whether it is connected to the broker now."""
        return self.status is not None and self.status.online

    def in_scope(self, scope: Scope) -> bool:
        """Whether a message to ``scope`` is for this device."""
        if scope.kind == "d":
            return scope.name == self.id
        return scope.name == EVERYONE or (self.info is not None and scope.name in self.info.groups)


def readable(payload: bytes, kind: type[M]) -> M | None:
    """The message in ``payload`` with unprintable characters escaped, or None if it is not of this protocol."""
    try:
        return msgspec.convert(printable_values(msgspec.to_builtins(decode(payload, kind))), kind)
    except (WireError, *UNDECODABLE):
        return None


def read_want(payload: bytes) -> Manifest | None:
    """The manifest in a want, with unverified signatures, or None."""
    try:
        return decode_manifest(unseal(payload, MANIFEST_TYPE).content())
    except WireError:
        return None


def read_devices(session: Session) -> dict[str, Device]:
    """Every device that the broker knows, by id."""
    topics = session.topics
    devices: dict[str, Device] = {}
    for topic, payload in sorted(session.snapshot(topics.devices("status"), topics.devices("info")).items()):
        match parse(topics, topic):
            case DeviceTopic(name, "status") if status := readable(payload, DeviceStatus):
                devices.setdefault(name, Device(name)).status = status
            case DeviceTopic(name, "info") if info := readable(payload, DeviceInfo):
                devices.setdefault(name, Device(name)).info = info
    return devices


def addressed(devices: Mapping[str, Device], scopes: Iterable[Scope]) -> dict[str, Device]:
    """The devices in ``scopes``.

    Raises:
        ConfigError: ``no_device``: an unknown name, or a group without members.
    """
    found: dict[str, Device] = {}
    for scope in scopes:
        members = {name: device for name, device in devices.items() if device.in_scope(scope)}
        if not members:
            raise ConfigError("no_device", _nobody(devices, scope))
        found |= members
    return found


def read_parts(session: Session, filters: Sequence[str], *, listen: bool = False) -> Iterator[tuple[str, bytes]]:
    """Topic and payload of the retained messages under ``filters``, one filter per device, read in batches."""
    for first in range(0, len(filters), _TOGETHER):
        yield from session.snapshot(*filters[first : first + _TOGETHER], listen=listen).items()


def read_reports(session: Session, devices: Iterable[str] = ("+",), job: str = "+") -> list[JobReport]:
    """The retained reports of ``job``, or of every job, ordered by device and start of the job."""
    filters = [session.topics.device(name, "job", job) for name in devices]
    found = ((topic, readable(payload, JobReport)) for topic, payload in read_parts(session, filters))
    reports = [one for topic, one in found if one and topic == session.topics.device(one.device, "job", one.job)]
    return sorted(reports, key=lambda report: (report.device, report.started))


def parse(topics: Topics, topic: str) -> Topic | None:
    """The meaning of a topic, or None if it is not of this protocol."""
    try:
        return topics.parse(topic)
    except WireError:
        return None


def _nobody(devices: Mapping[str, Device], scope: Scope) -> str:
    if not devices:
        return "the broker knows no device; start edge-agent run on one, and check --broker and --namespace"
    if scope.kind == "d":
        return f"no device {scope.name!r} has ever spoken here{did_you_mean(scope.name, devices)}"
    groups = {group for device in devices.values() if device.info for group in device.info.groups}
    return f"no device is in group {scope.name!r}{did_you_mean(scope.name, groups)}"
