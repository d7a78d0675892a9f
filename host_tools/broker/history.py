"""What the broker knows of one model: what is wanted where, and what its devices have said of their jobs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_agent.errors import WireError
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import MANIFEST_TYPE, unseal
from edge_agent.wire.messages import JobReport
from edge_agent.wire.timestamps import parse_rfc3339
from edge_agent.wire.topics import DeviceTopic, Scope, WantTopic
from host_tools.broker.registry import Device, parse, read_want, readable
from host_tools.broker.session import Session


@dataclass(frozen=True, slots=True)
class Wanted:
    """A want that lies at the broker, its signatures unchecked."""

    version: int
    job: str
    expires: str

    def stands(self, now: float) -> bool:
        """Whether a device would still begin it."""
        moment = parse_rfc3339(self.expires)
        return moment is None or moment > now


@dataclass(frozen=True, slots=True)
class History:
    """One model's."""

    wants: Mapping[Scope, Wanted]
    reports: list[JobReport]
    """Of the devices that were asked about."""

    def highest(self, model: str, known: Mapping[str, Device]) -> int:
        """The highest version in wants, in the reports, and in any device's info; 0: none."""
        accepted = (device.info.highest.get(model, 0) for device in known.values() if device.info)
        wanted, reported = (one.version for one in self.wants.values()), (one.version for one in self.reports)
        return max((*accepted, *wanted, *reported), default=0)


def read_history(session: Session, model: str, devices: Iterable[str]) -> History:
    """What is wanted of ``model`` anywhere, and what ``devices`` report of it."""
    topics = session.topics
    filters = [topics.want(Scope("d", "+"), model), topics.want(Scope("g", "+"), model)]
    filters += [topics.device(name, "job", "+") for name in devices]
    wants: dict[Scope, Wanted] = {}
    reports: list[JobReport] = []
    for topic, payload in session.snapshot(*filters).items():
        match parse(topics, topic):
            case WantTopic(scope) if wanted := _wanted(payload):
                wants[scope] = wanted
            case DeviceTopic(device, "job") if (report := readable(payload, JobReport)) and report.model == model:
                if report.device == device:
                    reports.append(report)
    return History(wants, reports)


def _wanted(payload: bytes) -> Wanted | None:
    if (manifest := read_want(payload)) is None:
        return None
    try:
        job = job_id(content_digest(unseal(payload, MANIFEST_TYPE).content()))
    except WireError:
        return None
    return Wanted(manifest.version, job, manifest.expires)
