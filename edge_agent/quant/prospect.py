"""The chance that held-out windows prove what search windows show, for each of many candidates. Pure.

The proof concerns agreement with float, or a drop in accuracy where labels decide.

The best of many candidates on the same windows was also lucky. So a candidate's chance is also computed from the
results of all candidates: their true shares of disagreement are assumed to follow one distribution, which is estimated
from all counts, and each candidate's own count only updates it. (Empirical Bayes: Robbins 1956, "An empirical Bayes
approach to statistics"; the mixing distribution by EM on a grid, Laird 1978, "Nonparametric maximum likelihood
estimation of a mixing distribution", JASA 73. Few steps keep it smooth.) A candidate with 0 of 150 among many with 4 to
6 is then as doubtful as they are, and one with 0 among others with 0 to 2 is not. The smaller of the two chances
counts.

Measured over simulated searches (5 and 16 candidates, 150 search and 300 held-out windows, candidates independent or
correlated by 0.7, faster ones as good or worse): if all truly disagree in 3 %, 45 % of the chosen candidates pass the
held-out set; the individual chances predicted 85 %, the joint ones 62 %. If the best disagree in 0.2 to 1 %, both
predict 96 %, and 83 to 100 % pass, or 94 to 100 % where a second finalist may follow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.bounds import CONFIDENCE, allowed_failures, allowed_losses, chance_of_proof, regularised_beta

_SHARES = np.concatenate([np.geomspace(5e-4, 0.2, 40), np.linspace(0.25, 0.999, 8)])
"""Possible true shares of wrong windows: the grid of the mixing distribution."""
_JEFFREYS = np.gradient(_SHARES) / np.sqrt(_SHARES * (1.0 - _SHARES))
_STEPS = 20
_FAR, _FINE = 6.0, 4.0
"""Standard deviations beyond which counts are ignored, and counts evaluated per deviation: few suffice."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """A candidate's result on the search set, and what the held-out set has to prove.

    Attributes:
        wrong: search windows in which int8 disagrees; where labels decide, those that float gets right and int8 wrong.
        windows: number of search windows.
        effect: the number of windows that count as one, here and presumably in the held-out set.
        heldout: number of held-out windows.
        limit: the agreement to prove, below 1; where labels decide, the permitted drop in accuracy.
        won: where labels decide, search windows that int8 gets right and float wrong; None: agreement decides.
    """

    wrong: int
    windows: int
    effect: float
    heldout: int
    limit: float
    won: int | None = None

    def chance(self, confidence: float = CONFIDENCE) -> float:
        """The chance that ``heldout`` windows prove the limit at ``confidence``, from this candidate alone.

        It is 1 at 95 % if no window is wrong, as no better result is possible on these windows.
        """
        return self._relative(self._predicted(self.wrong, confidence))

    def among(self, weights: NDArray[np.float64], confidence: float) -> float:
        """The same chance, if the true share has the distribution ``weights`` over the grid."""
        return min(self.chance(confidence), self._relative(float(weights @ self._passing(confidence))))

    def log_likelihoods(self) -> NDArray[np.float64]:
        """The log-likelihood of each share of the grid, given the search windows."""
        return _log_likelihoods(self.wrong / self.effect, self.windows / self.effect)

    def absolute(self, chance: float) -> float:
        """A chance from :meth:`chance` as an absolute one, instead of relative to the best possible result."""
        return chance if self.wrong else chance * self._predicted(0, CONFIDENCE)

    def _relative(self, chance: float) -> float:
        best = self._predicted(0, CONFIDENCE)
        if self.wrong or not best:
            return chance if self.wrong else 1.0
        return min(1.0, chance / best)

    def _predicted(self, wrong: int, confidence: float) -> float:
        seen, windows = wrong / self.effect, self.windows / self.effect
        if self.won is None:
            return _predicted(seen, windows, self._more, self.limit, confidence)
        logs = _log_likelihoods(seen, windows)
        weights = _JEFFREYS * np.exp(logs - logs.max())
        return float(weights @ self._passing(confidence) / weights.sum())

    def _passing(self, confidence: float) -> NDArray[np.float64]:
        if self.won is None:
            return _passing(self._more, self.limit, confidence)
        windows = self.windows / self.effect
        return _keeping(self._more, self.limit, (self.won / self.effect + 0.5) / (windows + 1.0), confidence)

    @property
    def _more(self) -> int:
        return round(self.heldout / self.effect)


def _log_likelihoods(seen: float, windows: float) -> NDArray[np.float64]:
    likelihoods: NDArray[np.float64] = seen * np.log(_SHARES) + (windows - seen) * np.log1p(-_SHARES)
    return likelihoods


def chances(prospects: Sequence[Prospect], confidence: float = CONFIDENCE) -> list[float]:
    """The chance of each candidate to pass the held-out set, given all candidates."""
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
    """The chance that ``more`` windows prove an agreement, for each share of disagreement in the grid."""
    return _at_most(allowed_failures(more, limit, confidence=confidence), more)


@cache
def _keeping(more: int, limit: float, won: float, confidence: float) -> NDArray[np.float64]:
    """The chance that ``more`` windows exclude a larger drop in accuracy, for each share of losses in the grid.

    ``won``: the share of windows that int8 wins, which is uncertain but has little influence.
    """
    spread = math.sqrt(more * won * (1.0 - won))
    least, most = max(0, int(more * won - _FAR * spread)), min(more, math.ceil(more * won + _FAR * (spread + 1.0)))
    chance, total = np.zeros(len(_SHARES)), 0.0
    for count in range(least, most + 1, max(1, int(spread / _FINE))):
        log = math.lgamma(more + 1) - math.lgamma(count + 1) - math.lgamma(more - count + 1)
        likelihood = math.exp(log + count * math.log(won) + (more - count) * math.log1p(-won))
        chance += likelihood * _at_most(allowed_losses(count, more, limit, confidence), more)
        total += likelihood
    return chance / total


@cache
def _at_most(allowed: int, more: int) -> NDArray[np.float64]:
    """The chance of at most ``allowed`` of ``more``, for each share of the grid."""
    if allowed < 0:
        return np.zeros(len(_SHARES))
    if allowed >= more:
        return np.ones(len(_SHARES))
    return np.array([1.0 - regularised_beta(share, allowed + 1.0, more - allowed) for share in _SHARES.tolist()])
