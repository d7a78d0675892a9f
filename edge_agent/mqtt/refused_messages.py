"""Logs messages that the broker refuses: once per connection for each line that its ACL lacks."""

import logging

from edge_agent.mqtt.options import ClientOptions

log = logging.getLogger(__name__)


class RefusedMessages:
    """The refusals that were logged since the connection began."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._logged: set[str] = set()

    def begin(self) -> None:
        """Start a new connection: its broker may have another ACL."""
        self._logged.clear()

    def tell(self, topic: str, reason: str, *, denied: bool) -> None:
        """Log a refusal, and the remedy if the broker ``denied`` the right to write to the topic.

        ``topic`` is empty if it is no longer known.
        """
        line = self._options.acl_line(topic) if denied else ""
        name = self._options.broker.username
        who = f"user {name!r}" if name else "a client without a name"
        remedy = f'; its ACL needs the line "{line}"' if line else f"; its ACL must let {who} write there"
        subject = line or topic
        if subject and subject in self._logged:
            return
        self._logged.add(subject)
        where = f" to {topic}" if topic else ""
        log.warning("the broker refused a message%s: %s%s", where, reason, remedy if denied else "")
