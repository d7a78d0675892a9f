"""Decides when to report that the broker is away, and that it is back. Pure: times go in, sentences come out.

A gap of a moment is not reported. A longer one is reported once, and so is its end; a broker that keeps the connection
but acknowledges nothing counts as away. On a slow link acknowledgements take time, so the limit for silence follows the
duration of the last few. A single long wait may have been a hang, so several are needed to raise the limit fully.
"""

from collections import deque
from statistics import median_low

QUIET_S = 1.2
"""How long a broker may be away, or owe an acknowledgement, before that is reported."""
_SLOWER = 4.0
"""Multiple of the usual wait that counts as silence."""
_REMEMBERED, _A_HABIT = 5, 3
"""Number of recent waits that define the usual one, and number from which it is reliable."""
_UNSURE_S = 5.0
"""Longest silent wait before the usual one is reliable."""


class Outage:
    """One command's view of its broker.

    Args:
        patience_s: how long the command keeps trying, which the report mentions.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._away_since: float | None = None
        self._silent_since: float | None = None
        self._waits: deque[float] = deque(maxlen=_REMEMBERED)
        self._reported = ""

    def left(self, now: float) -> None:
        """Note that the connection is gone, or was never there."""
        self._away_since = now if self._away_since is None else self._away_since
        self._silent_since = None

    def returned(self) -> str:
        """Note a new connection; returns the sentence to print."""
        self._away_since = self._silent_since = None
        return self._over("the broker is back")

    def owes(self, now: float) -> None:
        """Note that an acknowledgement is expected."""
        self._silent_since = now if self._silent_since is None else self._silent_since

    def acknowledged(self, now: float) -> str:
        """Note an acknowledgement; returns the sentence to print."""
        if self._silent_since is not None:
            self._waits.append(now - self._silent_since)
        self._silent_since = None
        return "" if self._away_since is not None else self._over("the broker answers again")

    def away_s(self, now: float) -> float:
        """How long there has been no connection."""
        return 0.0 if self._away_since is None else now - self._away_since

    def news(self, now: float, trouble: str) -> str:
        """The sentence about a broker that is away (because of ``trouble``) or silent.

        Empty if there is nothing new.
        """
        if self._away_since is not None:
            text = f"the broker is away ({trouble}); trying again for {self._patience_s:.0f} s"
            return self._once("away", text) if now - self._away_since >= QUIET_S else ""
        quiet_s = self._quiet_s()
        if self._silent_since is not None and now - self._silent_since >= quiet_s:
            return self._once("silent", f"the broker has acknowledged nothing for {quiet_s:.1f} s; waiting for it")
        return ""

    def _quiet_s(self) -> float:
        usual_s = _SLOWER * median_low(self._waits) if self._waits else 0.0
        return max(QUIET_S, usual_s if len(self._waits) >= _A_HABIT else min(usual_s, _UNSURE_S))

    def _once(self, what: str, text: str) -> str:
        before, self._reported = self._reported, what
        return "" if before == what else text

    def _over(self, text: str) -> str:
        before, self._reported = self._reported, ""
        return text if before else ""
