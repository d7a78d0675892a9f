"""Groups of activations that fit into memory together, from the measured size of one window's values."""

from collections.abc import Callable, Iterator, Sequence

from edge_agent.backends import Array

Tapped = Callable[[Sequence[str]], Iterator[Iterator[tuple[str, Array]]]]
"""Maps names of tensors to their values, window by window."""

_SHARE = 0.25
"""The share of a memory limit that tapped activations may take; model, runtime and numpy need the rest."""
_MEASURED_FIRST = 4


class TensorGroups:
    """The activations of one model.

    Attributes:
        sizes: tensor → bytes of its value in the first window, for the tensors measured so far.
    """

    def __init__(self, tapped: Tapped, memory_bytes: int) -> None:
        """Run nothing yet; ``memory_bytes``: the memory limit of the process, 0: no limit."""
        self._tapped = tapped
        self._room = memory_bytes * _SHARE
        self.sizes: dict[str, int] = {}

    def measure(self, names: Sequence[str]) -> int:
        """Total bytes of one window's values of ``names``; under a memory limit, only a few are tapped at a time."""
        sizes = self.sizes
        unknown = [name for name in names if name not in sizes]
        while unknown:
            # If the next tensors are no larger than the largest so far, this many of them fit.
            at_once = max(1, int(self._room // max(sizes.values()))) if sizes else _MEASURED_FIRST
            values = next(self._tapped(unknown[:at_once] if self._room else unknown))
            sizes.update((name, max(value.nbytes, 1)) for name, value in values)
            unknown = unknown[at_once:] if self._room else []
        return sum(sizes[name] for name in names)

    def groups(self, names: Sequence[str]) -> list[list[str]]:
        """``names``, already measured, in groups whose values of one window fit into their share of the memory."""
        groups: list[list[str]] = []
        taken = 0.0
        for name in names:
            if not groups or (self._room and taken + self.sizes[name] > self._room):
                groups.append([])
                taken = 0.0
            groups[-1].append(name)
            taken += self.sizes[name]
        return groups
