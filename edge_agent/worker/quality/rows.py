"""Checks that an operator's rows are fit for calibration, and the held-out rows apart from the rest. Pure.

The checks of a sensor's stream (stuck, clipped, drift) need known channels and rows in time order. An ``.npz`` provides
neither. These checks work on any rows, and see each row once:

* ``constant_channel``: a float input never changes. A refusal if no input changes and no state is carried, else a
  warning.
* ``duplicate_windows``: rows repeat another one, or are in two sets.
* ``same_burst``: a held-out row shares a segment with a calibration or search row, as overlapping windows of one
  recording do.
* ``sets_unlike``: the held-out rows leave the range of the calibration rows (:func:`.balance.sets_unlike`). This is
  only a warning at any distance, because the operator chose the held-out rows. int8 may still hold on them (dynamic
  ranges, or a robust model); if it does not, the verdict refuses it.
* ``ranges_unsure``: similar calibration rows would give different ranges.

Memory is one digest per row and, for overlaps, one number for each of at most a million places. Overlaps with places
beyond that limit are not found.
"""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edge_agent.backends import Array
from edge_agent.calibration.histogram import Histogram
from edge_agent.calibration.stability import BINS, Stability, judge_stability
from edge_agent.worker.data.finding import Finding
from edge_agent.worker.data.split import SPLITS, Split
from edge_agent.worker.quality.balance import sets_unlike

_SEGMENTS = 12
_RUN = 4
"""Consecutive slices that must be bit-identical in both rows and differ among themselves: silence repeats slices."""
_MOST_PLACES = 1_000_000
_REPEATED_SHARE = 0.2


class Rows:
    """Watches the rows of the three sets; calibration and search come before held-out."""

    def __init__(self, counts: Mapping[Split, int], *, stateful: bool = False) -> None:
        """Start with nothing seen.

        Args:
            counts: number of rows in each set.
            stateful: the model carries state, so its answers change even with constant inputs.
        """
        self._counts = counts
        self._stateful = stateful
        self._digests: dict[Split, set[bytes]] = {split: set() for split in SPLITS}
        self._shared = self._overlapping = 0
        self._places: set[int] = set()
        self._segments: dict[str, list[Histogram]] = {}
        self._heldout: dict[str, Histogram] = {}
        self._seen = dict.fromkeys(SPLITS, 0)

    def add(self, split: Split, feeds: Mapping[str, Array]) -> None:
        """Add the next row of ``split``: model input → array, all finite."""
        digest = _digest(feeds)
        shared = split == "heldout" and (digest in self._digests["calibration"] or digest in self._digests["search"])
        self._digests[split].add(digest)
        self._shared += shared
        if split == "heldout":
            self._overlapping += not shared and any(self._overlaps(values) for values in feeds.values())
        elif len(self._places) < _MOST_PLACES:
            for values in feeds.values():
                self._places.update(place for axis in range(values.ndim) for place in _runs(values, axis, every=True))
        if split != "search":
            self._count(split, feeds)
        self._seen[split] += 1

    def _overlaps(self, values: Array) -> bool:
        return any(place in self._places for axis in range(values.ndim) for place in _runs(values, axis, every=False))

    def _count(self, split: Split, feeds: Mapping[str, Array]) -> None:
        rows = max(self._counts[split], 1)
        for name, values in feeds.items():
            if values.dtype.kind not in "fiu":
                continue
            if split == "heldout":
                self._heldout.setdefault(name, Histogram(BINS)).add(values)
                continue
            segments = self._segments.setdefault(name, [Histogram(BINS) for _ in range(min(_SEGMENTS, rows))])
            segments[self._seen[split] * len(segments) // rows].add(values)

    def stability(self) -> Stability | None:
        """The certainty of the calibration rows' ranges; None without varying float inputs."""
        names = [name for name, segments in self._segments.items() if any(part.low < part.high for part in segments)]
        if not names:
            return None
        count = len(self._segments[names[0]])
        segments = [[self._segments[name][place] for name in names] for place in range(count)]
        return replace(judge_stability(names, segments, self._counts["calibration"]), rows=True)

    def findings(self) -> list[Finding]:
        """All findings after the last row."""
        return [*self._constant(), *self._repeated(), *self._burst(), *self._unlike(), *self._unsure()]

    def _constant(self) -> list[Finding]:
        known = {name: _merged(segments) for name, segments in self._segments.items()}
        still = [name for name, histogram in known.items() if histogram.low == histogram.high and histogram.total > 1]
        if not still:
            return []
        refuse = len(still) == len(known) and not self._stateful
        text = f"input {', '.join(map(repr, still))} has one value in all {self._counts['calibration']} rows"
        return [Finding("constant_channel", f"{text}; check how the data were made", refuse)]

    def _repeated(self) -> list[Finding]:
        found, rows = [], self._counts["heldout"]
        if self._shared:
            text = f"{self._shared} of {rows} held-out rows are also in calibration or search, so the verdict flatters"
            found.append(f"{text}; give held-out rows of other recordings")
        if repeated := rows - len(self._digests["heldout"]):
            text = f"{repeated} of {rows} held-out rows repeat another one, so they prove less than their number"
            found.append(f"{text}; give rows that differ")
        rows = self._counts["calibration"]
        if (repeated := rows - len(self._digests["calibration"])) >= _REPEATED_SHARE * rows:
            found.append(f"{repeated} of {rows} calibration rows repeat another one; give more that differ")
        return [Finding("duplicate_windows", text, refuse=False) for text in found]

    def _burst(self) -> list[Finding]:
        if not self._overlapping:
            return []
        text = f"{self._overlapping} of {self._counts['heldout']} held-out rows overlap rows of the other sets"
        return [Finding("same_burst", f"{text}; give groups, or a held-out file of another recording", refuse=False)]

    def _unlike(self) -> list[Finding]:
        names = [name for name in self._segments if name in self._heldout]
        known = [_merged(self._segments[name]) for name in names]
        return sets_unlike(names, known, [self._heldout[name] for name in names], may_refuse=False)

    def _unsure(self) -> list[Finding]:
        stability = self.stability()
        if stability is None or stability.enough is None or stability.stable:
            return []
        return [Finding("ranges_unsure", stability.sentence, refuse=False)]


def _merged(segments: list[Histogram]) -> Histogram:
    whole = Histogram(BINS)
    for segment in segments:
        whole.merge(segment)
    return whole


def _digest(feeds: Mapping[str, Array]) -> bytes:
    digest = hashlib.blake2b(digest_size=12)
    for values in feeds.values():
        digest.update(values.tobytes())
    return digest.digest()


def _runs(values: Array, axis: int, *, every: bool) -> list[int]:
    """A hash of each run of slices along ``axis``: at every place, or only at the start and the end of the array."""
    length = values.shape[axis]
    if length < 2 * _RUN:
        return []
    slices = [zlib.crc32(part.tobytes()) for part in np.moveaxis(values, axis, 0)]
    starts = range(length - _RUN + 1) if every else (0, length - _RUN)
    runs = [tuple(slices[start : start + _RUN]) for start in starts]
    return [hash((axis, run)) for run in runs if len(set(run)) == _RUN]
