"""Limits login attempts: a few at once, then one now and then. Pure apart from its clock.

Attempts are counted per address and in total. They are not counted per name, as anybody could then lock the operator
out. All addresses of an IPv6 network count as one, as its owner has all of them. An address with an earlier successful
login shares its limit only with such addresses, so strangers cannot use it up.
"""

import ipaddress
import threading
import time
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 5
EVERY_S: Final = 30.0
"""Interval after which an address gets one more attempt."""
IN_ALL_AT_ONCE: Final = 60
IN_ALL_EVERY_S: Final = 1.0
_MOST_ADDRESSES = 1000


class Attempts:
    """Token buckets: one per address, one for all strangers, one for all known addresses. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        """Network → time when its bucket is full again."""
        self._known: dict[str, None] = {}
        """Networks with an earlier successful login, the newest last."""
        self._all_due = {True: 0.0, False: 0.0}
        """Whether networks are known → time when the bucket of all such networks is full again."""

    def wait_s(self, address: str) -> float:
        """Count an attempt and return 0; or return the seconds until one is allowed, and count none."""
        now, network = self._clock(), _network(address)
        with self._lock:
            known = network in self._known
            wait = max(
                _wait(self._due.get(network, 0.0), now, AT_ONCE, EVERY_S),
                _wait(self._all_due[known], now, IN_ALL_AT_ONCE, IN_ALL_EVERY_S),
            )
            if wait <= 0:
                self._due[network] = max(now, self._due.pop(network, 0.0)) + EVERY_S
                self._all_due[known] = max(now, self._all_due[known]) + IN_ALL_EVERY_S
                if len(self._due) > _MOST_ADDRESSES:
                    del self._due[next(iter(self._due))]
            return max(0.0, wait)

    def succeeded(self, address: str) -> None:
        """Refund the last counted attempt, as it has succeeded.

        Earlier attempts stay counted. Otherwise a person with a password could guess another's between logins.
        """
        network = _network(address)
        with self._lock:
            if network in self._due:
                self._due[network] -= EVERY_S
            self._known.pop(network, None)
            self._known[network] = None
            if len(self._known) > _MOST_ADDRESSES:
                del self._known[next(iter(self._known))]


def _network(address: str) -> str:
    """The addresses that one person can have: an IPv4 address, or 64 bits of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False))


def _wait(due: float, now: float, at_once: int, every_s: float) -> float:
    """Seconds until a bucket that is full again at ``due`` allows one attempt."""
    return due - now - (at_once - 1) * every_s
