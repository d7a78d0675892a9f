"""Sends a version that the broker has to more devices: a new want for them, as the broker has the model's bytes.

The content stays the same, and so does the job. Only created, expires and targets are new. If the operator signs, only
wants that this key has signed before are sent on.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from edge_agent.errors import ConfigError, WireError
from edge_agent.trust.keyring import Keyring
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import MANIFEST_TYPE, unseal
from edge_agent.wire.manifest import Manifest, decode_manifest
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import Scope, WantTopic, check_name
from host_tools.broker.command_line import command_line
from host_tools.broker.history import History, counts, read_history
from host_tools.broker.purge import held_blobs
from host_tools.broker.registry import Device, addressed, parse, read_devices
from host_tools.broker.session import Session
from host_tools.broker.signing import enclose_order, own_keyring
from host_tools.display.progress import Display
from host_tools.push.foresight import Asked, outlook, sentences
from host_tools.push.sending import PushResult, Sealed, Stay, new_tracker, send

_DAY_S = 86_400.0
_EXPIRES_DAYS = 30.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A version at the broker.

    Attributes:
        content: the manifest's bytes, as they were signed.
        job: the job's id, the same on every device.
        places: the devices and groups that it was sent to.
        whole: the broker has all chunks of the model.
    """

    manifest: Manifest
    content: bytes
    job: str
    places: tuple[Scope, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class _Prepared:
    sealed: Sealed
    asked: Asked
    devices: Mapping[str, Device]
    history: History
    said: list[str]


def read_offers(session: Session) -> list[Offer]:
    """Every version that may be sent on, ordered by model, the newest version first."""
    topics, trusted = session.topics, own_keyring(session.settings.sign)
    wants = session.snapshot(*(topics.want(Scope(kind, "+"), "+") for kind in ("d", "g")))
    found: dict[str, tuple[Manifest, bytes, list[Scope]]] = {}
    for topic, payload in sorted(wants.items()):
        place = parse(topics, topic)
        if isinstance(place, WantTopic) and (read := _read(payload, topics.namespace, place, trusted)):
            manifest, content, job = read
            found.setdefault(job, (manifest, content, []))[2].append(place.scope)
    held = {sha256: blob.chunks for sha256, blob in held_blobs(session).items()} if found else {}
    offers = [
        Offer(
            manifest,
            content,
            job,
            tuple(places),
            all(held.get(one.sha256) == one.plan.chunks for one in manifest.blobs),
        )
        for job, (manifest, content, places) in found.items()
    ]
    return sorted(offers, key=lambda offer: (offer.manifest.name, -offer.manifest.version))


def foresee(session: Session, job: str, scopes: Sequence[Scope]) -> list[str]:
    """Warnings before a :func:`resend`, as sentences; raises the same errors."""
    return _prepare(session, job, scopes, expires_days=1.0).said


def resend(
    session: Session,
    job: str,
    scopes: Sequence[Scope],
    display: Display,
    *,
    named: Callable[..., None],
    sent: Callable[[Manifest], object] = lambda _manifest: None,
) -> PushResult:
    """Send the version with this job to ``scopes`` and wait until it has ended there.

    ``named`` is called with its name and version in words, as ``about``, before it is sent. ``sent`` is as in a push.

    Raises:
        ConfigError: ``not_active``: the broker has no such version, or not all of its bytes.
        BrokerError: the broker stayed unreachable, or refuses this client.
    """
    ready = _prepare(session, job, scopes, expires_days=_EXPIRES_DAYS)
    named(about=f"{ready.asked.model} {ready.asked.version}")
    for sentence in ready.said:
        display.note(sentence)
    outlooks = {
        name: outlook(device, ready.asked, ready.history, time.time()) for name, device in ready.devices.items()
    }
    highest = ready.history.highest(ready.asked.model, ready.devices)
    tracker = new_tracker(ready.asked, ready.devices, outlooks, highest)
    return send(session, scopes, ready.sealed, tracker, display, Stay(sent=sent))


def _prepare(session: Session, job: str, scopes: Sequence[Scope], *, expires_days: float) -> _Prepared:
    settings = session.settings
    offer = next((one for one in read_offers(session) if one.job == job), None)
    if offer is None:
        raise ConfigError("not_active", f"the broker has no version with job {job}; push its model again")
    if not offer.whole:
        raise ConfigError("not_active", "the broker no longer has all of the model; push the model again")
    devices = addressed(read_devices(session), scopes)
    history = read_history(session, offer.manifest.name, devices, own_keyring(settings.sign))
    now = time.time()
    # The other fields keep their bytes: a decoded 0 might become 0.0, which would be another job.
    content = msgspec.json.encode(
        msgspec.json.decode(offer.content, type=dict[str, Any])
        | {
            "targets": [str(scope) for scope in scopes],
            "created": rfc3339(now, timespec="seconds"),
            "expires": rfc3339(now + expires_days * _DAY_S, timespec="seconds"),
        },
        order="sorted",
    )
    manifest = decode_manifest(content)
    sealed = Sealed(manifest, enclose_order(content, MANIFEST_TYPE, settings.sign), job, [])
    asked = Asked(manifest.name, manifest.version, job, frozenset(scopes))
    outlooks = {name: outlook(device, asked, history, now) for name, device in devices.items()}

    def order(*words: str) -> str:
        return command_line(settings, "host-tools", *words, signed=True)

    said = sentences(outlooks, asked, history.highest(manifest.name, devices), order)
    return _Prepared(sealed, asked, devices, history, said)


def _read(
    payload: bytes, namespace: str, place: WantTopic, trusted: Keyring | None
) -> tuple[Manifest, bytes, str] | None:
    try:
        envelope = unseal(payload, MANIFEST_TYPE)
        content = envelope.content()
        manifest = decode_manifest(content)
        if trusted is not None and not counts(envelope, manifest, namespace, place.model, place.scope, trusted):
            return None
        return manifest, content, job_id(content_digest(content))
    except WireError:
        return None


def scopes_of(words: Iterable[str]) -> list[Scope]:
    """``d/pi-01``, ``g/lab``; raises ``WireError`` for anything else."""
    found = []
    for word in dict.fromkeys(words):
        kind, _, name = word.partition("/")
        if kind not in ("d", "g"):
            raise WireError("malformed", f"{word[:80]!r} is neither a device nor a group; write d/NAME or g/NAME")
        found.append(Scope("d" if kind == "d" else "g", check_name(name)))
    return found
