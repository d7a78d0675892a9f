"""Back-off delays for the broker, a sensor, or a sensor's process. Computes delays only; the caller waits."""

import random

_MOST_DOUBLINGS = 16


class Backoff:
    """The delays between attempts: ``first_s`` after the first failure, then doubled with each further one.

    Args:
        first_s: the delay after the first failure.
        longest_s: the upper limit of a delay.
        jitter: the fraction by which a delay may be shorter, at random, so that a fleet does not return all at once.

    Attributes:
        failures: the number of failed attempts since the last success.
    """

    def __init__(self, first_s: float, longest_s: float, *, jitter: float = 0.0) -> None:
        self._first_s, self._longest_s, self._jitter = first_s, longest_s, jitter
        self.failures = 0

    def succeeded(self) -> None:
        """Reset the delay to the first one."""
        self.failures = 0

    def failed(self) -> float:
        """Count a failure and return the seconds to wait before the next attempt."""
        delay_s = min(self._longest_s, self._first_s * 2.0 ** min(self.failures, _MOST_DOUBLINGS))
        self.failures += 1
        return delay_s * random.uniform(1.0 - self._jitter, 1.0)  # noqa: S311  # no secret

    def ended(self, lasted_s: float) -> float:
        """Return the seconds to wait after a run of ``lasted_s``; a run longer than any delay counts as a success."""
        if lasted_s > self._longest_s:
            self.succeeded()
        return self.failed()
