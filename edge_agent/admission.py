"""Lets manifests in: which messages are orders, whether they are trusted, and what the rules say of them.

An unverified manifest has no effect but a counter and ``refused`` in the device's status. Signatures are checked in
a child, one at a time and at most one a second, the newest message of each topic only.
"""

import json
import logging
import time
from typing import TYPE_CHECKING

from edge_agent.children import run_in_background
from edge_agent.errors import CODES, EdgeAgentError, TrustError
from edge_agent.mqtt import Incoming
from edge_agent.orders import Accept, Known, Refuse, Want, decide, read_want
from edge_agent.supervisor import ChildExit, Limits, python_child
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, Envelope, unseal
from edge_agent.wire.messages import Refused
from edge_agent.wire.topics import CommandTopic, Scope, WantTopic

if TYPE_CHECKING:
    from edge_agent.agent import Agent

log = logging.getLogger(__name__)

_VERIFY_EVERY_S = 1.0
_VERIFY_TIMEOUT_S = 30.0
_MAX_WAITING = 64


class Admission:
    """Decides about every want and command that arrives."""

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent
        self._wants: dict[str, dict[Scope, Want]] = {}
        """model → scope → the newest trusted want there."""
        self._waiting: dict[WantTopic | CommandTopic, Envelope] = {}
        self._checking = False
        self._checked_at = 0.0
        self._refused: set[tuple[str, str]] = set()

    def message(self, message: Incoming) -> None:
        """Take a message that is no part of a blob."""
        topic = self._agent.config.topics.parse(message.topic)
        match topic:
            case WantTopic(model=model):
                kind = MANIFEST_TYPE
            case CommandTopic():
                kind, model = COMMAND_TYPE, ""
            case _:
                return
        if not message.payload:  # a retained message was cleared: no order, and nothing changes
            if isinstance(topic, WantTopic):
                self._wants.get(model, {}).pop(topic.scope, None)
            self._waiting.pop(topic, None)
            return
        try:
            envelope = unseal(message.payload, kind)
            if self._agent.config.trust.allow_unsigned:
                self._trusted(topic, envelope)
            elif topic in self._waiting or len(self._waiting) < _MAX_WAITING:
                self._waiting[topic] = envelope
                self.tick()
        except EdgeAgentError as error:
            self._refuse(topic, error)

    def tick(self) -> None:
        """Check the next signature, if it is time to."""
        if self._checking or not self._waiting or time.monotonic() - self._checked_at < _VERIFY_EVERY_S:
            return
        topic = next(iter(self._waiting))
        envelope = self._waiting.pop(topic)
        self._checking = True
        self._checked_at = time.monotonic()
        trust = self._agent.config.trust
        run_in_background(
            python_child("edge_agent.trust", trust.keys_dir, str(trust.min_signatures)),
            Limits(timeout_s=_VERIFY_TIMEOUT_S),
            self._agent.put,
            lambda ended, output: self._verified(topic, envelope, ended, output),
            stdin=envelope.encoded(),
        )

    def _verified(self, topic: WantTopic | CommandTopic, envelope: Envelope, ended: ChildExit, output: str) -> None:
        self._checking = False
        try:
            answer = json.loads(output)
        except ValueError:
            answer = {"code": "untrusted", "message": f"the signature check did not answer: {ended.stderr_tail[-200:]}"}
        try:
            if answer["code"]:
                code = answer["code"] if answer["code"] in CODES else "untrusted"
                raise TrustError(code, answer["message"])
            self._trusted(topic, envelope)
        except EdgeAgentError as error:
            self._refuse(topic, error)

    def _trusted(self, topic: WantTopic | CommandTopic, envelope: Envelope) -> None:
        if isinstance(topic, CommandTopic):
            self._agent.command(topic, envelope.content())
            return
        agent = self._agent
        want = read_want(topic, envelope.content(), agent.config.mqtt.namespace)
        name = want.manifest.name
        wants = self._wants.setdefault(name, {})
        wants[topic.scope] = want
        decision = decide(
            want,
            agent.store.record(name),
            agent.jobs.keys(),
            max(other.manifest.version for other in wants.values()),
            agent.clock.now(),
        )
        match decision:
            case Accept():
                agent.accept(want)
            case Known():
                agent.republish(want.job)
            case Refuse(error):
                wants.pop(topic.scope)
                self._refuse(topic, error, want.job)

    def _refuse(self, topic: WantTopic | CommandTopic, error: EdgeAgentError, job: str = "") -> None:
        """Say no, once for each document: brokers deliver a retained one again at every connect."""
        model = topic.model if isinstance(topic, WantTopic) else topic.command
        key = (str(topic), job or error.message)
        if key in self._refused:
            return
        if len(self._refused) > _MAX_WAITING:
            self._refused.clear()
        self._refused.add(key)
        log.warning("refused %s: %s", topic, error)
        self._agent.publisher.refuse(Refused(model=model, job=job, code=error.code, message=error.message))
