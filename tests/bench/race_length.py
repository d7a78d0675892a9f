"""How many processes a race takes, and how often it chooses the wrong one.

    python tests/bench/race_length.py [--repeats 2000]

Two candidates: the faster one has the larger file, so it is best where it is faster by more than a tie. Process ratios
are normal; *away* is how far their true ratios lie from a tie's edge. *Fixed*: raced until the standard errors are
small. *Decided*: raced no further than it takes until one is best in nearly every process
(:func:`edge_agent.worker.measure.race.wins`). Prints a table, asserts nothing.
"""

import argparse
import sys
from pathlib import Path
from statistics import mean, median

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from edge_agent.worker.measure.race import EARLIEST, FEWEST, MOST, standard_error, wins  # after the path above
from edge_agent.worker.search.contest import SAME_TIME

TIE = 1.0 + SAME_TIME
ERROR = 0.25 * SAME_TIME
"""The standard error at which a race ends."""
SPREADS, AWAY = (0.005, 0.01, 0.02, 0.03), (0.005, 0.015, 0.03, 0.06)


def raced(draws: np.ndarray, *, decided: bool) -> tuple[bool, int]:
    """Whether the faster one was chosen, and after how many processes; ``draws``: candidate x process."""
    fast, slow = draws.tolist()
    for count in range(EARLIEST, MOST + 1):
        best = median(slow[:count]) / median(fast[:count]) > TIE
        if count >= FEWEST and max(standard_error(fast[:count]), standard_error(slow[:count])) <= ERROR:
            return best, count
        won = sum((b / a > TIE) == best for a, b in zip(fast[:count], slow[:count], strict=True))
        if decided and wins(won, count):
            return best, count
    return best, MOST


def simulated(spread: float, away: float, *, decided: bool, repeats: int) -> tuple[float, float]:
    """The share of races that choose the wrong one, and their processes on average."""
    random = np.random.default_rng([round(1000 * spread), round(1000 * away)])
    true = np.array([[0.5], [0.5 * (TIE + away)]])
    ends = [raced(true * random.normal(1.0, spread, (2, MOST)), decided=decided) for _ in range(repeats)]
    return mean(not best for best, _ in ends), mean(count for _, count in ends)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="How many processes a race takes.")
    parser.add_argument("--repeats", type=int, default=2000)
    args = parser.parse_args()
    print("| spread | away | fixed: wrong, processes | decided: wrong, processes |", "|--:|--:|---|---|", sep="\n")
    for spread in SPREADS:
        for away in AWAY:
            found = [simulated(spread, away, decided=one, repeats=args.repeats) for one in (False, True)]
            cells = " | ".join(f"{wrong:.1%}, {count:.1f}" for wrong, count in found)
            print(f"| {spread:.1%} | {away:.1%} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
