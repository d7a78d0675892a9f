"""How likely held-out windows will prove the agreement that search windows show, for each of many candidates. Pure.

The best of many on the same windows was lucky as well. So a candidate's chance is also computed with what all the
others show: the shares in which they truly disagree are taken to come from one distribution, which is estimated from
all their counts, and each candidate's own count only adds to that. (Empirical Bayes: Robbins 1956, "An empirical Bayes
approach to statistics"; the mixing distribution by EM on a grid, Laird 1978, "Nonparametric maximum likelihood
estimation of a mixing distribution", JASA 73. Few steps keep it smooth.) One with 0 of 150 among many with 4 to 6 is
then as suspect as they are, and one with 0 among others with 0 to 2 is not. The smaller chance counts: with the others,
or by itself.

Measured over simulated searches (5 and 16 candidates, 150 search and 300 held-out windows, candidates independent or
correlated by 0.7, faster ones as good or worse): where all truly disagree in 3 %, 45 % of the chosen stand before the
held-out set; each by itself foretold 85 %, with the others 62 %. Where the best disagree in 0.2 to 1 %, both foretell
96 %, and 83 to 100 % stand, 94 to 100 % where a second finalist may follow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.bounds import CONFIDENCE, allowed_failures, chance_of_proof, regularised_beta

_SHARES = np.concatenate([np.geomspace(5e-4, 0.2, 40), np.linspace(0.25, 0.999, 8)])
"""Shares of windows that may truly disagree: the grid of the mixing distribution."""
_STEPS = 20


@dataclass(frozen=True, slots=True)
class Prospect:
    """What the search set says of one candidate's agreement, and what the held-out set will have to prove.

    Attributes:
        disagreements: search windows in which int8 disagrees.
        windows: of the search set.
        effect: how many windows count as one, here and, for all that is known, in the held-out set.
        heldout: windows of the held-out set.
        limit: the agreement to prove, below 1.
    """

    disagreements: int
    windows: int
    effect: float
    heldout: int
    limit: float

    def chance(self, confidence: float = CONFIDENCE) -> float:
        """That ``heldout`` windows prove the limit at ``confidence``, by this candidate alone.

        1 at 95 % if none disagreed: nothing better can be shown on these windows.
        """
        return self._told(self._predicted(self.disagreements, confidence))

    def among(self, weights: NDArray[np.float64], confidence: float) -> float:
        """The same where the true share is distributed over the grid with ``weights``."""
        return min(self.chance(confidence), self._told(float(weights @ self._passing(confidence))))

    def log_likelihoods(self) -> NDArray[np.float64]:
        """Of each share of the grid, by what the search windows show."""
        seen, windows = self.disagreements / self.effect, self.windows / self.effect
        likelihoods: NDArray[np.float64] = seen * np.log(_SHARES) + (windows - seen) * np.log1p(-_SHARES)
        return likelihoods

    def _told(self, chance: float) -> float:
        best = self._predicted(0, CONFIDENCE)
        if self.disagreements or not best:
            return chance if self.disagreements else 1.0
        return min(1.0, chance / best)

    def _predicted(self, disagreements: int, confidence: float) -> float:
        seen, windows = disagreements / self.effect, self.windows / self.effect
        return _predicted(seen, windows, self._more, self.limit, confidence)

    def _passing(self, confidence: float) -> NDArray[np.float64]:
        return _passing(self._more, self.limit, confidence)

    @property
    def _more(self) -> int:
        return round(self.heldout / self.effect)


def chances(prospects: Sequence[Prospect], confidence: float = CONFIDENCE) -> list[float]:
    """That each stands before the held-out set, as one of all of them."""
    if not prospects:
        return []
    logs = np.array([one.log_likelihoods() for one in prospects])
    likelihoods = np.exp(logs - logs.max(axis=1, keepdims=True))
    mixing = np.full(len(_SHARES), 1.0 / len(_SHARES))
    for _ in range(_STEPS):
        mixing = _posteriors(likelihoods, mixing).mean(axis=0)
    return [
        one.among(weights, confidence) for one, weights in zip(prospects, _posteriors(likelihoods, mixing), strict=True)
    ]


def _posteriors(likelihoods: NDArray[np.float64], mixing: NDArray[np.float64]) -> NDArray[np.float64]:
    joint = likelihoods * mixing
    posteriors: NDArray[np.float64] = joint / joint.sum(axis=1, keepdims=True)
    return posteriors


@cache
def _predicted(seen: float, windows: float, more: int, limit: float, confidence: float) -> float:
    return chance_of_proof(seen, windows, more, limit, confidence)


@cache
def _passing(more: int, limit: float, confidence: float) -> NDArray[np.float64]:
    """The chance of a proof by ``more`` windows for each share of the grid."""
    allowed = allowed_failures(more, limit, confidence=confidence)
    if allowed < 0:
        return np.zeros(len(_SHARES))
    if allowed >= more:
        return np.ones(len(_SHARES))
    return np.array([1.0 - regularised_beta(share, allowed + 1.0, more - allowed) for share in _SHARES.tolist()])
