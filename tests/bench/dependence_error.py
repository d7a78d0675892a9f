"""How often the bound of the agreement errs where windows depend on each other: simulated captures of 300 windows.

    python tests/bench/dependence_error.py [--captures 400]

Trouble drifts, comes with the recording or lasts for a situation; int8 disagrees where it is worst, in 5 % of all
windows (accepting is an error) or in 1 % (refusing is one). What the verdict is told beside that is how near each
window came to a disagreement: the trouble itself, the trouble in noise, in steps as integer outputs have them, or
nothing that has to do with it. Prints a table, asserts nothing. Rules:

* counted: every window is independent;
* divided: counts over the variance ratio of the stand-ins or of the disagreements, whichever is larger, widened for few
  blocks (Korn & Graubard 1998);
* ours: :mod:`edge_agent.quant.dependence`.
"""

import argparse
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import NormalDist
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from edge_agent.quant import dependence  # after the path above
from edge_agent.quant.bounds import CONFIDENCE, agreement_lower, student_quantile
from edge_agent.quant.limits import MIN_AGREEMENT

WINDOWS = 300
BAD, GOOD = 0.0502, 0.01

Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Capture:
    """What a verdict sees: ``trouble`` decides on disagreement, ``nearness`` is what is known of it."""

    trouble: Series
    nearness: Series
    groups: list[int] | None = None
    in_time: bool = True


Scenario = Callable[[np.random.Generator], Capture]


