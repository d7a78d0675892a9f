"""Which version of MQTT to speak: 5, or 3.1.1 where the broker takes no 5. Pure."""

from typing import Literal

from edge_agent.mqtt.outcome import Reached

Version = Literal["5", "3.1.1"]
_FORGET_AFTER = 3
"""Unanswered connections after which a broker that has let us in by one version is asked by the other."""


class VersionChoice:
    """The version for the next connection, learnt from how the ones before it ended.

    Whoever speaks no MQTT 5 may close the connection without a word. So does a broker that is just starting, which
    must therefore do it several times if it has let us in before.

    Attributes:
        version: of the next connection.
    """

    def __init__(self) -> None:
        self.version: Version = "5"
        self._proved = False
        self._unanswered = 0

    def learn(self, reached: Reached) -> bool:
        """Note how a connection ended; True: the other version is worth an attempt at once."""
        if reached is Reached.A_SESSION:
            self._proved, self._unanswered = True, 0
        if reached is not Reached.A_LISTENER:
            return False
        self._unanswered += 1
        if self._proved and self._unanswered < _FORGET_AFTER:
            return False
        self._proved = False
        self.version = "3.1.1" if self.version == "5" else "5"
        return self._unanswered % 2 == 1  # once neither has been answered, a delay comes first
