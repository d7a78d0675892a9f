"""What the log says of messages that the broker refuses: once a connection for each line that its ACL lacks."""

import logging

from edge_agent.mqtt.options import ClientOptions

log = logging.getLogger(__name__)


class RefusedMessages:
    """What was said of them since the connection began."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._said: set[str] = set()

    def begin(self) -> None:
        """There is a new connection: its broker may have another ACL."""
        self._said.clear()

    def tell(self, topic: str, reason: str, *, denied: bool) -> None:
        """Log a refusal, and what is to be done about it where the broker ``denied`` the right to write there.

        ``topic`` is empty where nobody knows it any more.
        """
        line = self._options.acl_line(topic) if denied else ""
        name = self._options.broker.username
        who = f"user {name!r}" if name else "a client without a name"
        remedy = f'; its ACL needs the line "{line}"' if line else f"; its ACL must let {who} write there"
        subject = line or topic
        if subject and subject in self._said:
            return
        self._said.add(subject)
        where = f" to {topic}" if topic else ""
        log.warning("the broker refused a message%s: %s%s", where, reason, remedy if denied else "")
