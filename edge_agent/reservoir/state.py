"""The sampler's state beside the segments: written rarely and atomically, and reconstructed if it is lost.

Each segment stores the weight of its part or stratum at its time, which is a lower bound of the weights, however old
the state is. The stored segments also show the regimes, so strata can be found again. Only the count since the newest
segment of a stratum is lost: about one part in as many as the stratum has places.
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
"""Size limit of the file, enough for a few hundred regimes of a few hundred channels."""


class Counts(msgspec.Struct):
    """Numbers of segments by what was done with them, over all restarts as far as they were saved."""

    seen: int = 0
    """Complete segments."""
    accepted: int = 0
    """Segments that were given a place; most were replaced later."""
    thinned: int = 0
    """Segments not offered to the judging part, to save budget: chosen at random, so without bias."""
    over_budget: int = 0
    """Segments chosen for the judging part but not written for lack of budget: their time is missing in its sample."""
    deferred: int = 0
    """The same in the calibration part, where it only delays new segments."""
    non_finite: int = 0
    """Segments left out because they contain NaN or Inf."""
    unwritten: int = 0
    """Segments not considered because of a disk error."""
    written_bytes: int = 0
    """Bytes written, state included, without the overhead of the file system."""


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
    """Digest of the file's head: the state of another file is useless."""
    weight: float = 0.0
    """Weight of the judging part."""
    known: list[SavedStratum] = []
    candidates: list[SavedStratum] = []
    next_number: int = 0
    levels: dict[Part, float] = {}
    """Bytes that each part may still write."""
    counts: Counts = msgspec.field(default_factory=Counts)


def load_state(folder: Path, head: Head) -> State:
    """Return the saved state of this file; a new state if there is none, or it is unreadable."""
    digest = head.digest.hex()
    try:
        state = msgspec.json.decode(read_file(folder, FILE, most_bytes=_MOST_BYTES), type=State)
    except (OSError, *UNDECODABLE):
        return State(digest=digest)
    return state if state.digest == digest else State(digest=digest)


def save_state(folder: Path, state: State) -> int:
    """Replace the saved state, and return its size in bytes; raise ``OSError``."""
    data = msgspec.json.encode(state)
    write_durably(folder / FILE, data)
    return len(data)


def saved(strata: Iterable[Stratum]) -> list[SavedStratum]:
    """Return strata in their saved form."""
    return [
        SavedStratum(one.number, one.centre.tolist(), one.weight, one.met, one.blocks, one.last_block) for one in strata
    ]


def restore(state: State, found: Iterable[Found], head: Head, uniform: Uniform, stratified: Stratified) -> int:
    """Fill both samples with the stored segments; return the first free ``seq``."""
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
        if described is None:  # only finite segments are stored, so another program wrote this one
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
    """Reconstruct strata by the numbers in the stored segments: the mean of each number's members is its centre."""
    for number in sorted(weights):
        own = [(block, described) for block, described, named in members if named == number]
        blocks = [block for block, _ in own]
        centre = np.mean([described for _, described in own], axis=0)
        strata.known.append(Stratum(number, centre, weights[number], len(own), len(set(blocks)), max(blocks)))
    strata.next_number = max(weights) + 1
