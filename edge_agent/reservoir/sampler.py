"""Decides which segments to store, and in which place: for both parts, within the budget. Pure."""

import math
from collections.abc import Iterable
from random import Random

import numpy as np

from edge_agent.reservoir.cutting import Stretch
from edge_agent.reservoir.features import describe
from edge_agent.reservoir.slot_format import Head, Label
from edge_agent.reservoir.slots import Found
from edge_agent.reservoir.state import Counts, State, restore, saved
from edge_agent.reservoir.stratified import Stratified
from edge_agent.reservoir.time_blocks import PARTS, Part, part_of
from edge_agent.reservoir.uniform import Uniform
from edge_agent.reservoir.write_budget import Bucket, thinning

_DAY_S = 86_400.0


class Sampler:
    """The sampling method for one file.

    Attributes:
        counts: numbers of segments by what was done with them.
        uniform: the sample of the judging part.
        stratified: the sample of the calibration part.
    """

    def __init__(self, head: Head, *, bytes_a_day: float, horizon_days: float, now_s: float) -> None:
        """Start empty and with a full budget.

        Args:
            head: the head of the file.
            bytes_a_day: the write budget.
            horizon_days: in sensor time; the mean age that stored segments settle at.
            now_s: seconds of the budget's clock; it also seeds the random draws of this start.
        """
        self._head = head
        self._started_s = now_s
        total = sum(head.places.values())
        allowed = {part: bytes_a_day * places / total for part, places in head.places.items()}
        self._buckets = {part: Bucket(allowed[part], now_s) for part in PARTS}
        self.least_bytes_a_day = max(2 * head.slot_bytes * total / places for places in head.places.values())
        """With less, one part's bucket never has enough for a slot, and that part never changes."""
        stretches_a_day = _DAY_S / head.shape.segment_s / len(PARTS)
        writes_a_day = allowed["judging"] / head.slot_bytes
        self.offered = thinning(head.places["judging"], stretches_a_day, writes_a_day)
        """The share of the judging part's segments that is offered to its sample."""
        horizon = horizon_days * stretches_a_day
        self.uniform = Uniform(head.places["judging"], horizon * self.offered)
        self.stratified = Stratified(head.places["calibration"], len(head.shape.channels), horizon)
        self.counts = Counts()
        self._start(0)

    def resume(self, state: State, found: Iterable[Found]) -> None:
        """Resume with the stored segments and the saved state."""
        self.counts = state.counts
        for part, level in state.levels.items():
            self._buckets[part].level = min(self._buckets[part].level, level)
        self._start(restore(state, found, self._head, self.uniform, self.stratified))

    def _start(self, seq: int) -> None:
        self._seq = seq
        # The start time is part of the seed: ``seq`` is constant while nothing is stored, so short runs would always
        # make the same draws.
        self._random = Random(f"{self._head.seed}:{seq}:{self._started_s}")  # noqa: S311  # a fair draw, no secret

    def state(self) -> State:
        """Return the state to save."""
        strata = self.stratified.strata
        return State(
            digest=self._head.digest.hex(),
            weight=self.uniform.weight,
            known=saved(strata.known),
            candidates=saved(strata.candidates),
            next_number=strata.next_number,
            levels={part: bucket.level for part, bucket in self._buckets.items()},
            counts=self.counts,
        )

    def charge_state(self, size: int, now_s: float, *, forced: bool) -> bool:
        """Charge a state of ``size`` bytes to the budget, on credit if necessary; return whether it may be written.

        The credit is needed because a part that always exhausts its budget never has enough for a state. If the state
        were never saved, a killed process would get its whole budget back.
        """
        return self._buckets["calibration"].take(size, now_s, needs=-math.inf if forced else 0.0)

    def decide(self, stretch: Stretch, now_s: float) -> Label | None:
        """Return the label with the place of a segment; None: it is not stored."""
        if part_of(stretch.block, self._head.seed) == "judging":
            return self._judge(stretch, now_s)
        return self._calibrate(stretch, now_s)

    def _judge(self, stretch: Stretch, now_s: float) -> Label | None:
        if self._random.random() >= self.offered:
            self.counts.thinned += 1
            return None
        if not np.isfinite(stretch.samples).all():
            self.counts.non_finite += 1
            return None
        place = self.uniform.choose(self._random)
        if place is None or not self._may_write("judging", now_s):
            return None
        self.uniform.occupy(place)
        return self._label(stretch, "judging", place + self._head.places["calibration"], -1, self.uniform.weight)

    def _calibrate(self, stretch: Stretch, now_s: float) -> Label | None:
        described = describe(stretch.samples)
        if described is None:
            self.counts.non_finite += 1
            return None
        choice = self.stratified.choose(described, stretch.block, self._random)
        if choice is None or not self._may_write("calibration", now_s):
            return None
        self.stratified.occupy(choice.place, described, choice.stratum)
        return self._label(stretch, "calibration", choice.place, choice.stratum, choice.weight)

    def _may_write(self, part: Part, now_s: float) -> bool:
        may = self._buckets[part].take(self._head.slot_bytes, now_s)
        if not may and part == "judging":
            self.counts.over_budget += 1
        elif not may:
            self.counts.deferred += 1
        return may

    def _label(self, stretch: Stretch, part: Part, place: int, stratum: int, weight: float) -> Label:
        self.counts.accepted += 1
        self._seq += 1
        return Label(
            part=part,
            place=place,
            stratum=stratum,
            seq=self._seq - 1,
            time_s=stretch.time_s,
            block=stretch.block,
            weight=weight,
        )
