"""Results of signature checks by document fingerprint, so that no document is checked twice. Pure."""

from collections import OrderedDict

MOST = 1024
AGAIN_AFTER_S = 1.0


class Verdicts:
    """The newest ``MOST`` good and as many bad verdicts, kept apart so that bad ones never displace good ones."""

    def __init__(self) -> None:
        self._good: OrderedDict[bytes, bool] = OrderedDict()
        self._obeyed: dict[bytes, float] = {}
        self._bad: OrderedDict[bytes, bool] = OrderedDict()

    def note(self, fingerprint: bytes, *, good: bool) -> None:
        """Store the result of a check."""
        kept = self._good if good else self._bad
        kept[fingerprint] = good
        kept.move_to_end(fingerprint)
        if len(kept) > MOST:
            gone, _ = kept.popitem(last=False)
            self._obeyed.pop(gone, None)

    def known(self, fingerprint: bytes) -> bool | None:
        """Whether the document has the required signatures; None if it was not checked, or too long ago."""
        return self._good.get(fingerprint, self._bad.get(fingerprint))

    def is_due(self, fingerprint: bytes, now: float) -> bool:
        """Whether a repeated good document may be answered again; the rate is limited, as anybody may resend it."""
        if now - self._obeyed.get(fingerprint, -AGAIN_AFTER_S) < AGAIN_AFTER_S:
            return False
        self._obeyed[fingerprint] = now
        return True

    def forget(self) -> None:
        """Discard all verdicts, as other keys are trusted now."""
        self._good.clear()
        self._obeyed.clear()
        self._bad.clear()
