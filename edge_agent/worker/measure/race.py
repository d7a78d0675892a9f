"""A race: several candidates beside float in the same processes, until it is clear what each one's speed is.

It chooses and proves nothing. Whoever wins on the same measurements was lucky as well, so what is won here is proved on
fresh ones (:func:`edge_agent.worker.measure.comparison.compare`).
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
"""Processes."""
EARLIEST = 4
"""Processes, where whoever asks needs to know no more."""
ROUNDS = 100
"""Calls of each model in one process, as far as time allows: what more of them would tell, processes differ by more."""
LONGEST_S = 30.0
"""After this no further process is started, once there are ``FEWEST``."""
_WELL_BELOW = 0.25
"""Of the margin that a ratio's standard error has to come down to."""
_NORMAL_MAD = 1.4826
"""A normal distribution's standard deviation, in median absolute deviations."""
_MEDIAN_EFFICIENCY = 1.2533
"""Standard error of a normal sample's median, as a multiple of the mean's: sqrt(pi / 2)."""


@dataclass(frozen=True, slots=True)
class Raced:
    """How one candidate ran.

    Attributes:
        times: of single calls, over all processes.
        ratio: its time as a multiple of float's at p50, the median over processes.
        error: the standard error of that ratio, as a fraction of it.
        ratios: of each process.
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
    """Time ``targets`` until it is decided, or the standard error of every ratio well below ``margin``, or time is up.

    A process holds float twice, as a proof does, and every target; where they do not fit into ``most_bytes`` (0: no
    matter), processes with float and some of the targets take turns. Every call that is timed comes after one that is
    not, so none finds the caches full of another's weights.

    Args:
        reference: the fastest float.
        targets: the candidates.
        feeds: one row for all of them (:func:`edge_agent.worker.measure.feeds.write_feeds`).
        margin: the fraction of a ratio that is to be told apart.
        most_bytes: as of :func:`edge_agent.worker.measure.comparison.screen`.
        decided: asked from :data:`EARLIEST` processes on whether what is known by then is enough.
        on_process: called with the number of processes done, after each.

    Raises:
        ModelError, LimitError, StageError: as :func:`edge_agent.worker.measure.comparison.compare`.
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
            probes.expect(max(EARLIEST - len(done), 2))  # where one follows, another mostly does
            found = [_raced([others[place] for others in done], mine) for place, mine in enumerate(ratios)]
            clear = max(one.error for one in found) <= _WELL_BELOW * margin
            enough = clear or len(done) >= MOST or time.monotonic() - begun >= LONGEST_S
            if (len(done) >= FEWEST and enough) or (len(done) >= EARLIEST and decided(found)):
                return found
    raise AssertionError("runs never end")


def _raced(runs: Sequence[Sequence[float]], ratios: Sequence[float]) -> Raced:
    """What the calls (ms) and the ratios of one candidate's processes say."""
    return Raced(
        percentiles([call for run in runs for call in run]),
        median(ratios),
        standard_error(ratios),
        tuple(ratios),
    )


def expected_s(reference_ms: float, targets: int) -> float:
    """Seconds of calls in the fewest processes of a race of ``targets`` that are as slow as their reference."""
    return FEWEST * (2 + targets) * seconds_of(reference_ms, ROUNDS)


def wins(won: int, processes: int) -> bool:
    """Whether one that is best in so many processes is best: a sign test, passed by the fewest where they all agree."""
    more = sum(math.comb(processes, count) for count in range(won, processes + 1))
    return more << EARLIEST <= 1 << processes


def standard_error(ratios: Sequence[float]) -> float:
    """Of the median of ``ratios``, as a fraction of it; a few that are far off count no more than others."""
    middle = median(ratios)
    spread = _NORMAL_MAD * median(abs(one - middle) for one in ratios)
    return _MEDIAN_EFFICIENCY * spread / math.sqrt(len(ratios)) / middle
