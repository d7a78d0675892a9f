"""Divides rows or time into calibration, search and held-out set before any data are seen. Pure.

Rows of an ``.npz`` are drawn by a seeded shuffle, stratified by integer labels. Rows of one group stay together.
Ordered data are cut into three parts. A sensor's stream is divided into blocks of time that alternate between the three
sets over several rounds, so that each set sees every regime.

Invariants:
    * no row and no sample is in two sets, and none of the three is empty
    * at least one window's worth of samples is discarded between two blocks; no window spans blocks
    * held-out windows share no sample with each other
    * the same arguments give the same split
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import Refusal
from edge_agent.strict import counted

Split = Literal["calibration", "search", "heldout", "eval"]
SPLITS: tuple[Split, ...] = ("calibration", "search", "heldout")
"""The sets of a division; ``eval``, the labelled set that comes with a model, is separate."""
Indices = NDArray[np.int64]

MAX_HELDOUT = 300
"""The most rows that are held out of a file."""
_MAX_ROUNDS = 12
_TRIED_SHARES = 100
_GAP_SHARE = 0.1
"""Rounds are added while the gaps between their blocks cost at most this share of the samples."""


@dataclass(frozen=True, slots=True)
class Block:
    """A segment of time for one set: ``windows`` windows of ``size`` samples, ``step`` samples apart.

    ``samples``: source samples in the block; ``gap``: source samples discarded before it. Both are counted at the
    source's rate, which may differ from the windows' rate.
    """

    split: Split
    windows: int
    size: int
    step: int
    samples: int
    gap: int


def plan_blocks(
    windows: Mapping[Split, int], *, size: int, hop: int, needed: Callable[[int], int] = lambda samples: samples
) -> list[Block]:
    """The blocks of a capture in time order; a window's worth of samples is discarded between two of them.

    Args:
        windows: number of windows for each set, at least 1.
        size: samples in a window.
        hop: samples from one calibration or search window to the next; held-out windows never overlap.
        needed: source samples from which the given number of consecutive samples is resampled.
    """
    steps: dict[Split, int] = {"calibration": hop, "search": hop, "heldout": max(size, hop)}
    useful = sum(windows[split] * steps[split] for split in SPLITS)
    affordable = int(useful * _GAP_SHARE) // (len(SPLITS) * size)
    rounds = max(1, min(_MAX_ROUNDS, affordable, *windows.values()))
    return [
        Block(split, share, size, steps[split], needed((share - 1) * steps[split] + size), needed(size))
        for turn in range(rounds)
        for split in SPLITS
        if (share := windows[split] * (turn + 1) // rounds - windows[split] * turn // rounds)
    ]


def samples_needed(blocks: list[Block]) -> int:
    """Source samples of all blocks, gaps included."""
    return sum(block.samples for block in blocks) + sum(block.gap for block in blocks[1:])


def windows_that_fit(
    windows: Mapping[Split, int],
    samples: int,
    *,
    size: int,
    hop: int,
    least: int,
    needed: Callable[[int], int] = lambda samples: samples,
) -> dict[Split, int] | None:
    """The largest numbers of windows that fit into ``samples``, in the proportions of ``windows``.

    Args:
        windows: the requested windows of each set.
        samples: available source samples.
        size: samples in a window.
        hop: samples from one calibration or search window to the next.
        least: the fewest held-out windows that can prove anything.
        needed: as in :func:`plan_blocks`.

    Returns:
        Windows of each set; None if fewer than ``least`` held-out windows would be left.
    """
    for share in range(_TRIED_SHARES - 1, 0, -1):
        fewer = {split: max(1, count * share // _TRIED_SHARES) for split, count in windows.items()}
        if fewer["heldout"] < least:
            return None
        if samples_needed(plan_blocks(fewer, size=size, hop=hop, needed=needed)) <= samples:
            return fewer
    return None


def split_rows(
    rows: int,
    *,
    seed: int,
    heldout_apart: bool,
    ordered: bool = False,
    labels: NDArray[np.generic] | None = None,
    groups: Indices | None = None,
) -> dict[Split, Indices]:
    """The rows of an ``.npz`` for each set; indices ascend within a set.

    Args:
        rows: number of rows.
        seed: seed of the shuffle.
        heldout_apart: the held-out set is another file, so only calibration and search are drawn (a third is search);
            else held-out = min(300, half), search = a sixth, calibration = the rest.
        ordered: the rows are one recording whose order matters: it is cut, not shuffled.
        labels: one integer (or boolean) per row; each set gets its share of each label.
        groups: one recording number per row; recordings are not divided, and only their number is balanced.

    Raises:
        Refusal: ``too_few_windows`` if a set would stay empty.
    """
    wanted = _wanted(rows, heldout_apart=heldout_apart)
    if groups is not None:
        return _split_groups(wanted, groups, seed)
    random = np.random.default_rng(seed)
    if ordered:
        order = np.arange(rows)
    elif labels is None:
        order = random.permutation(rows)
    else:
        order = _interleave(labels, random)
    bounds = np.cumsum(list(wanted.values()))
    return {split: np.sort(part) for split, part in zip(wanted, np.split(order, bounds[:-1]), strict=True)}


def _wanted(rows: int, *, heldout_apart: bool) -> dict[Split, int]:
    sets = 2 if heldout_apart else 3
    if rows < sets:
        raise Refusal(
            "too_few_windows",
            f"{counted(rows, 'row')} cannot be divided into {sets} sets; give 300 rows or more (--calibration)",
        )
    heldout = 0 if heldout_apart else max(1, min(MAX_HELDOUT, rows // 2))
    search = max(1, rows // 3 if heldout_apart else rows // 6)
    wanted: dict[Split, int] = {"calibration": rows - search - heldout, "search": search}
    if not heldout_apart:
        wanted["heldout"] = heldout
    return wanted


def _interleave(labels: NDArray[np.generic], random: np.random.Generator) -> Indices:
    """A random order in which every segment has each label in proportion (systematic sampling within each label)."""
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + random.random()) / len(members)
    return np.argsort(place, kind="stable").astype(np.int64)


def _split_groups(wanted: Mapping[Split, int], groups: Indices, seed: int) -> dict[Split, Indices]:
    """Assign recordings, largest first, to the set that lacks most rows; no set may stay empty."""
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < len(wanted):
        raise Refusal(
            "too_few_windows",
            f"groups names {len(names)} recordings; {len(wanted)} sets need at least one each: "
            f"name {len(wanted)} or more in the array 'groups', or leave it out",
        )
    shuffled = np.random.default_rng(seed).permutation(len(names))
    lacks = dict(wanted)
    taken: dict[Split, list[np.generic]] = {split: [] for split in wanted}
    by_size = sorted(shuffled.tolist(), key=lambda index: -int(sizes[index]))
    for position, index in enumerate(by_size):
        empty = [split for split in wanted if not taken[split]]
        must_fill = len(by_size) - position <= len(empty)
        split = max(empty if must_fill else wanted, key=lambda split: lacks[split])
        lacks[split] -= int(sizes[index])
        taken[split].append(names[index])
    return {split: np.flatnonzero(np.isin(groups, members)) for split, members in taken.items()}
