"""How often a search accepts what is no faster than it may be, where several candidates lie exactly at the limit.

    python tests/bench/race_error.py [--repeats 4000] [--spread 0.01]

Process ratios are normal around the limit; the decisions are those of :func:`edge_agent.worker.measure.latency.judge`
with its own looks. *In turn*: every candidate is asked at 95 % until one is accepted. *Raced*: the fastest of a race
and, if it is not accepted, the next one, each on fresh processes at 97.5 %. *Raced, not fresh*: the same with the
race's processes as the first of the proof's. Prints a table, asserts nothing.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from edge_agent.quant.bounds import CONFIDENCE  # after the path above
from edge_agent.worker.measure.latency import Decision, Observation, judge, looks
from edge_agent.worker.measure.race import FEWEST, standard_error
from edge_agent.worker.search.freezing import SHARED_CONFIDENCE

ASKED = 2
LIMIT = 1.0


def accepted(ratios: Sequence[float], confidence: float) -> bool:
    """Whether processes with these ratios, in this order, prove the limit."""
    seen = [Observation([1.0], [1.0], [ratio], [1.0]) for ratio in ratios]
    *_, most = looks(confidence)
    for count in looks(confidence):
        decision = judge(seen[:count], LIMIT, last=count == most, confidence=confidence)
        if decision is not None:
            return decision is Decision.ACCEPTED
    return False


def in_turn(draws: np.ndarray) -> bool:
    """``draws``: candidate x process."""
    return any(accepted(one, CONFIDENCE) for one in draws)


def raced(draws: np.ndarray, *, fresh: bool = True) -> bool:
    """``draws``: candidate x process, the race's first."""
    race = draws[:, :FEWEST]
    confidence = CONFIDENCE if len(draws) == 1 else SHARED_CONFIDENCE
    order = np.argsort(np.median(race, axis=1))[:ASKED]
    for number, place in enumerate(order):
        too_slow = np.median(race[place]) > LIMIT * (1 + standard_error(race[place].tolist()))
        if number and too_slow:
            return False
        if accepted(draws[place, FEWEST if fresh else 0 :], confidence):
            return True
    return False


RULES: dict[str, Callable[[np.ndarray], bool]] = {
    "in turn": in_turn,
    "raced": raced,
    "raced, not fresh": lambda draws: raced(draws, fresh=False),
}


def error(rule: Callable[[np.ndarray], bool], candidates: int, *, repeats: int, spread: float = 0.01) -> float:
    """The share of simulated searches that accept one of ``candidates`` at the limit."""
    processes = FEWEST + looks(SHARED_CONFIDENCE)[-1]
    draws = np.random.default_rng(candidates).normal(LIMIT, spread, (repeats, candidates, processes))
    return sum(rule(one) for one in draws) / repeats


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="How often a search accepts what lies at the limit of time.")
    parser.add_argument("--repeats", type=int, default=4000)
    parser.add_argument("--spread", type=float, default=0.01)
    args = parser.parse_args()
    print(f"| candidates at the limit | {' | '.join(RULES)} |", f"|--:|{'--:|' * len(RULES)}", sep="\n")
    for candidates in (1, 2, 3, 5):
        found = (error(rule, candidates, repeats=args.repeats, spread=args.spread) for rule in RULES.values())
        print(f"| {candidates} | {' | '.join(f'{100 * one:.1f} %' for one in found)} |", flush=True)


if __name__ == "__main__":
    main()
