"""When a person is told that the broker is away, and that it is back. Pure: moments go in, sentences come out.

A gap of a moment is nobody's business. A longer one is said once, and so is its end; a broker that keeps the
connection but acknowledges nothing is as good as away. On a slow link acknowledgements take their time: what counts as
silence follows how long the last few have taken. One long wait may have been a hang, so it takes several to teach much.
"""

from collections import deque
from statistics import median_low

QUIET_S = 1.2
"""How long a broker may be away, or owe an acknowledgement, before a person is told."""
_SLOWER = 4.0
"""So many times the usual wait are silence."""
_REMEMBERED, _A_HABIT = 5, 3
"""So many of the last waits say what is usual, and from so many on they are sure of it."""
_UNSURE_S = 5.0
"""At most this long is waited in silence before they are."""


class Outage:
    """One command's view of its broker.

    Args:
        patience_s: how long the command goes on trying; it is said with the outage.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._away_since: float | None = None
        self._silent_since: float | None = None
        self._waits: deque[float] = deque(maxlen=_REMEMBERED)
        self._said = ""

    def left(self, now: float) -> None:
        """The connection is gone, or was never there."""
        self._away_since = now if self._away_since is None else self._away_since
        self._silent_since = None

    def returned(self) -> str:
        """The connection stands; what to say of it."""
        self._away_since = self._silent_since = None
        return self._over("the broker is back")

    def owes(self, now: float) -> None:
        """An acknowledgement is waited for."""
        self._silent_since = now if self._silent_since is None else self._silent_since

    def acknowledged(self, now: float) -> str:
        """The broker has acknowledged something; what to say of it."""
        if self._silent_since is not None:
            self._waits.append(now - self._silent_since)
        self._silent_since = None
        return "" if self._away_since is not None else self._over("the broker answers again")

    def away_s(self, now: float) -> float:
        """For how long there has been no connection."""
        return 0.0 if self._away_since is None else now - self._away_since

    def news(self, now: float, trouble: str) -> str:
        """What to say now of a broker that is away (because of ``trouble``) or silent; empty: nothing new."""
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
        said, self._said = self._said, what
        return "" if said == what else text

    def _over(self, text: str) -> str:
        said, self._said = self._said, ""
        return text if said else ""
