"""What the method knows beside the stretches: written rarely, whole or not at all, and made again where it is lost.

Each stretch says what weight its part or stratum had when it was kept, so the weights are never less than that, however
old the state is; and what is kept shows the regimes, so strata can be found anew. What cannot be made again is how much
was seen since the newest stretch of a stratum: about one part in as many as the stratum has places.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from edge_agent.foreign.opening import read_file
from edge_agent.reservoir.features import Numbers, describe
from edge_agent.reservoir.slot_format import Head
from edge_agent.reservoir.slots import Found
from edge_agent.reservoir.strata import Strata, Stratum
from edge_agent.reservoir.stratified import Stratified
from edge_agent.reservoir.time_blocks import Part
from edge_agent.reservoir.uniform import Uniform
from edge_agent.state.durable import write_durably
from edge_agent.strict import UNDECODABLE

FILE = "state.json"
_MOST_BYTES = 16 << 20
"""Of the file: what is known of some hundred regimes of some hundred channels."""


class Counts(msgspec.Struct):
    """What became of the stretches, over all restarts as far as it was saved."""

    seen: int = 0
    """Complete ones."""
    accepted: int = 0
    """Given a place, which most lost again since."""
    thinned: int = 0
    """Not offered to the judging part, for the budget's sake: at random, so nothing is biased."""
    over_budget: int = 0
    """Chosen for the judging part, and not written for the budget's sake: time that its sample lacks."""
    deferred: int = 0
    """The same of the calibration part, which only means that what is new comes in later."""
    non_finite: int = 0
    """Left out because they hold NaN or Inf."""
    unwritten: int = 0
    """Not looked at because the disk refused."""
    written_bytes: int = 0
    """Handed to the disk, state included; what a file system adds is not."""


class SavedStratum(msgspec.Struct, frozen=True):
    """A :class:`.strata.Stratum`."""

    number: int
    centre: list[list[float]]
    weight: float
    met: int
    blocks: int
    last_block: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """``state.json``."""

    digest: str
    """Of the file's head: a state of another file is no use."""
    weight: float = 0.0
    """Of the judging part."""
    known: list[SavedStratum] = []
    candidates: list[SavedStratum] = []
    next_number: int = 0
    levels: dict[Part, float] = {}
    """Bytes that each part may still write."""
    counts: Counts = msgspec.field(default_factory=Counts)


def load_state(folder: Path, head: Head) -> State:
    """What was saved of this file; a fresh state if nothing was, or it is unreadable."""
    digest = head.digest.hex()
    try:
        state = msgspec.json.decode(read_file(folder, FILE, most_bytes=_MOST_BYTES), type=State)
    except (OSError, *UNDECODABLE):
        return State(digest=digest)
    return state if state.digest == digest else State(digest=digest)


def save_state(folder: Path, state: State) -> int:
    """Replace what was saved; returns the bytes. Raises ``OSError``."""
    data = msgspec.json.encode(state)
    write_durably(folder / FILE, data)
    return len(data)


def saved(strata: Iterable[Stratum]) -> list[SavedStratum]:
    """Strata as they are written."""
    return [
        SavedStratum(one.number, one.centre.tolist(), one.weight, one.met, one.blocks, one.last_block) for one in strata
    ]


def restore(state: State, found: Iterable[Found], head: Head, uniform: Uniform, stratified: Stratified) -> int:
    """Fill both samples with what is on disk; returns the first ``seq`` that is free."""
    strata = stratified.strata
    uniform.weight = state.weight
    strata.known, strata.candidates = _strata(state.known, head), _strata(state.candidates, head)
    strata.next_number = state.next_number
    weights: dict[int, float] = defaultdict(float)
    members: list[tuple[int, Numbers, int]] = []
    last = -1
    for label, _, samples in found:
        last = max(last, label.seq)
        if label.part == "judging":
            uniform.occupy(label.place - head.places["calibration"])
            uniform.weight = max(uniform.weight, label.weight)
            continue
        described = describe(np.frombuffer(samples, head.shape.dtype).reshape(head.shape.array_shape))
        if described is None:  # only finite ones are kept, so this is another program's
            continue
        stratified.restore(label.place, described, label.stratum)
        members.append((label.block, described, label.stratum))
        weights[label.stratum] = max(weights[label.stratum], label.weight)
    stratified.rescale()
    if members and not strata.known:
        _find_again(strata, members, weights)
    for one in strata.known:
        one.weight = max(one.weight, weights[one.number])
    if strata.known:
        stratified.relabel()
    return last + 1


def _strata(saved_strata: list[SavedStratum], head: Head) -> list[Stratum]:
    wanted = (3, len(head.shape.channels))
    centres = [np.array(one.centre, np.float64) for one in saved_strata]
    return [
        Stratum(one.number, centre, one.weight, one.met, one.blocks, one.last_block)
        for one, centre in zip(saved_strata, centres, strict=True)
        if centre.shape == wanted
    ]


def _find_again(strata: Strata, members: list[tuple[int, Numbers, int]], weights: dict[int, float]) -> None:
    """Keep the numbers that stretches have on disk: the mean of each number's members is its stratum's centre."""
    for number in sorted(weights):
        own = [(block, described) for block, described, named in members if named == number]
        blocks = [block for block, _ in own]
        centre = np.mean([described for _, described in own], axis=0)
        strata.known.append(Stratum(number, centre, weights[number], len(own), len(set(blocks)), max(blocks)))
    strata.next_number = max(weights) + 1
