"""Whether a broker ends each connection rather than take the message that waits first. Pure.

Some brokers answer a message that their ACL does not allow by closing the connection. The library sends what was not
acknowledged before everything else of the next one, so one such message would keep a device off for good.
"""

from edge_agent.mqtt.outcome import Outcome

MOST = 3
"""So many of those in a row are no accident."""
_SOON_S = 30.0
"""A connection that lasts longer was not ended because of its first message."""


class Stuck:
    """Counts connections that ended soon while messages waited, none of which the broker took."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def learn(self, outcome: Outcome) -> bool:
        """Note how a connection ended; True: what waits should be given up."""
        if outcome.acknowledged or outcome.lasted_s >= _SOON_S:
            self._in_a_row = 0
        elif outcome.waits and not outcome.failure.twin:
            self._in_a_row += 1
        if self._in_a_row < MOST:
            return False
        self._in_a_row = 0
        return True
