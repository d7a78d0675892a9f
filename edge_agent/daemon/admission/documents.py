"""A want, a command or a key list as received from the broker. Pure."""

import hashlib
from collections.abc import Collection

import msgspec

from edge_agent.mqtt import Incoming
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, Envelope, unseal
from edge_agent.wire.keys import KEYS_TYPE, names_key_list
from edge_agent.wire.topics import CommandTopic, WantTopic

Address = WantTopic | CommandTopic


class Document(msgspec.Struct, frozen=True):
    """An envelope whose signatures are not checked yet, and the topic it was found at."""

    topic: Address
    envelope: Envelope
    fingerprint: bytes
    """SHA-256 of topic and payload: identifies a document that is delivered again."""
    size: int
    """Size in bytes."""
    job: str = ""
    """Id of the manifest's job, whether or not the manifest is trusted; empty if this is not a manifest."""
    live: bool = False
    """Whether it was just sent; False for a retained message, which may have been delivered before."""
    familiar: bool = False
    """Whether it is a want of a model that this device already knows."""
    answered: bool = False
    """Whether its job's report has already been published again."""

    def after_answer(self) -> "Document":
        """A copy that is marked as answered."""
        return msgspec.structs.replace(self, answered=True)


def fingerprint_of(message: Incoming) -> bytes:
    """A digest of topic and payload."""
    return hashlib.sha256(message.topic.encode() + b"\0" + message.payload).digest()


def type_of(topic: Address) -> str:
    """The document type that is valid at a topic."""
    if isinstance(topic, WantTopic):
        return MANIFEST_TYPE
    return KEYS_TYPE if names_key_list(topic.command) else COMMAND_TYPE


def read_document(topic: Address, message: Incoming, fingerprint: bytes, models: Collection[str]) -> Document:
    """The document in a message; ``models``: names known on this device. Raises ``WireError``."""
    envelope = unseal(message.payload, type_of(topic))
    job = job_id(content_digest(envelope.content())) if isinstance(topic, WantTopic) else ""
    familiar = isinstance(topic, WantTopic) and topic.model in models
    size = len(message.payload)
    return Document(topic, envelope, fingerprint, size, job, live=not message.retained, familiar=familiar)
