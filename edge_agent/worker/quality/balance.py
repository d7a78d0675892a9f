"""Checks that the three sets of a capture resemble each other. Pure: statistics of each block in, findings out.

Each block of time is compared with the others, one channel at a time:

* ``drift``: level or spread moved in one direction through the whole capture, so future data will differ again.
* ``same_burst``: nearly all movement was in one block, or each set has only one block, so ranges and verdict rest on
  one event.
* ``sets_unlike``: the held-out set leaves the range of the calibration set, or uses little of it. This check sees
  inputs only. For a refused candidate, its layers show how far activations leave their ranges
  (:mod:`edge_agent.worker.explain.layers`). For an accepted one, the verdict on the same windows has proved that this
  does no harm.

The thresholds rest on captures of recorded wrist movement and speech, counted by ``tests/bench/quality.py``: no finding
refuses a default capture there, and every injected fault is found, except a gain that grows tenfold (13 of 20).
"""

import math
from collections.abc import Sequence

import numpy as np

from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.stability import BINS, body_width
from edge_agent.worker.data.finding import Finding
from edge_agent.worker.quality.block_stats import BlockStats, Numbers

_TREND_BLOCKS = 9
_TREND = 0.7
"""Kendall's tau: 1 if every block is above all earlier ones. One step in the middle of a capture, as between two kinds
of use, gives about 0.5. Chance alone reaches 0.7 in 1 of 100 channels with 9 blocks, and never with the usual 36."""
_LEVEL_SHIFT = 1.0
"""Last third minus first third, in standard deviations within blocks."""
_SPREAD_RATIO = 2.0
_FEWEST_ROUNDS = 3
_ONE_BURST = 1.5
"""The effective number of blocks with movement, by the participation ratio (sum e)^2 / sum e^2; a single block is 1."""
_LEAVES_WARN, _LEAVES_REFUSE = 0.01, 0.25
_REFUSE_ROUNDS = 5
"""With fewer rounds, a slow channel alone puts that much of the held-out set outside."""
_BEYOND = 0.05
"""Tolerance at each end, as a share of the range: rounding to 256 steps forgives values just outside."""
_USES_LITTLE = 0.25
_LONGER = "capture longer (more windows under [recipe])"


def judge_balance(channels: Sequence[str], blocks: Sequence[BlockStats]) -> list[Finding]:
    """All findings about complete ``blocks``, which are in time order."""
    if not blocks:
        return []
    may_refuse = _rounds(blocks) >= _REFUSE_ROUNDS
    unlike = sets_unlike(channels, *_merged(blocks), may_refuse=may_refuse)
    return [*_drift(channels, blocks), *_same_burst(channels, blocks), *unlike]


def _rounds(blocks: Sequence[BlockStats]) -> int:
    return sum(block.split == "heldout" for block in blocks)


def _drift(channels: Sequence[str], blocks: Sequence[BlockStats]) -> list[Finding]:
    if len(blocks) < _TREND_BLOCKS:
        return []
    means, stds = np.array([block.mean for block in blocks]), np.array([block.std for block in blocks])
    third = len(blocks) // 3
    findings = []
    for place, name in enumerate(channels):
        within = math.sqrt(float(np.mean(stds[:, place] ** 2)))
        first, last = float(means[:third, place].mean()), float(means[-third:, place].mean())
        if abs(_trend(means[:, place])) >= _TREND and abs(last - first) > _LEVEL_SHIFT * within:
            text = f"the level of channel {name!r} moved from {first:.4g} to {last:.4g} while the data were captured"
            findings.append(Finding("drift", f"{text}; let the sensor settle, or {_LONGER}", refuse=False))
            continue
        first, last = (float(np.sqrt(np.mean(part**2))) for part in (stds[:third, place], stds[-third:, place]))
        grows = max(first, last) > _SPREAD_RATIO * min(first, last)
        if grows and abs(_trend(stds[:, place])) >= _TREND:
            text = f"the spread of channel {name!r} changed from {first:.4g} to {last:.4g} while the data were captured"
            findings.append(Finding("drift", f"{text}; let the sensor settle, or {_LONGER}", refuse=False))
    return findings


