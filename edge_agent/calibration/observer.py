"""One histogram per tensor, filled in one pass; and which tensors need a second.

Memory is one fixed-size histogram a tensor, whatever the number of samples. A single value far out makes a tensor's
bins so wide that a range chosen inside spans only a few of them; over that range a second pass counts again, finer.
"""

from collections.abc import Iterable, Mapping

from numpy.typing import ArrayLike

from edge_agent.backends import Range
from edge_agent.calibration import find_range
from edge_agent.calibration.histogram import Histogram
from edge_agent.errors import Refusal

FEWEST_BINS = 256
"""One bin for each level of an int8 grid."""


class Observer:
    """Watches the tensors ``names``.

    Attributes:
        histograms: name to histogram, in the order of ``names``.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.histograms: dict[str, Histogram] = {name: Histogram() for name in names}

    def add(self, name: str, array: ArrayLike) -> None:
        """Count one sample's value of a tensor; in its second pass only what lies in the range asked for.

        Raises:
            Refusal: ``non_finite``.
        """
        try:
            self.histograms[name].finest.add(array)
        except Refusal as refusal:
            raise Refusal(refusal.code, f"tensor {name!r}: {refusal.message}") from None

    def ranges(self, names: Iterable[str], methods: Iterable[str], *, symmetric: bool) -> dict[str, dict[str, Range]]:
        """Method to tensor to range, as of now; raises ``StageError`` for a tensor that was never seen."""
        listed = list(names)
        return {
            method: {name: find_range(method, self.histograms[name], symmetric=symmetric) for name in listed}
            for method in methods
        }

    def too_coarse(self, ranges: Mapping[str, Mapping[str, Range]]) -> Mapping[str, Range]:
        """The tensors for which a method's range spans too few bins, and the widest such range of each."""
        coarse: dict[str, Range] = {}
        for chosen in ranges.values():
            for name, range_ in chosen.items():
                histogram, low, high = self.histograms[name], range_.low, range_.high
                if histogram.bins_used(low, high) < FEWEST_BINS and histogram.can_focus(low, high):
                    known = coarse.get(name, range_)
                    coarse[name] = Range(min(known.low, low), max(known.high, high))
        return coarse

    def second_pass(self, name: str, low: float, high: float) -> None:
        """From now on :meth:`add` counts this tensor's values in [low, high] finer; give it the same samples again."""
        self.histograms[name].focus(low, high)
