"""The choice of the MQTT version: 5, or 3.1.1 if the broker does not speak 5. Pure."""

from typing import Literal

from edge_agent.mqtt.outcome import Reached

Version = Literal["5", "3.1.1"]
_FORGET_AFTER = 3
"""After this many unanswered connections the other version is tried, even if the broker accepted this one before."""


class VersionChoice:
    """The version for the next connection, learnt from the outcomes of the previous ones.

    A broker that does not speak MQTT 5 may close the connection without an answer. So may a broker that is just
    starting. Therefore a broker that accepted us before must do it several times before the version changes.

    Attributes:
        version: the version for the next connection.
    """

    def __init__(self) -> None:
        self.version: Version = "5"
        self._proved = False
        self._unanswered = 0

    def learn(self, reached: Reached) -> bool:
        """Record how far a connection got; True: try the other version at once."""
        if reached is Reached.A_SESSION:
            self._proved, self._unanswered = True, 0
        if reached is not Reached.A_LISTENER:
            return False
        self._unanswered += 1
        if self._proved and self._unanswered < _FORGET_AFTER:
            return False
        self._proved = False
        self.version = "3.1.1" if self.version == "5" else "5"
        return self._unanswered % 2 == 1  # after both were tried without an answer, a delay comes first
