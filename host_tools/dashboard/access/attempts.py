"""How often somebody may try to log in: a few at once, then one now and then. Pure but for its clock.

Counted by address, and over all addresses: a name is no key, as anybody could then lock the operator out. Who has the
network of an IPv6 address has all addresses in it, so they count as one. An address from which somebody has logged in
before shares its limit with such addresses only: strangers cannot use it up.
"""

import ipaddress
import threading
import time
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 5
EVERY_S: Final = 30.0
"""After so long one more may be tried from an address."""
IN_ALL_AT_ONCE: Final = 60
IN_ALL_EVERY_S: Final = 1.0
_MOST_ADDRESSES = 1000


class Attempts:
    """A bucket of tries for each address, and one for all strangers, one for all others. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        """Network → when its bucket is full again."""
        self._known: dict[str, None] = {}
        """Networks from which somebody has logged in, the newest last."""
        self._all_due = {True: 0.0, False: 0.0}
        """Whether a network is known → when the bucket of all such is full again."""

    def wait_s(self, address: str) -> float:
        """Note a try, and return 0; or the seconds after which one may be made, and note none."""
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
        """Somebody has logged in with the try that was noted: it does not count.

        Those before it do, else a person with a password could guess another's between logins.
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
    """What one person can have of addresses: an IPv4 address, or 64 bits of an IPv6 address."""
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
    """Seconds until a bucket that is full again at ``due`` has one in it."""
    return due - now - (at_once - 1) * every_s
