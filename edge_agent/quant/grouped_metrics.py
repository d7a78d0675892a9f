"""The error of an output over any number of windows: as a whole, and in each group of channels of like scale."""

from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from edge_agent.quant.kinds.kind import row
from edge_agent.quant.metrics import ErrorMetrics
from edge_agent.quant.scale_groups import ScaleGroup, judged_parts


class GroupedMetrics:
    """Accumulates like :class:`.metrics.ErrorMetrics`; ``whole`` is over all channels."""

    def __init__(self, groups: Sequence[ScaleGroup] = ()) -> None:
        self.whole = ErrorMetrics()
        self._groups = groups
        self._parts = [(group, ErrorMetrics()) for group in judged_parts(groups)]

    def add(self, reference: NDArray[Any], target: NDArray[Any]) -> None:
        """Add one window's output of float and of int8, of equal shape."""
        self.whole.add(reference, target)
        if self._parts:
            wanted, got = row(reference), row(target)
            for group, metrics in self._parts:
                metrics.add(group.take(wanted), group.take(got))

    @property
    def sqnr_db(self) -> float | None:
        """Of the worst group; of the whole where there is one scale only."""
        return self._worst[1]

    @property
    def worst(self) -> str:
        """The channels that this is of; empty: all of them."""
        group = self._worst[0]
        return "" if group is None else group.name

    def groups(self) -> Iterator[tuple[ScaleGroup, float | None]]:
        """Each group with its SQNR; None where it is not judged."""
        known = {group.channels: metrics.sqnr_db for group, metrics in self._parts}
        for group in self._groups:
            yield group, known[group.channels] if group.judged else None

    @property
    def _worst(self) -> tuple[ScaleGroup | None, float | None]:
        known = [(group, found) for group, metrics in self._parts if (found := metrics.sqnr_db) is not None]
        return min(known, key=lambda one: one[1]) if known else (None, self.whole.sqnr_db)