def _trend(series: Numbers) -> float:
    """Kendall's tau of a series over time: the share of rising pairs minus the share of falling pairs."""
    rises = np.sign(series[None, :] - series[:, None])[np.triu_indices(len(series), 1)]
    return float(rises.mean())


def _same_burst(channels: Sequence[str], blocks: Sequence[BlockStats]) -> list[Finding]:
    rounds = _rounds(blocks)
    if rounds == 1:
        more = {f"{block.split}_windows = {2 * block.windows}": None for block in blocks}
        text = f"each set is a single segment of time, one right after the other; set [recipe] {', '.join(more)}"
        return [Finding("same_burst", text, refuse=False)]
    if rounds < _FEWEST_ROUNDS:
        return []
    worth = np.array([_worth(np.array([block.std[place] ** 2 for block in blocks])) for place in range(len(channels))])
    alone = [name for name, blocks_worth in zip(channels, worth, strict=True) if blocks_worth < _ONE_BURST]
    if not alone:
        return []
    text = f"nearly all movement of {', '.join(map(repr, alone))} was in one of {len(blocks)} segments of time"
    return [Finding("same_burst", f"{text}, so ranges and verdict rest on one event; {_LONGER}", refuse=False)]


def _worth(energies: Numbers) -> float:
    total = float(energies @ energies)
    return float(energies.sum()) ** 2 / total if total else math.inf


def sets_unlike(
    names: Sequence[str], calibration: Sequence[Histogram], heldout: Sequence[Histogram], *, may_refuse: bool
) -> list[Finding]:
    """Findings where the held-out set leaves the ranges of the calibration set, or uses little of them.

    Args:
        names: names of channels or inputs.
        calibration: one histogram per name.
        heldout: the same for the held-out set.
        may_refuse: whether the sets were interleaved often enough that they must be alike; else findings only warn.
    """
    findings = []
    for name, known, new in zip(names, calibration, heldout, strict=True):
        if not (known.total and new.total):
            continue
        # If calibration has seen a single value, any other value is outside, as far as the bins resolve it.
        beyond = max(_BEYOND * (known.high - known.low), new.width)
        outside, low, high = _outside(new, known.low - beyond, known.high + beyond), new.low, new.high
        if outside >= _LEAVES_WARN:
            text = f"{outside:.0%} of the held-out values of {name!r} lie outside the calibrated range"
            text += f" ([{low:.4g}, {high:.4g}] against [{known.low:.4g}, {known.high:.4g}])"
            refuse = may_refuse and outside >= _LEAVES_REFUSE
            findings.append(Finding("sets_unlike", f"{text}; capture longer, over all real use", refuse))
        elif (used := body_width(new)) < _USES_LITTLE * (known_width := body_width(known)):
            text = f"the held-out values of {name!r} cover only {used / known_width:.0%} of the calibrated range"
            findings.append(
                Finding(
                    "sets_unlike", f"{text}, so the verdict says little about the rest; capture longer", refuse=False
                )
            )
    return findings


def _outside(histogram: Histogram, low: float, high: float) -> float:
    """The share of values below ``low`` or above ``high``; a histogram cell counts at its middle."""
    cells = histogram.cells()
    middle = (cells.low + cells.high) / 2
    zero = histogram.zeros if not low <= 0 <= high else 0
    return (float(cells.counts[(middle < low) | (middle > high)].sum()) + zero) / histogram.total


def _merged(blocks: Sequence[BlockStats]) -> tuple[list[Histogram], list[Histogram]]:
    """The histograms of the calibration and the held-out set, one per channel."""
    count = len(blocks[0].histograms)
    known, new = [Histogram(BINS) for _ in range(count)], [Histogram(BINS) for _ in range(count)]
    for block in blocks:
        into = {"calibration": known, "heldout": new}.get(block.split, ())
        for histogram, part in zip(into, block.histograms, strict=False):  # the search set plays no part here
            histogram.merge(part)
    return known, new
