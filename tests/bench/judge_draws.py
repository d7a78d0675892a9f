"""Seeded draws of held-out windows from many rows, as an operator's file or a capture would hold them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.intp]
STRETCHES = 12
"""In so many pieces a device captures 300 held-out windows by default."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Held-out windows: which rows, the recording of each (None: independent), and whether they are in time's order."""

    rows: Numbers
    groups: Numbers | None = None
    in_time: bool = False


def independent_draws(rows: int, windows: int, count: int, seed: int) -> Iterator[Draw]:
    """``count`` draws without replacement."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        yield Draw(np.sort(random.choice(rows, windows, replace=False)))


def recording_draws(groups: Numbers, windows: int, count: int, seed: int) -> Iterator[Draw]:
    """``count`` draws of whole recordings until there are enough windows; the last one is cut."""
    random = np.random.default_rng(seed)
    names = np.unique(groups)
    for _ in range(count):
        order = random.permutation(names)
        drawn = np.concatenate([np.flatnonzero(groups == name) for name in order])[:windows]
        rows = np.sort(drawn)
        yield Draw(rows, groups[rows])


def stretch_draws(groups: Numbers, windows: int, count: int, seed: int) -> Iterator[Draw]:
    """``count`` draws of stretches, each within one recording, as a capture takes them; rows are in order of time.

    None where recordings are too short for so long a stretch.
    """
    random = np.random.default_rng(seed)
    size = windows // STRETCHES
    follows = np.flatnonzero(groups[: len(groups) - size + 1] == groups[size - 1 :])
    for _ in range(count if len(follows) >= STRETCHES * size else 0):
        taken: list[int] = []
        for start in random.permutation(follows):
            if all(abs(int(start) - other) >= size for other in taken):
                taken.append(int(start))
            if len(taken) == STRETCHES:
                break
        rows = np.concatenate([np.arange(start, start + size) for start in sorted(taken)])
        yield Draw(rows, np.arange(len(rows)) // size, in_time=True)
