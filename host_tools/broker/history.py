"""The broker's messages about one model: its wants, and its devices' job reports."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_agent.errors import WireError
from edge_agent.trust.keyring import Keyring
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import MANIFEST_TYPE, Envelope, unseal
from edge_agent.wire.manifest import Manifest, decode_manifest
from edge_agent.wire.messages import JobReport
from edge_agent.wire.timestamps import parse_rfc3339
from edge_agent.wire.topics import DeviceTopic, Scope, WantTopic
from host_tools.broker.registry import Device, parse, read_parts, readable
from host_tools.broker.session import Session
from host_tools.broker.signing import is_signed_by


@dataclass(frozen=True, slots=True)
class Wanted:
    """A want at the broker."""

    version: int
    job: str
    expires: str

    def stands(self, now: float) -> bool:
        """Whether a device would still start it."""
        moment = parse_rfc3339(self.expires)
        return moment is None or moment > now


@dataclass(frozen=True, slots=True)
class History:
    """The wants and reports of one model."""

    wants: Mapping[Scope, Wanted]
    """The valid wants: signed by a key that the operator trusts, or all where nothing is signed."""
    reports: list[JobReport]
    """Reports of the requested devices."""

    def highest(self, model: str, targets: Mapping[str, Device]) -> int:
        """The highest version in wants, and in the targets' reports and accepted versions; 0: none."""
        accepted = (device.info.highest.get(model, 0) for device in targets.values() if device.info)
        return max((self.proven(), *accepted, *(one.version for one in self.reports)), default=0)

    def proven(self) -> int:
        """The highest version in wants; 0: none."""
        return max((one.version for one in self.wants.values()), default=0)


def read_history(session: Session, model: str, devices: Iterable[str], trusted: Keyring | None = None) -> History:
    """All wants of ``model``, and the reports of ``devices`` about it.

    ``trusted``: keys whose wants are valid; None: nothing is signed here, and all wants are valid.
    """
    topics = session.topics
    filters = [topics.want(Scope("d", "+"), model), topics.want(Scope("g", "+"), model)]
    filters += [topics.device(name, "job", "+") for name in devices]
    wants: dict[Scope, Wanted] = {}
    reports: list[JobReport] = []
    for topic, payload in read_parts(session, filters):
        match parse(topics, topic):
            case WantTopic(scope) if wanted := _wanted(payload, topics.namespace, model, scope, trusted):
                wants[scope] = wanted
            case DeviceTopic(device, "job") if (report := readable(payload, JobReport)) and report.model == model:
                if report.device == device:
                    reports.append(report)
    return History(wants, reports)


def _wanted(payload: bytes, namespace: str, model: str, scope: Scope, trusted: Keyring | None) -> Wanted | None:
    try:
        envelope = unseal(payload, MANIFEST_TYPE)
        content = envelope.content()
        manifest = decode_manifest(content)
        if trusted is not None and not counts(envelope, manifest, namespace, model, scope, trusted):
            return None
        return Wanted(manifest.version, job_id(content_digest(content)), manifest.expires)
    except WireError:
        return None


def counts(envelope: Envelope, manifest: Manifest, namespace: str, model: str, scope: Scope, trusted: Keyring) -> bool:
    """Whether a want is signed by a trusted key, and is at a topic that its signer addressed."""
    fits = manifest.namespace == namespace and manifest.name == model and str(scope) in manifest.targets
    return fits and is_signed_by(envelope, trusted)
