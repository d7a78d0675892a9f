"""Orders at the broker, in readable form for an operator who is asked to add a signature."""

from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent.errors import ConfigError, WireError
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, Envelope, unseal
from edge_agent.wire.keys import KEYS_TYPE, decode_key_list, key_id, names_key_list
from edge_agent.wire.manifest import decode_manifest
from edge_agent.wire.messages import Command, decode
from edge_agent.wire.topics import Scope, WantTopic, check_name
from host_tools.broker.registry import parse
from host_tools.broker.session import Session


@dataclass(frozen=True, slots=True)
class Order:
    """A document, its topic, and its content in readable lines."""

    topic: str
    envelope: Envelope
    lines: tuple[str, ...]

    @property
    def signers(self) -> list[str]:
        """The key ids of its signatures, unverified."""
        return [signature.keyid for signature in self.envelope.signatures]


def read_orders(session: Session, scopes: Iterable[Scope], what: str) -> list[Order]:
    """The want of a model, the command or the key list of this name in each scope.

    Raises:
        ConfigError: ``not_active`` if there is none.
        WireError: ``malformed``: the name is invalid, or the document is unreadable.
    """
    check_name(what, "name")
    topics, scopes = session.topics, list(scopes)
    filters = [topic for scope in scopes for topic in (topics.want(scope, what), topics.command(scope, what))]
    found = []
    for topic, payload in sorted(session.snapshot(*filters).items()):
        address = parse(topics, topic)
        if isinstance(address, WantTopic):
            found.append(_want(topic, unseal(payload, MANIFEST_TYPE)))
        elif address is not None:
            found.append(_key_list(topic, payload) if names_key_list(what) else _command(topic, payload))
    if not found:
        where = ", ".join(map(str, scopes))
        raise ConfigError("not_active", f"no model, command or key list {what!r} waits at the broker for {where}")
    return found


def _want(topic: str, envelope: Envelope) -> Order:
    content = envelope.content()
    manifest = decode_manifest(content)
    lines = (
        f"model {manifest.name} {manifest.version}, job {job_id(content_digest(content))}",
        f"sha256 {manifest.blob.sha256}, {manifest.blob.size} bytes",
        f"for {', '.join(manifest.targets)}, made {manifest.created}, until {manifest.expires}",
    )
    return Order(topic, envelope, lines)


def _command(topic: str, payload: bytes) -> Order:
    envelope = unseal(payload, COMMAND_TYPE)
    command = decode(envelope.content(), Command)
    about = f"{command.model} {command.version or ''}".strip() or command.job
    lines = (
        f"command {command.id}: {command.action} {about}",
        f"for {', '.join(command.targets)}, made {command.created}, until {command.expires}",
    )
    return Order(topic, envelope, lines)


def _key_list(topic: str, payload: bytes) -> Order:
    envelope = unseal(payload, KEYS_TYPE)
    keys = decode_key_list(envelope.content())
    lines = (
        f"key list {keys.version}, for {', '.join(keys.targets)}, made {keys.created}",
        *(f"trusted {key_id(key.raw())} {key.name}" for key in keys.keys),
        *(f"revoked {revoked}" for revoked in keys.revoked),
    )
    return Order(topic, envelope, lines)


def check_same(orders: Iterable[Order]) -> None:
    """Raise ``WireError`` unless all have the same content, so that showing one is enough."""
    if len({order.envelope.payload for order in orders}) > 1:
        raise WireError("malformed", "different documents of this name wait at the broker; name one device at a time")
