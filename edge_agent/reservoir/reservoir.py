"""The reservoir: takes what a sensor sends, keeps a representative part of it on disk. One process writes.

    samples -> cutting -> time_blocks -> calibration: stratified -> budget -> slots
                                      -> judging: thinning -> uniform -> budget -> slots

It never ends its caller: where the disk refuses, it says so in ``trouble``, keeps what it has, and tries again once a
minute. What comes meanwhile is counted, not judged: as if the sensor had been off.
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
"""A card of 32 GB would be written through once in four months, and cards stand hundreds of times."""
HORIZON_DAYS = 7.0
"""Of sensor time: a week has all kinds of days, and of a sensor that was moved a month ago 1 % is left."""
_CALIBRATION_SHARE = 0.4
"""Of all places: what 300 calibration windows are of 750 in a default recipe."""
_FEWEST_SPARE, _MOST_SPARE, _SPARE_BYTES = 4, 64, 1 << 20
"""Slots beyond the places; as many stretches may wait in memory to be written together."""
_FLUSH_S, _SAVE_S, _RETRY_S = 60.0, 3600.0, 60.0
_UNSAVED_SHARE = 1 / 32
"""Of a day's budget: when so much was written the state is saved, whatever the time, so a kill refunds no more."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Open(NamedTuple):
    """What there is while the disk lets us."""

    slots: SlotFile
    sampler: Sampler


class Reservoir:
    """What a sensor has seen, in ``folder``."""

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
        """Go on with what is in ``folder``, if it has the same shape and number of stretches; else begin anew.

        Args:
            folder: of this reservoir alone; made if it is not there.
            shape: of a stretch.
            stretches: to keep, at least 2; both parts together.
            write_budget_mb_per_day: no 24 hours see more than so many million bytes, but for one saved state, and at
                each kill for what the process forgets: a thirty-second of it, and a batch.
            horizon_days: of sensor time; the mean age that kept stretches settle at.
            seed: of the parts and of chance, for a folder that is begun; None: another one every time.
            clock: seconds of the wall clock; says when the reservoir was begun, and nothing else.
            timer: seconds of a clock that nobody sets, for all that takes or has its time.
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
        """Bytes written since the state was saved; infinite: this run has not saved it yet."""
        self._file = self._open()

    @property
    def trouble(self) -> EdgeAgentError | None:
        """Why nothing is written at present, or never a part of it; None: all is well."""
        return self._refused or self._starved

    @property
    def counts(self) -> Counts:
        """What became of the stretches."""
        known = self._file.sampler.counts if self._file else Counts()
        seen, unwritten = known.seen + self._missed, known.unwritten + self._missed
        return msgspec.structs.replace(known, seen=seen, unwritten=unwritten)

    @property
    def kept(self) -> dict[Part, int]:
        """Stretches in each part."""
        if self._file is None:
            return dict.fromkeys(PARTS, 0)
        return {"calibration": self._file.sampler.stratified.kept, "judging": self._file.sampler.uniform.kept}

    @property
    def strata(self) -> int:
        """Regimes that are told apart."""
        return len(self._file.sampler.stratified.strata.known) if self._file else 0

    @property
    def since_s(self) -> float:
        """When the reservoir was begun, in seconds of the wall clock."""
        return (self._file.slots.head if self._file else self._wanted).since_s

    def add(self, samples: Samples, time_s: float, *, gap: bool) -> None:
        """Take samples as they come.

        Args:
            samples: ``[n, *frame_shape, channels]``.
            time_s: when the first one was, in seconds of the wall clock.
            gap: it does not follow on the last one.
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
        """Write what is pending now; whether the disk took it."""
        return self._file is not None and self._flush(self._file)

    def close(self) -> None:
        """Write what is pending and the state, and let go of the file; may be called twice."""
        if self._file is not None:
            self._flush(self._file)
            self._save(self._file, forced=True)
            self._file.slots.close()
            self._file = None

    def _open(self) -> _Open | None:
        """Open the file, and know again what was known; None and ``_refused``: the disk refuses."""
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
        """The file, if one more stretch may be put there."""
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
        """Write the state, if the budget has room or it must be."""
        self._save_at = self._timer() + _SAVE_S
        size = len(msgspec.json.encode(file.sampler.state())) + BLOCK_BYTES
        if not file.sampler.charge_state(size, self._timer(), forced=forced):
            return
        try:
            save_state(self._folder, file.sampler.state())  # with its own cost
        except OSError as error:
            self._refused = self._explain(error)
            return
        self._unsaved = 0
        file.sampler.counts.written_bytes += size

    def _explain(self, error: OSError) -> EdgeAgentError:
        what = f"what the sensor sends is not kept in {self._folder / FILE}: {error.strerror}"
        if error.errno in _FULL:
            return LimitError("no_space", f"{what}; free space, or lower keep_windows")
        return StoreError("state_unreadable", f"{what}; check the disk and who owns the folder")


def _starved(head: Head, sampler: Sampler, bytes_a_day: float) -> EdgeAgentError | None:
    """What is to be said of a budget that some stretch can never be paid from."""
    if bytes_a_day >= sampler.least_bytes_a_day:
        return None
    least = math.ceil(sampler.least_bytes_a_day / 1e5) / 10
    text = f"keep_mb_per_day = {bytes_a_day / 1e6:g} is too little for stretches of {head.slot_bytes / 1e6:.2g} MB"
    return ConfigError("usage", f"{text}: not every part can be kept; {least:g} or more, or lower keep_seconds")
