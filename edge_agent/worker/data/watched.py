"""A data set that passes the rows of one set to a callback while they are read, without reading any row twice."""

from collections.abc import Callable, Iterator, Sequence

from edge_agent.worker.data.dataset import DataSet, Row
from edge_agent.worker.data.split import Split


class Watched:
    """A watched data set; implements :class:`edge_agent.worker.data.dataset.DataSet`."""

    def __init__(self, data: DataSet, split: Split, watch: Callable[[Row], None]) -> None:
        """Pass each row of ``split`` to ``watch`` once, in order, however often and far the set is read."""
        self._data = data
        self._split = split
        self._watch = watch
        self._shown = 0

    @property
    def labels(self) -> bool:
        """The wrapped data set's value."""
        return self._data.labels

    @property
    def ordered_in_time(self) -> bool:
        """The wrapped data set's value."""
        return self._data.ordered_in_time

    @property
    def exchangeable(self) -> bool:
        """The wrapped data set's value."""
        return self._data.exchangeable

    def channels(self, name: str) -> list[str]:
        """The wrapped data set's value."""
        return self._data.channels(name)

    def count(self, split: Split) -> int:
        """The wrapped data set's value."""
        return self._data.count(split)

    def groups(self, split: Split) -> list[int | None]:
        """The wrapped data set's value."""
        return self._data.groups(split)

    def rows(self, split: Split, places: Sequence[int] | None = None) -> Iterator[Row]:
        """The wrapped data set's value."""
        numbers = range(self.count(split)) if places is None else places
        for place, row in zip(numbers, self._data.rows(split, places), strict=False):
            if split == self._split and place == self._shown:
                self._shown += 1
                self._watch(row)
            yield row
