"""What checks of signatures have found, by the documents' fingerprints: none is checked twice. Pure."""

from collections import OrderedDict

MOST = 1024


class Verdicts:
    """The newest ``MOST`` good ones and as many bad ones, so that a flood of bad ones costs no good one its place."""

    def __init__(self) -> None:
        self._good: OrderedDict[bytes, bool] = OrderedDict()
        self._bad: OrderedDict[bytes, bool] = OrderedDict()

    def note(self, fingerprint: bytes, *, good: bool) -> None:
        """Remember what a check has found."""
        kept = self._good if good else self._bad
        kept[fingerprint] = good
        kept.move_to_end(fingerprint)
        if len(kept) > MOST:
            kept.popitem(last=False)

    def known(self, fingerprint: bytes) -> bool | None:
        """Whether the document is signed by whom it must be; None: not checked, or too long ago."""
        return self._good.get(fingerprint, self._bad.get(fingerprint))

    def forget(self) -> None:
        """Other keys are trusted now."""
        self._good.clear()
        self._bad.clear()
