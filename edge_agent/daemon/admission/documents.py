"""A want, a command or a key list as it came from the broker. Pure."""

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
    """An envelope, its signatures not checked yet, and where it was found."""

    topic: Address
    envelope: Envelope
    fingerprint: bytes
    """SHA-256 of its bytes: tells the same document delivered again from a new one."""
    size: int
    """Bytes."""
    job: str = ""
    """The job that the manifest inside would be, whether or not it is trusted; empty: no manifest."""
    live: bool = False
    """It came just now; False: the broker kept it, and it may have come before."""
    familiar: bool = False
    """A want of a model that is here already."""
    answered: bool = False
    """Its job's report was published again already."""

    def after_answer(self) -> "Document":
        """The same, once its job's report was published again."""
        return msgspec.structs.replace(self, answered=True)


def fingerprint_of(message: Incoming) -> bytes:
    """What the same bytes at the same topic have, and no others."""
    return hashlib.sha256(message.topic.encode() + b"\0" + message.payload).digest()


def type_of(topic: Address) -> str:
    """The type of document that belongs at a topic."""
    if isinstance(topic, WantTopic):
        return MANIFEST_TYPE
    return KEYS_TYPE if names_key_list(topic.command) else COMMAND_TYPE


def read_document(topic: Address, message: Incoming, fingerprint: bytes, models: Collection[str]) -> Document:
    """The document in a message; ``models``: those that are here already. Raises ``WireError``."""
    envelope = unseal(message.payload, type_of(topic))
    job = job_id(content_digest(envelope.content())) if isinstance(topic, WantTopic) else ""
    familiar = isinstance(topic, WantTopic) and topic.model in models
    size = len(message.payload)
    return Document(topic, envelope, fingerprint, size, job, live=not message.retained, familiar=familiar)
