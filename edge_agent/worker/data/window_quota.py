"""Selects the windows of a set that are stored on disk if not all of them fit.

The size of a window is known only on arrival, and may change. The quota skips just enough of the following windows that
the rest fits into the remaining space, if each is as large as the largest so far. The first is always stored.
"""

import math
import shutil
from pathlib import Path

MOST_BYTES = 256 << 20
_SHARE_OF_FREE = 0.25
"""The share of free disk space; the judged output, the candidates and the daemon need space as well."""


class WindowQuota:
    """Decides window by window, in their order.

    Attributes:
        taken: the numbers of the stored windows.
    """

    def __init__(self, folder: Path, windows: int, most_bytes: int | None = None) -> None:
        """Start with no window.

        Args:
            folder: the folder for the windows.
            windows: the number of windows to come.
            most_bytes: limit for all windows; None: :data:`MOST_BYTES`, or less if the disk has little free space.
        """
        free = int(_SHARE_OF_FREE * shutil.disk_usage(folder).free)
        self._left = min(MOST_BYTES, free) if most_bytes is None else most_bytes
        self._windows = windows
        self._largest = 0
        self._next = 0
        self.taken: set[int] = set()

    def take(self, number: int, size: int) -> bool:
        """Whether to store window ``number`` of ``size`` bytes."""
        self._largest = max(self._largest, size)
        if number < self._next or (self.taken and size > self._left):
            return False
        self.taken.add(number)
        self._left -= size
        to_come = self._windows - number - 1
        fit = max(self._left, 0) // self._largest if self._largest else to_come
        self._next = number + (math.ceil((to_come + 1) / (fit + 1)) if fit < to_come else 1)
        return True
