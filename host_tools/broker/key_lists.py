"""The signed key lists at the broker, and the creation of the next one: who may sign orders.

Every list stays at the broker, so a device that was offline applies them one by one: each is signed by keys that were
trusted before it. A list is complete: it names all keys that are trusted besides a device's own files, and the ids of
all revoked keys.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import ConfigError, WireError
from edge_agent.trust.keyring import Keyring
from edge_agent.wire.envelope import Envelope, unseal
from edge_agent.wire.keys import (
    KEYID_HEX,
    KEYS_TYPE,
    KeyList,
    ListedKey,
    decode_key_list,
    key_id,
    names_key_list,
    public_key_of_pem,
)
from edge_agent.wire.topics import EVERYONE, CommandTopic, Scope
from host_tools.broker.registry import parse
from host_tools.broker.session import Session
from host_tools.broker.signing import is_signed_by

EVERYBODY = Scope("g", EVERYONE)


@dataclass(frozen=True, slots=True)
class Found:
    """A list at the broker. ``trusted``: it is signed by the operator's keys, or by keys that a trusted list added."""

    keys: KeyList
    signed_by: tuple[str, ...]
    """Key ids of its signatures, verified only if the list is trusted."""
    trusted: bool


def read_key_lists(session: Session, known: Keyring) -> list[Found]:
    """Every list at the broker, oldest first; ``known``: the operator's own keys."""
    topics = session.topics
    lists: dict[int, tuple[KeyList, Envelope]] = {}
    for topic, payload in session.snapshot(topics.command(EVERYBODY, "+")).items():
        match parse(topics, topic):
            case CommandTopic(_, command) if names_key_list(command):
                try:
                    envelope = unseal(payload, KEYS_TYPE)
                    found = decode_key_list(envelope.content())
                except WireError:
                    continue
                if found.id == command and found.namespace == topics.namespace:
                    lists[found.version] = found, envelope
    trusted, chain = dict(known.keys), []
    for _, (found, envelope) in sorted(lists.items()):
        signed = is_signed_by(envelope, Keyring(trusted, {}))
        chain.append(Found(found, tuple(one.keyid for one in envelope.signatures), signed))
        if signed:
            trusted |= {key_id(one.raw()): one.raw() for one in found.keys}
            trusted = {name: raw for name, raw in trusted.items() if name not in found.revoked}
    return chain


def next_key_list(
    namespace: str, chain: Sequence[Found], add: Mapping[str, bytes], revoke: Sequence[str], created: str
) -> KeyList:
    """The next list: the newest trusted one, with ``add`` (name → raw key) and without ``revoke`` (ids).

    Lists without a trusted signature are ignored, as anybody may have published them.
    """
    newest = next((found for found in reversed(chain) if found.trusted), None)
    keys = {key_id(one.raw()): one for one in newest.keys.keys} if newest is not None else {}
    revoked = set(newest.keys.revoked if newest is not None else ())
    for name, raw in add.items():
        keys[key_id(raw)] = ListedKey(name, base64.b64encode(raw).decode())
        revoked.discard(key_id(raw))
    revoked |= set(revoke)
    return KeyList(
        namespace=namespace,
        version=newest.keys.version + 1 if newest is not None else 1,
        keys=[keys[name] for name in sorted(keys) if name not in revoked],
        revoked=sorted(revoked),
        targets=[str(EVERYBODY)],
        created=created,
    )


def read_public(path: Path) -> bytes:
    """The raw public key in a PEM file; raises ``ConfigError`` (usage)."""
    try:
        return public_key_of_pem(path.read_bytes())
    except OSError as error:
        raise ConfigError("usage", f"{path}: {error.strerror}") from None
    except WireError as error:
        raise ConfigError("usage", f"{path} {error.message}; give the .pem of host-tools keygen") from None


def revoked_id(what: str) -> str:
    """The key id for ``what``: the id itself, or the file of a public key; raises ``ConfigError`` (usage)."""
    if len(what) == KEYID_HEX and all(digit in "0123456789abcdef" for digit in what):
        return what
    return key_id(read_public(Path(what)))
