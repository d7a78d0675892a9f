"""The reservoir: stores a representative part of a sensor's samples on disk. One process writes.

    samples -> cutting -> time_blocks -> calibration: stratified -> budget -> slots
                                      -> judging: thinning -> uniform -> budget -> slots

It never raises for a disk error: it reports the error in ``trouble``, keeps its segments, and retries once a minute.
Segments that arrive meanwhile are only counted, as if the sensor had been off.
"""

import errno
import math
import time
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from typing import NamedTuple

import msgspec

from edge_agent.errors import ConfigError, EdgeAgentError, LimitError, StoreError
from edge_agent.reservoir.cutting import Cutter
from edge_agent.reservoir.sampler import Sampler
from edge_agent.reservoir.segment_format import Samples, SegmentFormat
from edge_agent.reservoir.slot_format import BLOCK_BYTES, Head
from edge_agent.reservoir.slots import FILE, SlotFile
from edge_agent.reservoir.state import Counts, load_state, save_state
from edge_agent.reservoir.time_blocks import PARTS, Part

WRITE_BUDGET_MB_PER_DAY = 256.0
"""At this rate a 32 GB card is overwritten once in four months; cards endure hundreds of times."""
HORIZON_DAYS = 7.0
"""In sensor time. A week has all kinds of days; of data from before the sensor was moved a month ago, 1 % is left."""
_CALIBRATION_SHARE = 0.4
"""Share of all places: that of 300 calibration windows among the 750 windows of a default recipe."""
_FEWEST_SPARE, _MOST_SPARE, _SPARE_BYTES = 4, 64, 1 << 20
"""Slots beyond the places; the same number of segments may be pending in memory, to be written together."""
_FLUSH_S, _SAVE_S, _RETRY_S = 60.0, 3600.0, 60.0
_UNSAVED_SHARE = 1 / 32
"""Share of a day's budget after which the state is saved at any time, since a kill refunds the unsaved writes."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Open(NamedTuple):
    """The objects that exist while the file is open."""

    slots: SlotFile
    sampler: Sampler


class Reservoir:
    """A sample of a sensor's data, in ``folder``."""

    def __init__(
        self,
        folder: Path,
        shape: SegmentFormat,
        *,
        stretches: int,
        write_budget_mb_per_day: float = WRITE_BUDGET_MB_PER_DAY,
        horizon_days: float = HORIZON_DAYS,
        seed: int | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """Resume with the file in ``folder`` if its format and number of segments match, else replace it.

        Args:
            folder: the folder of this reservoir alone; created if missing.
            shape: the format of a segment.
            stretches: number of segments to store, at least 2; both parts together.
            write_budget_mb_per_day: limit of the million bytes written in any 24 hours. One saved state may exceed it,
                and each kill refunds unsaved writes: a thirty-second of the budget, and a batch.
            horizon_days: in sensor time; the mean age that stored segments settle at.
            seed: seed of the parts and of the random draws in a new file; None: a random one.
            clock: seconds of the wall clock; only for the start time of the reservoir.
            timer: seconds of a monotonic clock, for all intervals.
        """
        self._refused: EdgeAgentError | None = None
        self._starved: EdgeAgentError | None = None
        self._folder = folder
        self._timer = timer
        self._budget = write_budget_mb_per_day * 1e6
        self._horizon_days = horizon_days
        calibration = min(stretches - 1, max(1, round(stretches * _CALIBRATION_SHARE)))
        places: dict[Part, int] = {"calibration": calibration, "judging": stretches - calibration}
        spare = max(_FEWEST_SPARE, min(_MOST_SPARE, _SPARE_BYTES // shape.segment_bytes))
        seed = SystemRandom().getrandbits(48) if seed is None else seed
        self._wanted = Head(shape=shape, places=places, slots=stretches + spare, seed=seed, since_s=clock())
        self._cutter = Cutter(shape)
        self._missed = 0
        self._try_at = self._save_at = self._flush_at = timer()
        self._unsaved = math.inf
        """Bytes written since the state was saved; infinite: not saved yet in this run."""
        self._file = self._open()

    @property
    def trouble(self) -> EdgeAgentError | None:
        """Why nothing is written now, or one part can never be written; None: no error."""
        return self._refused or self._starved

    @property
    def counts(self) -> Counts:
        """Numbers of segments by what was done with them."""
        known = self._file.sampler.counts if self._file else Counts()
        seen, unwritten = known.seen + self._missed, known.unwritten + self._missed
        return msgspec.structs.replace(known, seen=seen, unwritten=unwritten)

    @property
    def kept(self) -> dict[Part, int]:
        """Number of stored segments in each part."""
        if self._file is None:
            return dict.fromkeys(PARTS, 0)
        return {"calibration": self._file.sampler.stratified.kept, "judging": self._file.sampler.uniform.kept}

    @property
    def strata(self) -> int:
        """Number of distinguished regimes."""
        return len(self._file.sampler.stratified.strata.known) if self._file else 0

    @property
    def since_s(self) -> float:
        """Start time of the reservoir, in seconds of the wall clock."""
        return (self._file.slots.head if self._file else self._wanted).since_s

    def add(self, samples: Samples, time_s: float, *, gap: bool) -> None:
        """Add samples of the stream.

        Args:
            samples: ``[n, *frame_shape, channels]``.
            time_s: time of the first sample, in seconds of the wall clock.
            gap: whether samples are missing before them.
        """
        for stretch in self._cutter.add(samples, time_s, gap=gap):
            if (file := self._with_room()) is None:
                self._missed += 1
                continue
            file.sampler.counts.seen += 1
            if label := file.sampler.decide(stretch, self._timer()):
                if not file.slots.pending:
                    self._flush_at = self._timer() + _FLUSH_S
                file.slots.put(label, stretch.samples.tobytes())
        if self._file and self._file.slots.pending and self._timer() >= self._flush_at:
            self._flush(self._file)
        if self._file and self._timer() >= self._save_at:
            self._save(self._file, forced=False)

    def flush(self) -> bool:
        """Write pending segments now; return whether that succeeded."""
        return self._file is not None and self._flush(self._file)

    def close(self) -> None:
        """Write pending segments and the state, and close the file; may be called twice."""
        if self._file is not None:
            self._flush(self._file)
            self._save(self._file, forced=True)
            self._file.slots.close()
            self._file = None

    def _open(self) -> _Open | None:
        """Open the file and restore the state; on a disk error return None and set ``_refused``."""
        self._try_at = self._timer() + _RETRY_S
        try:
            slots = SlotFile(self._folder, self._wanted)
        except StoreError as error:
            self._refused = error
            return None
        except OSError as error:
            self._refused = self._explain(error)
            return None
        now = self._timer()
        sampler = Sampler(slots.head, bytes_a_day=self._budget, horizon_days=self._horizon_days, now_s=now)
        try:
            sampler.resume(load_state(self._folder, slots.head), slots.resume())
        except OSError as error:
            slots.close()
            self._refused = self._explain(error)
            return None
        self._refused, self._starved = None, _starved(slots.head, sampler, self._budget)
        self._save_at, self._unsaved = now + _SAVE_S, math.inf
        return _Open(slots, sampler)

    def _with_room(self) -> _Open | None:
        """Return the file if it has room for one more segment, else None."""
        retry = self._timer() >= self._try_at
        if self._file is None and retry:
            self._file = self._open()
        if self._file and self._file.slots.full and (self._refused is None or retry):
            self._flush(self._file)
        return self._file if self._file and not self._file.slots.full else None

    def _flush(self, file: _Open) -> bool:
        try:
            written = file.slots.flush()
        except OSError as error:
            self._refused = self._explain(error)
            self._try_at = self._flush_at = self._timer() + _RETRY_S
            return False
        self._refused = None
        file.sampler.counts.written_bytes += written
        self._unsaved += written
        if written and self._unsaved >= self._budget * _UNSAVED_SHARE:
            self._save(file, forced=False)
        return True

    def _save(self, file: _Open, *, forced: bool) -> None:
        """Write the state, if the budget permits it or ``forced``."""
        self._save_at = self._timer() + _SAVE_S
        size = len(msgspec.json.encode(file.sampler.state())) + BLOCK_BYTES
        if not file.sampler.charge_state(size, self._timer(), forced=forced):
            return
        try:
            save_state(self._folder, file.sampler.state())  # with its own cost charged
        except OSError as error:
            self._refused = self._explain(error)
            return
        self._unsaved = 0
        file.sampler.counts.written_bytes += size

    def _explain(self, error: OSError) -> EdgeAgentError:
        text = f"the sensor's samples are not stored in {self._folder / FILE}: {error.strerror}"
        if error.errno in _FULL:
            return LimitError("no_space", f"{text}; free space, or lower keep_windows")
        return StoreError("state_unreadable", f"{text}; check the disk and the owner of the folder")


def _starved(head: Head, sampler: Sampler, bytes_a_day: float) -> EdgeAgentError | None:
    """Return the error for a budget that is too small for one segment of some part; None if it is large enough."""
    if bytes_a_day >= sampler.least_bytes_a_day:
        return None
    least = math.ceil(sampler.least_bytes_a_day / 1e5) / 10
    text = f"keep_mb_per_day = {bytes_a_day / 1e6:g} is too small for segments of {head.slot_bytes / 1e6:.2g} MB"
    return ConfigError("usage", f"{text}: one part can never be stored; set {least:g} or more, or lower keep_seconds")