def drifting(correlation: float, shown: str, random: np.random.Generator, rounds: int = 1) -> Capture:
    """An AR(1) series, in one piece or in rounds that are far apart."""
    trouble = np.empty(WINDOWS)
    for index, step in enumerate(random.normal(size=WINDOWS) * math.sqrt(1 - correlation**2)):
        begins = index % (WINDOWS // rounds) == 0
        trouble[index] = random.normal() if begins else correlation * trouble[index - 1] + step
    return Capture(trouble, _shown(trouble, shown, random), _recordings(rounds) if rounds > 1 else None)


def of_recordings(count: int, alike: float, shown: str, random: np.random.Generator) -> Capture:
    """Recordings of an unknown order, each with a trouble of its own."""
    groups = _recordings(count)
    own = random.normal(size=count)[groups]
    trouble = math.sqrt(alike) * own + math.sqrt(1 - alike) * random.normal(size=WINDOWS)
    return Capture(trouble, _shown(trouble, shown, random), groups, in_time=False)


def situations(length: int, random: np.random.Generator) -> Capture:
    """Situations that last ``length`` windows, all good or all bad."""
    levels = np.repeat(random.normal(size=WINDOWS // length + 2), length)
    trouble = levels[int(random.integers(length)) :][:WINDOWS]
    return Capture(trouble, trouble)


def misleading(scenario: Scenario, random: np.random.Generator) -> Capture:
    """Disagreements are independent, and only what is told of them depends on time or recording."""
    taken = scenario(random)
    return Capture(random.normal(size=WINDOWS), taken.nearness, taken.groups, taken.in_time)


def _shown(trouble: Series, shown: str, random: np.random.Generator) -> Series:
    match shown:
        case "noise":
            return trouble + 2.0 * random.normal(size=len(trouble))
        case "steps":
            return np.maximum(0.0, np.floor(trouble / 0.8))
        case "nothing":
            return random.normal(size=len(trouble))
    return trouble


def _recordings(count: int) -> list[int]:
    return [index * count // WINDOWS for index in range(WINDOWS)]


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "independent": partial(drifting, 0.0, "all"),
        "correlation 0.3": partial(drifting, 0.3, "all"),
        "correlation 0.5": partial(drifting, 0.5, "all"),
        "correlation 0.8": partial(drifting, 0.8, "all"),
        "correlation 0.8, nearness in noise": partial(drifting, 0.8, "noise"),
        "correlation 0.8, nearness in steps": partial(drifting, 0.8, "steps"),
        "correlation 0.8, nearness tells nothing": partial(drifting, 0.8, "nothing"),
        "twelve rounds, correlation 0.5": partial(drifting, 0.5, "all", rounds=12),
        "twelve rounds, correlation 0.8": partial(drifting, 0.8, "all", rounds=12),
        "six recordings, alike 0.3": partial(of_recordings, 6, 0.3, "all"),
        "twelve recordings, alike 0.1": partial(of_recordings, 12, 0.1, "all"),
        "twelve recordings, alike 0.3": partial(of_recordings, 12, 0.3, "all"),
        "twelve recordings, alike 0.3, nearness in steps": partial(of_recordings, 12, 0.3, "steps"),
        "thirty recordings, alike 0.3": partial(of_recordings, 30, 0.3, "all"),
        "sixty recordings, alike 0.5": partial(of_recordings, 60, 0.5, "all"),
        "situations of 10 windows": partial(situations, 10),
        "situations of 30 windows": partial(situations, 30),
        "independent, nearness of correlation 0.8": partial(misleading, partial(drifting, 0.8, "all")),
        "independent, nearness of twelve recordings, alike 0.3": partial(
            misleading, partial(of_recordings, 12, 0.3, "all")
        ),
    }
)


def counted(_wrong: NDArray[np.bool_], _capture: Capture) -> float:
    """Every window counts."""
    return 1.0


def divided(wrong: NDArray[np.bool_], capture: Capture) -> float:
    """The variance ratio, widened for few blocks."""
    fewest = dependence._FEWEST_BLOCKS if capture.in_time else 2
    blocks = dependence._blocks(WINDOWS, capture.groups, fewest=fewest)
    flags = wrong.astype(np.float64)
    missing = dependence._with_stand_ins(flags, capture.nearness, max(15, int(wrong.sum())))
    ratio = max(dependence._variance_ratio(flags, blocks), dependence._variance_ratio(missing, blocks))
    widening = student_quantile(CONFIDENCE, int(blocks.max())) / NormalDist().inv_cdf(CONFIDENCE)
    return min(float(WINDOWS), max(1.0, ratio * widening**2))


def ours(wrong: NDArray[np.bool_], capture: Capture) -> float:
    """What the verdict uses."""
    return dependence.design_effect(wrong.tolist(), capture.nearness.tolist(), capture.groups, in_time=capture.in_time)


RULES = MappingProxyType({"counted": counted, "divided": divided, "ours": ours})


def accepts(scenario: Scenario, share: float, captures: int) -> dict[str, float]:
    """Rule → share of captures that are accepted, where this share of all windows disagrees."""
    random, limit = np.random.default_rng(7), NormalDist().inv_cdf(1 - share)
    accepted = dict.fromkeys(RULES, 0)
    for _ in range(captures):
        capture = scenario(random)
        wrong = capture.trouble > limit
        for name, rule in RULES.items():
            effect = round(rule(wrong, capture), 4)
            accepted[name] += _proved(int(wrong.sum()) / effect, WINDOWS / effect) >= MIN_AGREEMENT
    return {name: count / captures for name, count in accepted.items()}


@cache
def _proved(wrong: float, windows: float) -> float:
    return agreement_lower(wrong, windows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Errors of the bound where windows depend on each other.")
    parser.add_argument("--captures", type=int, default=400)
    captures = parser.parse_args().captures
    print(
        f"| windows | {' | '.join(f'{what}: {name}' for what in ('bad accepted', 'good refused') for name in RULES)} |"
    )
    print("|---|" + "--:|" * (2 * len(RULES)))
    for name, scenario in SCENARIOS.items():
        bad, good = accepts(scenario, BAD, captures), accepts(scenario, GOOD, captures)
        cells = [*(f"{bad[rule]:.1%}" for rule in RULES), *(f"{1 - good[rule]:.1%}" for rule in RULES)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
