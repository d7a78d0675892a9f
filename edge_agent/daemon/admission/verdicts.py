"""What checks of signatures have found, by the documents' fingerprints: none is checked twice. Pure."""

from collections import OrderedDict

MOST = 1024
AGAIN_AFTER_S = 1.0


class Verdicts:
    """The newest ``MOST`` good ones and as many bad ones, so that a flood of bad ones costs no good one its place."""

    def __init__(self) -> None:
        self._good: OrderedDict[bytes, bool] = OrderedDict()
        self._obeyed: dict[bytes, float] = {}
        self._bad: OrderedDict[bytes, bool] = OrderedDict()

    def note(self, fingerprint: bytes, *, good: bool) -> None:
        """Remember what a check has found."""
        kept = self._good if good else self._bad
        kept[fingerprint] = good
        kept.move_to_end(fingerprint)
        if len(kept) > MOST:
            gone, _ = kept.popitem(last=False)
            self._obeyed.pop(gone, None)

    def known(self, fingerprint: bytes) -> bool | None:
        """Whether the document is signed by whom it must be; None: not checked, or too long ago."""
        return self._good.get(fingerprint, self._bad.get(fingerprint))

    def is_due(self, fingerprint: bytes, now: float) -> bool:
        """Whether a good one that came again may be answered again; anybody may send it, as often as they like."""
        if now - self._obeyed.get(fingerprint, -AGAIN_AFTER_S) < AGAIN_AFTER_S:
            return False
        self._obeyed[fingerprint] = now
        return True

    def forget(self) -> None:
        """Other keys are trusted now."""
        self._good.clear()
        self._obeyed.clear()
        self._bad.clear()
