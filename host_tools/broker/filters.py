"""Matches topics against filters through a tree, so that thousands of filters cost no more than one. Pure.

``+`` stands for any one level; ``#`` is no wildcard here.
"""

from collections.abc import Iterable, Iterator


class Filters:
    """The filters in order of insertion, each once."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names: dict[str, None] = {}
        self._tree: _Level = _Level()
        self.add(names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, names: Iterable[str]) -> None:
        """Add filters; known ones are skipped."""
        for name in names:
            self._names[name] = None
            level = self._tree
            for part in name.split("/"):
                level = level.below.setdefault(part, _Level())
            level.name = name

    def match(self, topic: str) -> bool:
        """Whether ``topic`` matches one of the filters."""
        return any(True for _ in self.over(topic))

    def over(self, topic: str) -> Iterator[str]:
        """The filters that match ``topic``."""
        levels = [self._tree]
        for part in topic.split("/"):
            parts = (part, "+") if part != "+" else (part,)
            levels = [level.below[one] for level in levels for one in parts if one in level.below]
        return (level.name for level in levels if level.name is not None)


class _Level:
    """A node of the tree: the levels that may follow a filter's beginning."""

    __slots__ = ("below", "name")

    def __init__(self) -> None:
        self.below: dict[str, _Level] = {}
        self.name: str | None = None
