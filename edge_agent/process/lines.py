"""Cuts a child's output into lines. Pure: bytes in, text out. Stores at most one line of the maximal length."""

from collections.abc import Callable

MAX_BYTES = 1024**2


class Lines:
    """Passes each line of a stream to ``take``; drops lines longer than ``MAX_BYTES``, and an unfinished last line."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = bytearray()
        self._dropping = False

    def add(self, data: bytes) -> None:
        """Add the next bytes of the stream."""
        first, *others = data.split(b"\n")
        self._extend(first)
        for piece in others:
            if not self._dropping:
                self._take(self._rest.decode(errors="replace").removesuffix("\r"))
            self._rest.clear()
            self._dropping = False
            self._extend(piece)

    def _extend(self, piece: bytes) -> None:
        self._dropping = self._dropping or len(self._rest) + len(piece) > MAX_BYTES
        if self._dropping:
            self._rest.clear()
        else:
            self._rest += piece
