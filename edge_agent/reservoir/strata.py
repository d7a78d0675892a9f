"""The regimes of a stream, found online: at most 16 strata, each with a centre and a weight. Pure.

The method is leader clustering (Hartigan 1975) with merging when full, as in incremental k-centre (Charikar et al.
2004). A segment joins the nearest centre if that is near enough, else it founds a **candidate**. A candidate becomes a
stratum after three segments in two blocks of time, or eight segments in one: a single glitch, or a cable that was
pulled once, is no regime. Until then its segments count for the nearest stratum. Recurring glitches do become a
stratum, but :mod:`.stratified` gives it few places. At most eight candidates are stored; the one with the fewest
segments is dropped first.

Weights decay (see :mod:`.uniform`), and a stratum whose weight has decayed to nothing is removed. Memory: 24 centres of
3 numbers per channel. Time: one distance to each of them per segment.
"""

from dataclasses import dataclass

import numpy as np

from edge_agent.reservoir.features import Numbers, distance, scale_of

MOST_STRATA = 16
_MOST_CANDIDATES = 8
_NEAR = 1.0
"""A root mean square over channels: that of all channels e times as strong, or shifted by half their scale."""
_PROOF_BLOCKS, _PROOF_STRETCHES, _PROOF_IN_ONE_BLOCK = 2, 3, 8
_SLOWEST = 0.01
"""A centre is the mean of its members, or of about the last hundred if it has more, since regimes drift slowly."""
_FORGOTTEN = 0.5


@dataclass(slots=True, eq=False)
class Stratum:
    """A regime.

    Attributes:
        number: its identity; never reused.
        centre: ``[3, channels]``, the mean of :func:`.features.describe` of its members.
        weight: number of segments, older ones counting less.
        met: number of segments.
        blocks: number of blocks of time with such segments.
        last_block: the latest of these blocks.
    """

    number: int
    centre: Numbers
    weight: float
    met: int
    blocks: int
    last_block: int

    @property
    def proven(self) -> bool:
        """Whether it is a regime, not a single event."""
        again = self.blocks >= _PROOF_BLOCKS and self.met >= _PROOF_STRETCHES
        return again or self.met >= _PROOF_IN_ONE_BLOCK

    def join(self, described: Numbers, block: int) -> None:
        """Count one more segment."""
        self.weight += 1.0
        self.met += 1
        self.blocks += block != self.last_block
        self.last_block = block
        self.centre += (described - self.centre) * max(1 / self.met, _SLOWEST)

    def absorb(self, other: "Stratum") -> None:
        """Merge ``other`` into this one."""
        share = other.weight / (self.weight + other.weight)
        self.centre += (other.centre - self.centre) * share
        self.weight += other.weight
        self.met += other.met
        self.blocks += other.blocks
        self.last_block = max(self.last_block, other.last_block)


class Strata:
    """The known regimes and the candidates."""

    def __init__(self, decay: float) -> None:
        """Start empty; ``decay``: the factor of a weight from one segment to the next."""
        self._decay = decay
        self.known: list[Stratum] = []
        self.candidates: list[Stratum] = []
        self.next_number = 0
        self.scale: Numbers = np.ones(1)
        """The scale of each channel; set by the owner from all stored segments, at first from the first segment."""
        self.changed = False
        """Whether strata came, went or merged since this was last set to False."""

    def assign(self, described: Numbers, block: int) -> Stratum:
        """Count a segment, and return the stratum that it counts for."""
        for stratum in (*self.known, *self.candidates):
            stratum.weight *= self._decay
        self._forget()
        if not self.known:
            self.scale = scale_of(described[None])
            self.known.append(self._found(described, block))
            self.changed = True
            return self.known[0]
        everyone = [*self.known, *self.candidates]
        distances = self._distances(described, everyone)
        nearest = int(distances.argmin())
        if distances[nearest] > self._radius():
            self._remember(self._found(described, block))
        else:
            everyone[nearest].join(described, block)
            if everyone[nearest] in self.candidates and everyone[nearest].proven:
                return self._promote(everyone[nearest])
        return self.known[int(distances[: len(self.known)].argmin())]

    def nearest(self, described: Numbers) -> list[int]:
        """Return, for each of ``[n, 3, channels]``, the index in ``known`` of the nearest stratum."""
        indices: list[int] = self._distances(described[:, None], self.known).argmin(axis=1).tolist()
        return indices

    def _found(self, described: Numbers, block: int) -> Stratum:
        self.next_number += 1
        return Stratum(self.next_number - 1, described.copy(), 1.0, 1, 1, block)

    def _remember(self, candidate: Stratum) -> None:
        if len(self.candidates) == _MOST_CANDIDATES:
            self.candidates.remove(min(self.candidates, key=lambda one: (one.met, one.last_block)))
        self.candidates.append(candidate)

    def _promote(self, candidate: Stratum) -> Stratum:
        self.candidates.remove(candidate)
        self.known.append(candidate)
        self.changed = True
        if len(self.known) <= MOST_STRATA:
            return candidate
        one, other, _ = self._closest()
        self.known.remove(other)
        one.absorb(other)
        return one if other is candidate else candidate

    def _forget(self) -> None:
        kept = [one for one in self.known if one.weight >= _FORGOTTEN]
        if kept and len(kept) < len(self.known):
            self.known, self.changed = kept, True
        self.candidates = [one for one in self.candidates if one.weight >= _FORGOTTEN]

    def _radius(self) -> float:
        """Return the distance that is near enough: a constant, but once full at least the least distance of strata."""
        return _NEAR if len(self.known) < MOST_STRATA else max(_NEAR, self._closest()[2])

    def _closest(self) -> tuple[Stratum, Stratum, float]:
        centres = np.stack([one.centre for one in self.known])
        apart = self._distances(centres[:, None], self.known)
        np.fill_diagonal(apart, np.inf)
        first, second = divmod(int(apart.argmin()), len(apart))
        return self.known[first], self.known[second], float(apart[first, second])

    def _distances(self, described: Numbers, strata: list[Stratum]) -> Numbers:
        return distance(described, np.stack([one.centre for one in strata]), self.scale)
