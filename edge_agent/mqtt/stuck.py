"""Detects a broker that ends each connection instead of accepting the first queued message. Pure.

Some brokers close the connection on a message that their ACL does not allow. The library sends unacknowledged messages
first on the next connection, so one such message would keep a device offline for good.
"""

from edge_agent.mqtt.outcome import Outcome

MOST = 3
"""This many such connections in a row are no accident."""
_SOON_S = 30.0
"""A connection that lasts longer did not end because of its first message."""


class Stuck:
    """A counter of connections that ended soon without accepting any queued message."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def learn(self, outcome: Outcome) -> bool:
        """Record the outcome of a connection; True: the queued messages should be given up."""
        if outcome.acknowledged or outcome.lasted_s >= _SOON_S:
            self._in_a_row = 0
        elif outcome.waits and not outcome.failure.twin:
            self._in_a_row += 1
        if self._in_a_row < MOST:
            return False
        self._in_a_row = 0
        return True
