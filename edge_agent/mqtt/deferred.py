"""Puts off the loading of a module that somebody else imports and hardly ever uses, until something of it is used.

What is imported within :func:`deferred` gets the module as usual; its code runs at the first look at an attribute
(:class:`importlib.util.LazyLoader`). A module that is loaded already stays as it is. For imports at start, one thread.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class _Finder:
    """Finds one module, with a loader that waits."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own place, as the import system asks for it; None for every other module."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname == self._name else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def deferred(name: str) -> Iterator[None]:
    """Within the block, importing the module ``name`` does not run its code yet."""
    finder = _Finder(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
