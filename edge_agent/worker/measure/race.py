"""A race: several candidates run beside float in the same processes until the speed of each is clear.

A race chooses a candidate and proves nothing. Its winner was also lucky in these measurements, so the proof uses fresh
ones (:func:`edge_agent.worker.measure.comparison.compare`).
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edge_agent.worker.measure.asking import Probes
from edge_agent.worker.measure.latency import Percentiles, percentiles
from edge_agent.worker.measure.question import Served
from edge_agent.worker.measure.side_by_side import runs, seconds_of

FEWEST, MOST = 6, 15
"""The smallest and the largest number of processes."""
EARLIEST = 4
"""The smallest number of processes if the caller's question is decided by then."""
ROUNDS = 100
"""Calls of each model in one process, as far as time allows. Processes differ by more than further calls would show."""
LONGEST_S = 30.0
"""A race starts no further process after this, once there are ``FEWEST``."""
_WELL_BELOW = 0.25
"""A ratio's standard error must come down to this fraction of the margin."""
_NORMAL_MAD = 1.4826
"""A normal distribution's standard deviation, in median absolute deviations."""
_MEDIAN_EFFICIENCY = 1.2533
"""Standard error of a normal sample's median, as a multiple of the mean's: sqrt(pi / 2)."""


@dataclass(frozen=True, slots=True)
class Raced:
    """The result of one candidate.

    Attributes:
        times: percentiles of single calls, over all processes.
        ratio: the candidate's time as a multiple of float's at p50; the median over processes.
        error: the standard error of that ratio, as a fraction of it.
        ratios: the ratio in each process.
    """

    times: Percentiles
    ratio: float
    error: float
    ratios: tuple[float, ...] = ()


def race(
    reference: Served,
    targets: Sequence[Served],
    feeds: Path,
    *,
    margin: float,
    most_bytes: int = 0,
    decided: Callable[[Sequence[Raced]], bool] = lambda _found: False,
    on_process: Callable[[int], None] = lambda _count: None,
) -> list[Raced]:
    """Time ``targets`` until ``decided`` says so, every ratio's standard error is well below ``margin``, or time is up.

    A process holds every target, and float twice, as a proof does. If they do not fit into ``most_bytes`` (0: no
    limit), processes that hold float and some of the targets take turns. An untimed call precedes each timed call, so
    that no model finds the caches full of another's weights.

    Args:
        reference: the fastest float.
        targets: the candidates.
        feeds: one row for all of them (:func:`edge_agent.worker.measure.feeds.write_feeds`).
        margin: the fraction of a ratio that the race must resolve.
        most_bytes: as in :func:`edge_agent.worker.measure.comparison.screen`.
        decided: returns whether the results so far are enough; called from :data:`EARLIEST` processes on.
        on_process: called after each process with the number of processes done.

    Raises:
        ModelError, LimitError, StageError: as in :func:`edge_agent.worker.measure.comparison.compare`.
    """
    floats = [reference, reference]
    done: list[list[list[float]]] = []
    ratios: list[list[float]] = [[] for _ in targets]
    begun = time.monotonic()
    models = [*floats, *targets]
    with Probes() as probes:
        probes.expect(EARLIEST)
        for run in runs(models, feeds, probes.ask, rounds=ROUNDS, references=len(floats), most_bytes=most_bytes):
            once, again, *others = run.times
            done.append(others)
            for mine, calls in zip(ratios, others, strict=True):
                mine.append(median(calls) / median([*once, *again]))
            on_process(len(done))
            probes.expect(max(EARLIEST - len(done), 2))  # one more process is mostly followed by another
            found = [_raced([others[place] for others in done], mine) for place, mine in enumerate(ratios)]
            clear = max(one.error for one in found) <= _WELL_BELOW * margin
            enough = clear or len(done) >= MOST or time.monotonic() - begun >= LONGEST_S
            if (len(done) >= FEWEST and enough) or (len(done) >= EARLIEST and decided(found)):
                return found
    raise AssertionError("runs never end")


def _raced(runs: Sequence[Sequence[float]], ratios: Sequence[float]) -> Raced:
    """The result from the calls (ms) and the ratios of one candidate's processes."""
    return Raced(
        percentiles([call for run in runs for call in run]),
        median(ratios),
        standard_error(ratios),
        tuple(ratios),
    )


def expected_s(reference_ms: float, targets: int) -> float:
    """The seconds of calls in the shortest race of ``targets`` candidates that are as slow as their reference."""
    return FEWEST * (2 + targets) * seconds_of(reference_ms, ROUNDS)


def wins(won: int, processes: int) -> bool:
    """Whether a candidate that is best in ``won`` of ``processes`` is best: a sign test that 4 of 4 pass."""
    more = sum(math.comb(processes, count) for count in range(won, processes + 1))
    return more << EARLIEST <= 1 << processes


def standard_error(ratios: Sequence[float]) -> float:
    """The standard error of the median of ``ratios``, as a fraction of the median; robust against outliers."""
    middle = median(ratios)
    spread = _NORMAL_MAD * median(abs(one - middle) for one in ratios)
    return _MEDIAN_EFFICIENCY * spread / math.sqrt(len(ratios)) / middle
