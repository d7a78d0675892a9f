"""Defers the loading of a module that a library imports but hardly ever uses, until its first use.

Imports within :func:`deferred` get the module as usual. Its code runs at the first access to an attribute
(:class:`importlib.util.LazyLoader`). A module that is already loaded is left alone. Only for imports at start, from one
thread.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class _Finder:
    """A finder for one module, with a lazy loader."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of the module; None for every other module."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname == self._name else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def deferred(name: str) -> Iterator[None]:
    """Defer the code of the module ``name`` if it is imported within the block."""
    finder = _Finder(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
