"""Which windows of a set are kept on disk where they are too large to keep all of them.

Their size is known only as they come, and may change: so many are left out from now on that what is still to come fits
into what is left, should it be as large as the largest so far. The first one is always kept.
"""

import math
import shutil
from pathlib import Path

MOST_BYTES = 256 << 20
_SHARE_OF_FREE = 0.25
"""Of the disk: the judged output, the candidates and the daemon need some, too."""


class WindowQuota:
    """Decides window by window, in their order.

    Attributes:
        taken: the numbers of the windows that are kept.
    """

    def __init__(self, folder: Path, windows: int, most_bytes: int | None = None) -> None:
        """Nothing is taken yet.

        Args:
            folder: where they will lie.
            windows: how many there will be.
            most_bytes: what they may take; None: :data:`MOST_BYTES`, or less where the disk has little free.
        """
        free = int(_SHARE_OF_FREE * shutil.disk_usage(folder).free)
        self._left = min(MOST_BYTES, free) if most_bytes is None else most_bytes
        self._windows = windows
        self._largest = 0
        self._next = 0
        self.taken: set[int] = set()

    def take(self, number: int, size: int) -> bool:
        """Whether window ``number``, of ``size`` bytes, is kept."""
        self._largest = max(self._largest, size)
        if number < self._next or (self.taken and size > self._left):
            return False
        self.taken.add(number)
        self._left -= size
        to_come = self._windows - number - 1
        fit = max(self._left, 0) // self._largest if self._largest else to_come
        self._next = number + (math.ceil((to_come + 1) / (fit + 1)) if fit < to_come else 1)
        return True
