"""A sample of a stream in a fixed number of places in which rare regimes have more than their share. Pure.

Places are shared by the square root of how much was seen of each stratum: between equal shares, where noise and
glitches would weigh as much as work, and proportional ones, which keep nothing of what is rare. What is met in 1 of
100 stretches gets 1 of 11 places, in 1 of 10,000 1 of 101. No stratum gets more places than it has had stretches.

Within a stratum it is reservoir sampling (:mod:`.uniform`) with a number of places that changes: a stretch is taken
with probability share/weight and replaces one of its own, or, while its stratum has less than its share, one of the
stratum that is furthest above its own. So within a stratum the sample is close to uniform, which ranges do not need
exactly. All is about the calibration part: the verdict's statistics come from :mod:`.uniform`.

Memory: 3 numbers a channel and place. Time: as :mod:`.strata`; more only when a stretch is taken, as all that is kept
is then looked at: with 6 channels and 8,000 places 4 ms on x86, which is why ``keep_windows`` has a bound.
"""

import math
from collections import Counter
from dataclasses import dataclass
from random import Random

import numpy as np

from edge_agent.reservoir.features import Numbers, scale_of
from edge_agent.reservoir.strata import Strata

_AT_ONCE = 1024
"""Members whose distance to every stratum is in memory at a time."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A stretch that is to be kept: in which place, as a member of which stratum."""

    place: int
    stratum: int
    weight: float
    """How much was seen of the stratum."""


class Stratified:
    """Says which of ``places`` a new stretch takes, if any."""

    def __init__(self, places: int, channels: int, horizon: float) -> None:
        """Forget so that the mean age in a stratum becomes ``horizon`` stretches of all."""
        self.places = places
        self.strata = Strata(math.exp(-1 / horizon))
        self._described: Numbers = np.zeros((places, 3, channels))
        self._stratum: dict[int, int] = {}
        """Place → number of its stratum, of places that are taken."""
        self._lowest = 0
        """No place below is free, as none is ever given back."""

    @property
    def kept(self) -> int:
        """Places that are taken."""
        return len(self._stratum)

    def restore(self, place: int, described: Numbers, stratum: int) -> None:
        """Say what is in a place from before; ``rescale`` is due after the last one."""
        self._described[place] = described
        self._stratum[place] = stratum

    def rescale(self) -> None:
        """Work out what each channel usually reaches, of all that is kept."""
        if self._stratum:
            self.strata.scale = scale_of(self._described[list(self._stratum)])

    def occupy(self, place: int, described: Numbers, stratum: int) -> None:
        """Say what is in a place now."""
        self.restore(place, described, stratum)
        self.rescale()

    def choose(self, described: Numbers, block: int, random: Random) -> Choice | None:
        """Count one more stretch; the place that it is to take, or None. The place is taken by ``occupy``."""
        own = self.strata.assign(described, block)
        if self.strata.changed:
            self.relabel()
        if self.kept < self.places:
            while self._lowest in self._stratum:
                self._lowest += 1
            return Choice(self._lowest, own.number, own.weight)
        draw = random.random() * max(own.weight, 1.0)
        if draw >= self.places:  # most often: spares the rest
            return None
        shares = self.shares()
        if draw >= shares[own.number]:
            return None
        members = Counter(self._stratum.values())
        loser = own.number
        if members[own.number] < shares[own.number] or not members[own.number]:
            loser = max(members, key=lambda number: members[number] - shares.get(number, 0))
        mine = [place for place, number in self._stratum.items() if number == loser]
        return Choice(random.choice(mine), own.number, own.weight)

    def relabel(self) -> None:
        """Put every member into the stratum that is nearest, as strata came, went or merged."""
        self.strata.changed = False
        taken = list(self._stratum)
        for start in range(0, len(taken), _AT_ONCE):
            some = taken[start : start + _AT_ONCE]
            for place, index in zip(some, self.strata.nearest(self._described[some]), strict=True):
                self._stratum[place] = self.strata.known[index].number

    def shares(self) -> dict[int, int]:
        """Places by the number of the stratum; all of them, unless so much was not seen."""
        weights = {one.number: one.weight for one in self.strata.known}
        return share_out(self.places, weights)


def share_out(places: int, weights: dict[int, float]) -> dict[int, int]:
    """Divide ``places`` by the square root of the weights; none gets more than its weight, rounded up."""
    shares: dict[int, int] = {}
    left, roots = places, sum(map(math.sqrt, weights.values()))
    for number, weight in sorted(weights.items(), key=lambda item: item[1]):  # the lightest may leave something
        root = math.sqrt(weight)
        part = round(left * min(1.0, root / roots)) if roots > 0 else left
        shares[number] = min(max(part, 1), math.ceil(weight))
        left, roots = left - shares[number], roots - root
    return shares
