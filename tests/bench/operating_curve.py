"""How the latency gate ends, by how fast int8 really is and how much processes differ.

    python tests/bench/operating_curve.py [--limit 1.02] [--draws 4000] [--confidence 0.975]

Process ratios are normal around the true one, with a spread (standard deviation) of 1, 2 and 4 %; the decisions are
those of :func:`edge_agent.worker.measure.latency.judge`, asked after each process as a comparison asks it. The limit is
the default one, its margin included. Prints a table, asserts nothing.
"""

import argparse
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from edge_agent.quant.limits import latency_limit  # noqa: E402  # after the path above
from edge_agent.wire.manifest import Gates  # noqa: E402
from edge_agent.worker.measure.latency import Decision, Observation, judge  # noqa: E402

TRUE_RATIOS = (0.95, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.1)
SPREADS = (0.01, 0.02, 0.04)
PROCESSES = 24
"""The most that a comparison starts."""


def end(ratios: list[float], ask: Any) -> Decision:
    """What is decided of processes with these ratios, in this order; ``ask`` is ``judge`` with its limit."""
    seen = [Observation([1.0], [1.0], [ratio], [1.0]) for ratio in ratios]
    for count in range(1, len(seen) + 1):
        decision = ask(seen[:count], last=count == len(seen))
        if decision is not None:
            return Decision(decision)
    raise AssertionError("the last process decides")


def shares(true: float, spread: float, ask: Any, *, draws: int) -> str:
    """A cell of the table: accepted, refused and inconclusive, in percent."""
    random = np.random.default_rng([round(1000 * true), round(1000 * spread)])
    found = Counter(end(row, ask) for row in random.normal(true, spread, (draws, PROCESSES)).tolist())
    ends = (Decision.ACCEPTED, Decision.SLOWER, Decision.INCONCLUSIVE)
    return ", ".join(f"{100 * found[one] / draws:.1f}" for one in ends)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="How the latency gate ends.")
    parser.add_argument("--limit", type=float, default=latency_limit(Gates()))
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--confidence", type=float, help="of the bounds, where judge takes one")
    options = parser.parse_args()
    more = {} if options.confidence is None else {"confidence": options.confidence}
    ask = partial(judge, limit=options.limit, **more)
    print("| int8 takes | " + " | ".join(f"spread {100 * spread:g} %" for spread in SPREADS) + " |")
    print("|--:" + "|---" * len(SPREADS) + "|")
    for true in TRUE_RATIOS:
        cells = [shares(true, spread, ask, draws=options.draws) for spread in SPREADS]
        print(f"| {true:.2f} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
