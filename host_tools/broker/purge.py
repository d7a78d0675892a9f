"""Keeps the broker small: clears messages that nobody needs any more.

A blob stays while an unexpired want names it. An unreferenced blob is cleared after a grace period of 24 hours, because
a push in progress uploads the blob before its want. A retained message has no date, so this host stores the time when
it first saw a blob unreferenced (``~/.local/state/edge-agent/unreferenced.json``). A host that loses the file only
waits longer.

Wants are read in two ways: all at once, and for each device. If one reading contains a want that the other lacks, a
reading was incomplete, and nothing is cleared.

Also cleared: expired commands, and results of commands that are gone. Never cleared: wants, reports, and messages
outside this protocol.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.errors import BrokerError, WireError
from edge_agent.strict import counted
from edge_agent.wire.chunks import CHUNK_BYTES, DIGEST_BYTES, PAGE_DIGESTS
from edge_agent.wire.envelope import COMMAND_TYPE, unseal
from edge_agent.wire.messages import Command, decode
from edge_agent.wire.timestamps import parse_rfc3339
from edge_agent.wire.topics import CommandTopic, DeviceTopic, PageTopic, Scope, Topics
from host_tools.broker.registry import parse, read_devices, read_want
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings

GRACE_S = 24 * 3600.0
_DEVICES_AT_ONCE = 50
_READINGS = 3
"""Attempts to compare the readings, as a want may legitimately appear or disappear between two of them."""


@dataclass(frozen=True, slots=True)
class HeldBlob:
    """A blob with digest pages at the broker: page number → number of digests on it."""

    sha256: str
    pages: dict[int, int]

    @property
    def chunks(self) -> int:
        """The number of chunk topics it can have."""
        last = max(self.pages)
        return last * PAGE_DIGESTS + self.pages[last]

    @property
    def size_bytes(self) -> int:
        """Its size, rounded up to whole chunks."""
        return self.chunks * CHUNK_BYTES

    def topics(self, topics: Topics) -> Iterator[str]:
        """The topics to clear; pages come last, so that a purge after an interruption still finds the blob."""
        for index in range(self.chunks):
            yield topics.chunk(self.sha256, index)
        for page in self.pages:
            yield topics.page(self.sha256, page)


@dataclass(frozen=True, slots=True)
class Purged:
    """Blobs and messages that were cleared (or would be), blobs in their grace period, and refused topics."""

    blobs: list[HeldBlob]
    waiting: list[HeldBlob]
    messages: list[str]
    kept: int
    refused: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The fields for ``--json``."""
        return {
            "cleared_blobs": [blob.sha256 for blob in self.blobs],
            "cleared_bytes": sum(blob.size_bytes for blob in self.blobs),
            "waiting_blobs": [blob.sha256 for blob in self.waiting],
            "cleared_messages": self.messages,
            "kept_blobs": self.kept,
            "refused": self.refused,
        }


def purge(session: Session, settings: Settings, *, grace_s: float = GRACE_S, dry_run: bool = False) -> Purged:
    """Clear blobs that no unexpired want has named for ``grace_s``, and commands that are over.

    Topics that the broker refuses to clear are returned and are no error, as this mostly runs after another task.
    """
    held = held_blobs(session)
    alive = referenced(session, time.time())
    unreferenced = [blob for blob in held.values() if blob.sha256 not in alive]
    since = _note_unreferenced(settings, [blob.sha256 for blob in unreferenced])
    due = time.time() - grace_s
    old = [blob for blob in unreferenced if since[blob.sha256] <= due]
    waiting = [blob for blob in unreferenced if since[blob.sha256] > due]
    messages = _finished_commands(session, time.time())
    kept, refused = len(held) - len(unreferenced), list[str]()
    if not dry_run:
        for blob in old:
            refused += session.clear(blob.topics(session.topics))
        refused += session.clear(messages)
        stay = set(refused)
        old = [blob for blob in old if stay.isdisjoint(blob.topics(session.topics))]
        messages = [topic for topic in messages if topic not in stay]
    return Purged(old, waiting, messages, kept, refused)


