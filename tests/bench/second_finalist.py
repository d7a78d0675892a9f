"""How often a job ends accepted with one finalist and with two, of candidates that look alike in the search.

    python tests/bench/second_finalist.py [--repeats 20000]

Two candidates: their true shares of disagreeing windows are drawn for each of themselves (log-uniform from 0.3 to 8 %),
and their errors in a window are correlated (normal copula). Of the draws in which both disagree in the same number of
search windows, the share that the held-out windows prove: the first alone at 95 %, and at least one of both at 97.5 %
each, beside what :mod:`edge_agent.worker.search.freezing` foretells. Prints a table, asserts nothing.
"""

import argparse
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from edge_agent.quant.bounds import CONFIDENCE, allowed_failures, chance_of_proof  # after the path above
from edge_agent.worker.search.freezing import SHARED_CONFIDENCE, either

LIMIT = 0.95
SETS = ((40, 200, 0), (50, 250, 1), (150, 300, 1), (150, 300, 2))
"""Search windows, held-out windows, and how many of the former disagree."""
CORRELATIONS = (0.0, 0.5, 0.8)


def counts(search: int, heldout: int, correlation: float, repeats: int, seed: int) -> np.ndarray:
    """``[repeats, 2, 2]``: of each candidate, the search and held-out windows that disagree."""
    random = np.random.default_rng(seed)
    shares = np.exp(random.uniform(np.log(0.003), np.log(0.08), (repeats, 2)))
    limits = np.vectorize(NormalDist().inv_cdf)(1.0 - shares)
    found = np.empty((repeats, 2, 2), np.int64)
    for one in range(repeats):
        common, own = random.standard_normal(search + heldout), random.standard_normal((2, search + heldout))
        wrong = np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * own > limits[one][:, None]
        found[one] = np.stack([wrong[:, :search].sum(axis=1), wrong[:, search:].sum(axis=1)], axis=1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20_000)
    repeats = parser.parse_args().repeats
    print("| search, held-out windows | wrong in the search set | correlated by | draws | alone | two | foretold |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for search, heldout, wrong in SETS:
        alone = allowed_failures(heldout, LIMIT, confidence=CONFIDENCE)
        shared = allowed_failures(heldout, LIMIT, confidence=SHARED_CONFIDENCE)
        chances = [chance_of_proof(wrong, search, heldout, LIMIT, level) for level in (CONFIDENCE, SHARED_CONFIDENCE)]
        for correlation in CORRELATIONS:
            found = counts(search, heldout, correlation, repeats, seed=0)
            alike = found[(found[:, :, 0] == wrong).all(axis=1), :, 1]
            cells = [np.mean(alike[:, 0] <= alone), np.mean(alike.min(axis=1) <= shared)]
            foretold = f"{chances[0]:.0%}, {either(chances[1], chances[1]):.0%}"
            told = " | ".join(f"{100 * cell:.0f} %" for cell in cells)
            print(f"| {search}, {heldout} | {wrong} each | {correlation} | {len(alike)} | {told} | {foretold} |")


if __name__ == "__main__":
    main()
