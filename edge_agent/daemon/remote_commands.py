"""Signed commands that arrive through MQTT.

A command's id is saved before the command is executed, and kept until the command expires. So it is executed once,
whatever the network does. A repeated command only has its ``done`` published again.
"""

import logging
from collections.abc import Callable

from edge_agent.daemon.commands import Answer, Commands
from edge_agent.daemon.publisher import Publisher
from edge_agent.errors import EdgeAgentError, TrustError, WireError
from edge_agent.state.clock import Clock
from edge_agent.state.store import CommandRecord, Store
from edge_agent.wire.messages import Command, decode
from edge_agent.wire.timestamps import parse_rfc3339
from edge_agent.wire.topics import CommandTopic, Topics

log = logging.getLogger(__name__)


class RemoteCommands:
    """Executes a host's rollback, cancel, recalibrate and forget, each once, and publishes the result."""

    def __init__(self, commands: Commands, topics: Topics, store: Store, clock: Clock, publisher: Publisher) -> None:
        self._commands = commands
        self._topics = topics
        self._store = store
        self._clock = clock
        self._publisher = publisher
        self._under_way: set[str] = set()
        """Ids of commands that have not ended: a rollback waits for the operator's hook."""

    def take(self, topic: CommandTopic, content: bytes) -> None:
        """Execute a trusted command, once; raises ``WireError`` or ``TrustError`` if it is not for this device."""
        command = decode(content, Command)
        if command.id != topic.command or str(topic.scope) not in command.targets:
            raise TrustError("wrong_target", f"command {command.id} was found at {topic.scope}/cmd/{topic.command}")
        if command.namespace != self._topics.namespace:
            raise TrustError("wrong_target", f"command {command.id} is of namespace {command.namespace}")
        expires = parse_rfc3339(command.expires)
        if expires is None:
            raise WireError("malformed", f"command {command.id} has no valid expiry")
        now = self._clock.now()
        known = {id_: seen for id_, seen in self._store.commands().items() if seen.expires > now}
        if command.id in known:
            self._again(topic, known[command.id])
            return
        if expires <= now:
            raise TrustError("expired", f"command {command.id} expired at {command.expires}; {self._clock.told()}")
        self._store.save_commands({**known, command.id: CommandRecord(expires=expires)})
        self._under_way.add(command.id)
        log.info("command %s: %s %s", command.id, command.action, command.model or command.job)
        try:
            self._obey(
                command,
                lambda body: self._end(topic, "", str(body.get("message", ""))),
                lambda error: self._end(topic, error.code, error.message),
            )
        except EdgeAgentError as error:
            self._end(topic, error.code, error.message)
        except Exception as error:
            log.exception("internal: command %s", command.id)
            self._end(topic, "internal", f"{command.action} failed here: {error!r}; see the device's log")

    def _obey(self, command: Command, answer: Answer, refuse: Callable[[EdgeAgentError], None]) -> None:
        match command.action:
            case "rollback":
                self._commands.roll_back(command.model, command.version, answer, refuse)
            case "cancel":
                self._commands.cancel(command.job, answer)
            case "recalibrate":
                self._commands.recalibrate(command.model, command.version, command.id, answer)
            case "forget":
                self._commands.forget(command.model, parse_rfc3339(command.created) or self._clock.now(), answer)

    def _again(self, topic: CommandTopic, seen: CommandRecord) -> None:
        """Publish a repeated command's result again; report a command that a restart has interrupted."""
        if seen.ended:
            self._publish_end(topic, seen)
        elif topic.command not in self._under_way:
            text = (
                "the device restarted during the command; see host-tools devices for what is active, and send it again"
            )
            self._end(topic, "not_active", text)

    def _end(self, topic: CommandTopic, code: str, message: str) -> None:
        """Save the result of a command, then publish it."""
        if code:
            log.warning("command %s: %s: %s", topic.command, code, message)
        commands = self._store.commands()
        expires = commands[topic.command].expires if topic.command in commands else 0.0
        ended = CommandRecord(expires=expires, ended=True, code=code, message=message)
        self._under_way.discard(topic.command)
        try:
            self._store.save_commands({**commands, topic.command: ended})
        finally:
            self._publish_end(topic, ended)

    def _publish_end(self, topic: CommandTopic, ended: CommandRecord) -> None:
        self._publisher.done(topic.command, ended.code, ended.message)
        if topic.scope.kind == "d":  # a device clears its own commands only; the host clears a group's
            self._publisher.clear(self._topics.command(topic.scope, topic.command))