def held_blobs(session: Session) -> dict[str, HeldBlob]:
    """Every blob with at least one digest page at the broker."""
    found: dict[str, HeldBlob] = {}
    for topic, payload in session.snapshot(session.topics.blobs()).items():
        page = parse(session.topics, topic)
        if isinstance(page, PageTopic):
            blob = found.setdefault(page.sha256, HeldBlob(page.sha256, {}))
            blob.pages[page.page] = len(payload) // DIGEST_BYTES
    return found


def referenced(session: Session, now: float) -> set[str]:
    """The blobs that an unexpired want names; a want with an unreadable ``expires`` counts as unexpired.

    Raises:
        BrokerError: ``snapshot_incomplete``: the two readings of the wants differ.
    """
    alive: set[str] = set()
    for payload in _wants(session).values():
        manifest = read_want(payload)
        if manifest and not _expired(manifest.expires, now):
            alive |= {blob.sha256 for blob in manifest.blobs}
    return alive


def _wants(session: Session) -> Mapping[str, bytes]:
    """Topic → payload of every want, if both readings agree."""
    topics = session.topics
    differ: set[str] = set()
    for _ in range(_READINGS):
        at_once = session.snapshot(*(topics.want(Scope(kind, "+"), "+") for kind in ("d", "g")))
        one_by_one = dict[str, bytes]()
        names = sorted(read_devices(session))
        for first in range(0, len(names), _DEVICES_AT_ONCE):
            scopes = [Scope("d", name) for name in names[first : first + _DEVICES_AT_ONCE]]
            one_by_one |= session.snapshot(*(topics.want(scope, "+") for scope in scopes))
        own = {topics.want(Scope("d", name), "+") for name in names}
        comparable = {topic for topic in at_once if f"{topic.rpartition('/')[0]}/+" in own}
        if not (differ := comparable ^ one_by_one.keys()):
            return at_once
    text = f"two readings of the wants differ in {counted(len(differ), 'want')}, so nothing was cleared"
    text += "; run host-tools purge again"
    raise BrokerError("snapshot_incomplete", text)


def _finished_commands(session: Session, now: float) -> list[str]:
    topics = session.topics
    filters = [topics.command(Scope(kind, "+"), "+") for kind in ("d", "g")]
    retained = session.snapshot(*filters, topics.devices("done"))
    over, open_ids = [], set()
    for topic, payload in retained.items():
        match parse(topics, topic):
            case CommandTopic(_, command):
                if (read := _read_command(payload)) and _expired(read.expires, now):
                    over.append(topic)
                else:
                    open_ids.add(command)
    for topic in retained:
        match parse(topics, topic):
            case DeviceTopic(_, "done", command) if command not in open_ids:
                over.append(topic)
    return sorted(over)


def _read_command(payload: bytes) -> Command | None:
    try:
        return decode(unseal(payload, COMMAND_TYPE).content(), Command)
    except WireError:
        return None


def _expired(expires: str, now: float) -> bool:
    moment = parse_rfc3339(expires)
    return moment is not None and moment <= now


def _note_unreferenced(settings: Settings, digests: list[str]) -> dict[str, float]:
    """Time since when each blob is known to be unreferenced; blobs that are referenced again are forgotten."""
    path = _state_path()
    every: dict[str, dict[str, float]] = {}
    with contextlib.suppress(OSError, ValueError):
        every = json.loads(path.read_text(encoding="utf-8"))
    place = f"{settings.url} {settings.namespace}"
    before, now = every.get(place, {}), time.time()
    every[place] = {digest: min(before.get(digest, now), now) for digest in digests}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(every), encoding="utf-8")
        temporary.replace(path)
    return every[place]


def _state_path() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "edge-agent" / "unreferenced.json"
