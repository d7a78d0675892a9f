"""Handles signed key lists: a valid one is addressed to this device, newer, and leaves enough trusted keys."""

from collections.abc import Callable

from edge_agent.daemon.admission.key_files import KeyFiles
from edge_agent.daemon.publisher import Publisher
from edge_agent.errors import EdgeAgentError, TrustError
from edge_agent.strict import counted
from edge_agent.wire.keys import decode_key_list
from edge_agent.wire.topics import CommandTopic


class KeyLists:
    """``on_change`` is called when the trusted keys have changed, as a refused order may be acceptable now."""

    def __init__(
        self, namespace: str, files: KeyFiles, publisher: Publisher, on_change: Callable[[], None], *, unsigned: bool
    ) -> None:
        self._namespace = namespace
        self._files = files
        self._publisher = publisher
        self._on_change = on_change
        self._unsigned = unsigned

    def known(self, topic: CommandTopic, content: bytes, *, live: bool) -> bool:
        """Whether a list needs no check: it is in force, or it is an older one retained for devices that lag behind.

        The signers of an older list may have been revoked since. Raises ``WireError`` if it is not a key list.
        """
        found = decode_key_list(content)
        if self._files.holds(found):
            if live:
                self._report(topic)
            return True
        return not live and found.version < self._files.list_version

    def take(self, topic: CommandTopic, content: bytes) -> None:
        """Put a correctly signed list in force; the outcome is published like a command's.

        Raises:
            WireError: it is not a key list.
            TrustError: it is not for this device.
        """
        found = decode_key_list(content)
        if found.id != topic.command or found.namespace != self._namespace or str(topic.scope) not in found.targets:
            raise TrustError("wrong_target", f"key list {found.version} was found at {topic.scope}/cmd/{topic.command}")
        if self._unsigned:
            text = "this device requires no signatures (trust.allow_unsigned = true), so it stores no key list"
            self._publisher.done(topic.command, "untrusted", text)
            return
        try:
            self._files.take(found, content)
        except EdgeAgentError as error:
            self._publisher.done(topic.command, error.code, error.message)
            raise
        self._report(topic)
        self._on_change()

    def _report(self, topic: CommandTopic) -> None:
        keys = counted(len(self._files.keyring.keys), "key")
        self._publisher.done(topic.command, "", f"key list {self._files.list_version} holds: {keys}")
