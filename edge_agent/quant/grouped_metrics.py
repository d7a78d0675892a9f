"""The error of an output over any number of windows: in total, and per group of channels of similar scale."""

from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from edge_agent.quant.kinds.kind import row
from edge_agent.quant.metrics import ErrorMetrics
from edge_agent.quant.scale_groups import ScaleGroup, judged_parts


class GroupedMetrics:
    """Accumulates errors like :class:`.metrics.ErrorMetrics`; ``whole`` covers all channels."""

    def __init__(self, groups: Sequence[ScaleGroup] = ()) -> None:
        self.whole = ErrorMetrics()
        self._groups = groups
        self._parts = [(group, ErrorMetrics()) for group in judged_parts(groups)]

    def add(self, reference: NDArray[Any], target: NDArray[Any]) -> None:
        """Add one window's outputs of float and int8, of equal shape."""
        self.whole.add(reference, target)
        if self._parts:
            wanted, got = row(reference), row(target)
            for group, metrics in self._parts:
                metrics.add(group.take(wanted), group.take(got))

    @property
    def sqnr_db(self) -> float | None:
        """SQNR of the worst group, or of the whole output if all channels have one scale."""
        return self._worst[1]

    @property
    def worst(self) -> str:
        """The channels of that worst group; empty for all channels."""
        group = self._worst[0]
        return "" if group is None else group.name

    def groups(self) -> Iterator[tuple[ScaleGroup, float | None]]:
        """Each group with its SQNR; None where the group is not judged."""
        known = {group.channels: metrics.sqnr_db for group, metrics in self._parts}
        for group in self._groups:
            yield group, known[group.channels] if group.judged else None

    @property
    def _worst(self) -> tuple[ScaleGroup | None, float | None]:
        known = [(group, found) for group, metrics in self._parts if (found := metrics.sqnr_db) is not None]
        return min(known, key=lambda one: one[1]) if known else (None, self.whole.sqnr_db)
