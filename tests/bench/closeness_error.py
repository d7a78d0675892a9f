"""What it costs to order candidates by how they look on the search set: by their counts, and by what they may lose.

    python tests/bench/closeness_error.py [DIR] [--only a,b] [--draws 300]

On the models of ``judge_error.py``. Of every two candidates that a recipe makes and that agree on 90 % of all rows, one
looks closer on a draw of search windows (:mod:`edge_agent.worker.search.closeness`; at the same number half of the
times); where in truth the other one is, that costs the points between them. Prints a table of the means over all pairs,
asserts nothing.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

if __name__ == "__main__":
    import sys

    ROOT = Path(__file__).parent.parent.parent
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench.judge_compare import compared
from bench.judge_error import demo, of_folder
from bench.judge_rules import Compared

from edge_agent.worker.search.closeness import Shown, expected_losses

WINDOWS = (66, 150, 300)
_LEAST = 0.9
_RECIPES = ("static", "dynamic", "uniform")
HEAD = "| model | candidates | windows | points by counts | points by expected losses |\n|---|--:|--:|--:|--:|"


def lines(name: str, found: Mapping[str, Compared], draws: int, seed: int = 0) -> Iterator[str]:
    """A line of the table for each number of windows; none of a model with a single candidate to order."""
    recipes = [one for key, one in found.items() if key.startswith(_RECIPES) and one.agreed.mean() >= _LEAST]
    if len(recipes) < 2:  # nothing to order
        return
    rng = np.random.default_rng(seed)
    truth = [1.0 - float(one.agreed.mean()) for one in recipes]
    for windows in WINDOWS:
        costs = np.zeros(2)
        for _ in range(draws):
            shown = [_shown(one, rng.choice(len(one.agreed), windows, replace=False)) for one in recipes]
            costs += [_cost(truth, [one.wrong for one in shown]), _cost(truth, expected_losses(shown))]
        by_counts, ours = 100 * costs / draws
        yield f"| {name} | {len(recipes)} | {windows} | {by_counts:.3f} | {ours:.3f} |"


def _shown(one: Compared, rows: NDArray[np.intp]) -> Shown:
    error = float(np.sqrt(one.errors[rows].sum() / one.signals[rows].sum()))
    return Shown(int((~one.agreed[rows]).sum()), len(rows), error)


def _cost(truth: list[float], told: list[float] | list[int]) -> float:
    """The mean over pairs of what the order of ``told`` loses against that of ``truth``."""
    costs = [
        abs(truth[a] - truth[b]) * (0.5 if told[a] == told[b] else (told[a] < told[b]) != (truth[a] < truth[b]))
        for a, b in combinations(range(len(truth)), 2)
    ]
    return sum(costs) / len(costs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What ordering candidates by the search set costs.")
    parser.add_argument("folder", nargs="?", type=Path, help="models as for judge_error.py")
    parser.add_argument("--only", default="", help="these models, with commas between")
    parser.add_argument("--draws", type=int, default=300)
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))
    print(HEAD)
    for subject in (demo(), *(of_folder(options.folder) if options.folder else ())):
        if only and subject.name not in only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = dict(compared(subject, Path(folder)))
        print(*lines(subject.name, found, options.draws), sep="\n", flush=True)


if __name__ == "__main__":
    main()
