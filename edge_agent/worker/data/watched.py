"""A data set that shows the rows of one set to somebody as they pass. Nothing is read a second time for it."""

from collections.abc import Callable, Iterator, Sequence

from edge_agent.worker.data.dataset import DataSet, Row
from edge_agent.worker.data.split import Split


class Watched:
    """The same data set, watched; implements :class:`edge_agent.worker.data.dataset.DataSet`."""

    def __init__(self, data: DataSet, split: Split, watch: Callable[[Row], None]) -> None:
        """Show each row of ``split`` to ``watch`` once, in order, however often and far the set is read."""
        self._data = data
        self._split = split
        self._watch = watch
        self._shown = 0

    @property
    def labels(self) -> bool:
        """As of the data set."""
        return self._data.labels

    @property
    def ordered_in_time(self) -> bool:
        """As of the data set."""
        return self._data.ordered_in_time

    @property
    def exchangeable(self) -> bool:
        """As of the data set."""
        return self._data.exchangeable

    def channels(self, name: str) -> list[str]:
        """As of the data set."""
        return self._data.channels(name)

    def count(self, split: Split) -> int:
        """As of the data set."""
        return self._data.count(split)

    def groups(self, split: Split) -> list[int | None]:
        """As of the data set."""
        return self._data.groups(split)

    def rows(self, split: Split, places: Sequence[int] | None = None) -> Iterator[Row]:
        """As of the data set."""
        numbers = range(self.count(split)) if places is None else places
        for place, row in zip(numbers, self._data.rows(split, places), strict=False):
            if split == self._split and place == self._shown:
                self._shown += 1
                self._watch(row)
            yield row
