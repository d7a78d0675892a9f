"""Admits orders: recognises them among the messages, has their signatures checked, applies the rules.

    message ─► known as bad, or names too few trusted keys ─► refused in this process
            ├► known as good ──────────────────────────────┐
            └► waiting room ─► check, a child per batch ───┴─► rules ─► job flow, commands, key lists
                 │ full: its topic is remembered, and fetched again when there is room

An unverified order has two effects only: ``refused`` in the device's status is counted up, and the report of a job that
already exists here is published again. At most one child runs at a time, and at most one is started per second.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence

from edge_agent.daemon.admission.documents import Address, Document, fingerprint_of, read_document
from edge_agent.daemon.admission.key_files import KeyFiles
from edge_agent.daemon.admission.key_lists import KeyLists
from edge_agent.daemon.admission.missed import Missed, batched
from edge_agent.daemon.admission.refusals import Refusals
from edge_agent.daemon.admission.signature_check import SignatureCheck
from edge_agent.daemon.admission.verdicts import Verdicts
from edge_agent.daemon.admission.waiting_room import WaitingRoom
from edge_agent.daemon.admission.wants import Wants
from edge_agent.daemon.events import ChildEnded, Due
from edge_agent.daemon.faults import contained
from edge_agent.daemon.job_flow import JobFlow
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.daemon.publisher import Publisher
from edge_agent.daemon.remote_commands import RemoteCommands
from edge_agent.errors import EdgeAgentError, TrustError, WireError
from edge_agent.mqtt import Incoming, Link, Oversized
from edge_agent.settings.device import Config
from edge_agent.state.clock import Clock
from edge_agent.state.store import Store
from edge_agent.trust.keyring import Keyring
from edge_agent.wire.keys import names_key_list
from edge_agent.wire.limits import most_bytes
from edge_agent.wire.messages import Refused
from edge_agent.wire.topics import CommandTopic, Scope, WantTopic

log = logging.getLogger(__name__)

_CHECK_EVERY_S = 1.0
_OVER = object()
_FLOOD = 100
"""Unsigned orders of one scope between two ticks; at that rate the broker may have dropped signed ones."""


class Admission:
    """Decides about every want, command and key list that arrives."""

    def __init__(
        self,
        config: Config,
        store: Store,
        link: Link,
        ledger: JobLedger,
        flow: JobFlow,
        commands: RemoteCommands,
        publisher: Publisher,
        *,
        clock: Clock,
        put: Callable[[ChildEnded | Due], None],
        on_refused: Callable[[Refused], None],
    ) -> None:
        """``on_refused`` is called with a signed order that was just sent and is refused, at most once an hour."""
        self._topics = config.topics
        self._scopes = config.scopes
        self._unsigned = config.trust.allow_unsigned
        self._min_signatures = config.trust.min_signatures
        self._link = link
        self._commands = commands
        self._wants = Wants(config.topics.namespace, ledger, flow, publisher, clock, unsigned=self._unsigned)
        self._refusals = Refusals(publisher, on_refused)
        self._keys = KeyFiles(config.trust, store)
        self._key_lists = KeyLists(
            config.topics.namespace, self._keys, publisher, self._keys_changed, unsigned=self._unsigned
        )
        self._verdicts = Verdicts()
        self._room = WaitingRoom(self._scopes)
        self._missed = Missed()
        self._put = put
        self._check = SignatureCheck(put, self._checked)
        self._work: deque[Iterator[None]] = deque()
        """Trusted orders waiting for execution, one per turn: each may write a lot to a slow disk."""
        self._work_is_due = False
        self._checked_at = 0.0
        self._hostile: Counter[Scope] = Counter()
        """Orders without a trusted signature since the last tick, per scope."""

    def load(self) -> None:
        """Read the trusted keys."""
        self._keys.load()

    def connected(self) -> None:
        """Subscribe to all orders on a new connection."""
        self._missed.forget()
        for scope in self._scopes:
            self._link.subscribe(*self._topics.orders(scope))

    def message(self, message: Incoming) -> None:
        """Handle a message that is not part of a blob."""
        topic = self._topics.parse(message.topic)
        if not isinstance(topic, WantTopic | CommandTopic):
            return
        if topic.scope not in self._scopes:  # a broker that brings us what is signed for others
            log.warning("wrong_target: dropped a message on %s; check the broker", message.topic)
            return
        fetched = self._missed.arrived(message.topic)
        if not message.payload:  # a retained message was cleared: no order, and nothing changes
            if isinstance(topic, WantTopic):
                self._wants.cleared(topic)
            self._room.drop(topic)
            return
        self._take(topic, message, fetched=fetched)

    def _take(self, topic: Address, message: Incoming, *, fetched: bool) -> None:
        fingerprint, job, answered = fingerprint_of(message), "", False
        try:
            document = read_document(topic, message, fingerprint, self._wants.models)
            job = document.job
            if self._unsigned:
                self._decide([document])
                return
            if self._is_known_list(document):
                return
            if answered := self._wants.republish(job):  # a known job's report may be published without trust
                document = document.after_answer()
            good = self._verdicts.known(fingerprint)
            if good:
                if self._verdicts.is_due(fingerprint, time.monotonic()):
                    self._decide([document])
                return
            self._keys.keyring.check_named(document.envelope, self._min_signatures)
            if good is False:
                raise self._keys.keyring.too_few(document.envelope, 0, self._min_signatures)
            if not self._room.add(document, fetched=fetched):
                self._missed.note(message.topic, self._topics.orders(topic.scope))
            self._start_check()
        except EdgeAgentError as error:
            self._hostile[topic.scope] += not message.retained
            if not answered:
                self._refusals.refuse(topic, fingerprint, job, error, signed=False, live=not message.retained)

    def oversized(self, message: Oversized) -> None:
        """Refuse an order that is larger than its topic permits; any other oversized message is only logged."""
        topic = self._topics.parse(message.topic)
        error = WireError(
            "too_large", f"a message of {message.size} bytes; the limit is {most_bytes(self._topics, message.topic)}"
        )
        if isinstance(topic, WantTopic | CommandTopic) and topic.scope in self._scopes:
            fingerprint = f"{message.topic} {message.size}".encode()
            self._refusals.refuse(topic, fingerprint, "", error, signed=False, live=False)
        else:
            log.warning("dropped a message on %s: %s", message.topic, error)

    def tick(self) -> None:
        """Do what is due: start the next check, fetch missed topics, report refusals, read changed keys."""
        if not self._unsigned and self._keys.changed():
            self._keys_changed()
        self._start_check()
        for scope, number in self._hostile.items():
            if number > _FLOOD:
                self._missed.note_scope(self._topics.orders(scope))
        self._hostile.clear()
        fetch = self._missed.due(time.monotonic(), room=self._room.has_room(), calm=not len(self._room))
        for some in batched(fetch.unsubscribe):
            self._link.unsubscribe(*some)
        for some in batched(fetch.subscribe):
            self._link.subscribe(*some)
        self._refusals.tick()

    def forget(self, model: str) -> None:
        """Fetch a forgotten model's wants again: a want that was refused before may be accepted now."""
        self._wants.forget(model)
        for scope in self._scopes:
            self._missed.note(self._topics.want(scope, model), self._topics.orders(scope))

    def read_again(self) -> None:
        """Fetch every order again: an order that was refused before may be accepted now."""
        for scope in self._scopes:
            self._missed.note_scope(self._topics.orders(scope), at_once=True)

    def _keys_changed(self) -> None:
        """Discard all verdicts, as other keys are trusted now."""
        self._verdicts.forget()
        self.read_again()

    def _start_check(self) -> None:
        if self._check.busy or not len(self._room) or time.monotonic() - self._checked_at < _CHECK_EVERY_S:
            return
        self._checked_at = time.monotonic()
        self._check.start(self._room.take(), self._keys.keyring)

    def _checked(
        self, documents: Sequence[Document], keyring: Keyring, signed: list[set[str]] | None, why: str
    ) -> None:
        """Handle the end of a batch; after a check without an answer, check each document alone to find the culprit."""
        if keyring is not self._keys.keyring:  # other keys are trusted by now
            for document in documents:
                self._room.add(document, fetched=True)
            return
        if signed is None and len(documents) > 1:
            self._room.put_back(documents)
            return
        if signed is None:
            error = TrustError("untrusted", f"the signature check did not answer: {why}; send it again")
            for document in documents:
                self._refuse(document, error, signed=False)
            return
        good = []
        for document, ids in zip(documents, signed, strict=True):
            enough = len(ids) >= self._min_signatures
            self._verdicts.note(document.fingerprint, good=enough)
            if enough:
                good.append(document)
                continue
            self._hostile[document.topic.scope] += document.live
            if not document.answered:
                self._refuse(document, keyring.too_few(document.envelope, len(ids), self._min_signatures), signed=False)
        self._decide(good)
        self._start_check()

    def _decide(self, documents: Sequence[Document]) -> None:
        """Execute trusted orders by the rules: a single one now, several as soon as there is time."""
        if len(documents) == 1 and not self._work:
            deque(self._one_by_one(documents), maxlen=0)
            return
        self._work.append(self._one_by_one(documents))
        if not self._work_is_due:
            self._go_on()

    def _go_on(self) -> None:
        self._work_is_due = False
        while self._work and next(self._work[0], _OVER) is _OVER:
            self._work.popleft()
        if self._work:
            self._work_is_due = True
            self._put(Due(self._go_on))

    def _one_by_one(self, documents: Sequence[Document]) -> Iterator[None]:
        """Execute wants, then other orders in order of arrival; yields after each."""
        wants = [document for document in documents if isinstance(document.topic, WantTopic)]
        for document, error in self._wants.decide(wants):
            if error is not None:
                self._refuse(document, error, signed=not self._unsigned)
            yield
        for document in documents:
            if isinstance(document.topic, CommandTopic):
                with contained(f"command {document.topic.command}"):
                    self._obey(document, document.topic)
                yield

    def _obey(self, document: Document, topic: CommandTopic) -> None:
        try:
            if names_key_list(topic.command):
                self._key_lists.take(topic, document.envelope.content())
            else:
                self._commands.take(topic, document.envelope.content())
            self._refusals.command_obeyed()
        except EdgeAgentError as error:
            self._refuse(document, error, signed=not self._unsigned)

    def _is_known_list(self, document: Document) -> bool:
        topic = document.topic
        if not isinstance(topic, CommandTopic) or not names_key_list(topic.command):
            return False
        return self._key_lists.known(topic, document.envelope.content(), live=document.live)

    def _refuse(self, document: Document, error: EdgeAgentError, *, signed: bool) -> None:
        self._refusals.refuse(
            document.topic, document.fingerprint, document.job, error, signed=signed, live=document.live
        )
