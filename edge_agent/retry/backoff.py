"""How long to wait before the next attempt: for the broker, a sensor, a sensor's process. Waits for nothing itself."""

import random

_MOST_DOUBLINGS = 16


class Backoff:
    """The delays between attempts: the first one after a success, then each twice the one before.

    Args:
        first_s: the delay after the first failure.
        longest_s: the delay that is never exceeded.
        jitter: the share by which a delay may be shorter, at random: a fleet must not return as one.

    Attributes:
        failures: the attempts that have failed since the last success.
    """

    def __init__(self, first_s: float, longest_s: float, *, jitter: float = 0.0) -> None:
        self._first_s, self._longest_s, self._jitter = first_s, longest_s, jitter
        self.failures = 0

    def succeeded(self) -> None:
        """Begin again with the first delay."""
        self.failures = 0

    def failed(self) -> float:
        """The seconds to wait before the next attempt."""
        delay_s = min(self._longest_s, self._first_s * 2.0 ** min(self.failures, _MOST_DOUBLINGS))
        self.failures += 1
        return delay_s * random.uniform(1.0 - self._jitter, 1.0)  # noqa: S311  # no secret

    def ended(self, lasted_s: float) -> float:
        """The seconds to wait after an attempt that lasted so long: one longer than any delay has been a success."""
        if lasted_s > self._longest_s:
            self.succeeded()
        return self.failed()
