"""Lets manifests in: which messages are orders, whether they are trusted, and what the rules say of them.

An unverified manifest has no effect but a counter and ``refused`` in the device's status. Signatures are checked in
a child, one at a time and at most one a second, the newest message of each topic only.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from functools import partial

import msgspec

from edge_agent.daemon.admission.rules import Accept, Known, Refuse, Standing, decide, read_want
from edge_agent.daemon.background import run_in_background
from edge_agent.daemon.events import ChildEnded
from edge_agent.daemon.job_flow import JobFlow
from edge_agent.daemon.job_ledger import JobLedger
from edge_agent.daemon.publisher import Publisher
from edge_agent.daemon.remote_commands import RemoteCommands
from edge_agent.errors import CODES, EdgeAgentError, TrustError, WireError
from edge_agent.mqtt import Incoming, Oversized
from edge_agent.process.child_exit import ChildExit
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.program import python_child
from edge_agent.settings.device import Config
from edge_agent.state.clock import Clock
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, Envelope, unseal
from edge_agent.wire.limits import most_bytes
from edge_agent.wire.messages import Refused
from edge_agent.wire.timestamps import parse_rfc3339
from edge_agent.wire.topics import CommandTopic, Scope, WantTopic

log = logging.getLogger(__name__)

_VERIFY_EVERY_S = 1.0
_VERIFY_TIMEOUT_S = 30.0
_MAX_WAITING = 64
_MAX_REFUSED = 1024


class _Document(msgspec.Struct, frozen=True):
    """A want or command as it came; ``fingerprint`` tells the same document delivered again from a new one."""

    topic: WantTopic | CommandTopic
    envelope: Envelope
    fingerprint: str

    @property
    def job(self) -> str:
        """The job that the manifest inside would be, whether or not it is trusted."""
        return job_id(content_digest(self.envelope.content())) if isinstance(self.topic, WantTopic) else ""


class Admission:
    """Decides about every want and command that arrives."""

    def __init__(
        self,
        config: Config,
        ledger: JobLedger,
        flow: JobFlow,
        commands: RemoteCommands,
        publisher: Publisher,
        clock: Clock,
        put: Callable[[ChildEnded], None],
    ) -> None:
        self._topics = config.topics
        self._scopes = config.scopes
        self._trust = config.trust
        self._ledger = ledger
        self._flow = flow
        self._commands = commands
        self._publisher = publisher
        self._clock = clock
        self._put = put
        self._versions: dict[str, dict[Scope, Standing]] = {}
        """model → scope → the version that is wanted there and until when, of wants that were obeyed."""
        self._waiting: dict[WantTopic | CommandTopic, _Document] = {}
        self._checking = False
        self._checked_at = 0.0
        self._refused: set[str] = set()
        """Fingerprints: a retained document comes again at every connect, and is refused once."""
        self._refused_command = ""
        """The newest command that was refused, until another one is obeyed."""

    def message(self, message: Incoming) -> None:
        """Take a message that is no part of a blob."""
        topic = self._topics.parse(message.topic)
        if not isinstance(topic, WantTopic | CommandTopic):
            return
        if topic.scope not in self._scopes:  # a broker that brings us what is signed for others
            log.warning("wrong_target: dropped what was sent to %s; check the broker", message.topic)
            return
        if not message.payload:  # a retained message was cleared: no order, and nothing changes
            if isinstance(topic, WantTopic):
                self._versions.get(topic.model, {}).pop(topic.scope, None)
            self._waiting.pop(topic, None)
            return
        fingerprint = hashlib.sha256(message.payload).hexdigest()
        job = ""
        try:
            envelope = unseal(message.payload, MANIFEST_TYPE if isinstance(topic, WantTopic) else COMMAND_TYPE)
            document = _Document(topic, envelope, fingerprint)
            job = document.job
            if self._trust.allow_unsigned:
                self._obey(document)
            elif job in self._ledger.jobs:  # known content: to publish its report again needs no trust
                known = self._ledger.jobs[job]
                self._versions.setdefault(known.model, {})[topic.scope] = Standing(known.version, known.expires)
                self._ledger.answer(job)
            elif topic in self._waiting or len(self._waiting) < _MAX_WAITING:
                self._waiting[topic] = document
                self.tick()
            else:
                log.warning("dropped %s: %d documents wait for their check; send it again", topic, _MAX_WAITING)
        except EdgeAgentError as error:
            self._refuse(topic, fingerprint, job, error)

    def oversized(self, message: Oversized) -> None:
        """Refuse an order that is larger than its topic permits; of anything else only the log tells."""
        topic = self._topics.parse(message.topic)
        error = WireError(
            "too_large", f"a message of {message.size} bytes; the limit is {most_bytes(self._topics, message.topic)}"
        )
        if isinstance(topic, WantTopic | CommandTopic) and topic.scope in self._scopes:
            self._refuse(topic, f"{message.topic} {message.size}", "", error)
        else:
            log.warning("dropped what was sent to %s: %s", message.topic, error)

    def tick(self) -> None:
        """Check the next signature, if it is time to."""
        if self._checking or not self._waiting or time.monotonic() - self._checked_at < _VERIFY_EVERY_S:
            return
        document = self._waiting.pop(next(iter(self._waiting)))
        self._checking = True
        self._checked_at = time.monotonic()
        run_in_background(
            python_child("edge_agent.trust", self._trust.keys_dir, str(self._trust.min_signatures)),
            ChildLimits(timeout_s=_VERIFY_TIMEOUT_S),
            self._put,
            partial(ChildEnded, partial(self._verified, document)),
            stdin=document.envelope.encoded(),
        )

    def _verified(self, document: _Document, ended: ChildExit, output: str) -> None:
        self._checking = False
        try:
            answer = json.loads(output)
        except ValueError:
            answer = {"code": "untrusted", "message": f"the signature check did not answer: {ended.describe()}"}
        try:
            if answer["code"]:
                code = answer["code"] if answer["code"] in CODES else "untrusted"
                raise TrustError(code, answer["message"])
            self._obey(document)
        except EdgeAgentError as error:
            self._refuse(document.topic, document.fingerprint, document.job, error)

    def _obey(self, document: _Document) -> None:
        """Do what a trusted order says, by the rules; raises ``WireError`` or ``TrustError`` if it is not for us."""
        if isinstance(document.topic, CommandTopic):
            self._commands.take(document.topic, document.envelope.content())
            self._publisher.forget_refusal(self._refused_command)
            return
        want = read_want(document.topic, document.envelope.content(), self._topics.namespace)
        if not self._trust.allow_unsigned:
            self._clock.seen(parse_rfc3339(want.manifest.created) or 0.0)
        name = want.manifest.name
        versions = self._versions.setdefault(name, {})
        decision = decide(want, self._ledger.record(name), self._ledger.jobs.keys(), versions, self._clock.now())
        versions.pop(want.topic.scope, None)  # what this topic held before stands nowhere any more
        match decision:
            case Accept():
                versions[want.topic.scope] = want.standing
                self._flow.accept(want)
            case Known():
                versions[want.topic.scope] = want.standing
                self._ledger.answer(want.job)
            case Refuse(error):
                raise error

    def _refuse(self, topic: WantTopic | CommandTopic, fingerprint: str, job: str, error: EdgeAgentError) -> None:
        """Refuse, once for each document."""
        if fingerprint in self._refused:
            return
        if len(self._refused) >= _MAX_REFUSED:
            self._refused.clear()
        self._refused.add(fingerprint)
        name = topic.model if isinstance(topic, WantTopic) else topic.command
        self._refused_command = name if isinstance(topic, CommandTopic) else self._refused_command
        log.warning("refused %s for %s: %s", name, topic.scope, error)
        self._publisher.refuse(Refused(model=name, job=job, code=error.code, message=error.message))
