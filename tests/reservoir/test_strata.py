"""The calibration part: regimes are found as they come, rare ones keep their place, and accidents do not become one."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_agent.reservoir import stratified
from edge_agent.reservoir.features import describe, distance, scale_of
from edge_agent.reservoir.segment_format import SegmentFormat
from edge_agent.reservoir.slot_format import Head, Label
from edge_agent.reservoir.slots import Found
from edge_agent.reservoir.state import State, restore
from edge_agent.reservoir.strata import MOST_STRATA
from edge_agent.reservoir.stratified import Stratified, share_out
from edge_agent.reservoir.uniform import Uniform

Samples = NDArray[np.float32]
PLACES, CHANNELS, BLOCK = 120, 3, 16
"""A block has 16 stretches."""


def moving(random: np.random.Generator, strength: float, level: float = 0.0) -> Samples:
    samples = level + strength * random.standard_normal((50, CHANNELS))
    return samples.astype(np.float32)


@dataclass
class Run:
    """What a sample holds after a stream of named stretches."""

    sample: Stratified
    kept: dict[int, str]

    def share(self, name: str) -> float:
        return Counter(self.kept.values())[name] / self.sample.places


def run(stream: Iterator[tuple[str, Samples]], *, horizon: float = 1e9, places: int = PLACES) -> Run:
    sample, kept = Stratified(places, CHANNELS, horizon), dict[int, str]()
    random = Random(3)  # noqa: S311  # a seeded draw, no secret
    for number, (name, samples) in enumerate(stream):
        described = describe(samples)
        assert described is not None
        if choice := sample.choose(described, number // BLOCK, random):
            sample.occupy(choice.place, described, choice.stratum)
            kept[choice.place] = name
    assert sample.kept == len(kept) <= places
    return Run(sample, kept)


def test_a_regime_of_one_percent_holds_its_share_for_a_week() -> None:
    """Stretches of a minute; one bout of it a few times a day. Uniformly kept, it would have 1 or 2 of 120 places."""
    random = np.random.default_rng(1)
    week = 7 * 86_400 // 60

    def stream() -> Iterator[tuple[str, Samples]]:
        for number in range(0, week, 10):
            rare = number // 10 % 100 == 70
            for _ in range(10):
                yield ("stairs", moving(random, 2.0, 1.0)) if rare else ("sitting", moving(random, 0.02, 1.0))

    found = run(stream())

    assert 0.07 <= found.share("stairs") <= 0.12  # the square root of 1 %, of both: 9.1 %
    assert len(found.sample.strata.known) == 2


def test_a_glitch_in_every_five_hundredth_stretch_does_not_take_over() -> None:
    """One mad sample each, of any size: they get little, however often they return, and rare work keeps its share."""
    random = np.random.default_rng(2)

    def stream() -> Iterator[tuple[str, Samples]]:
        for number in range(6000):
            name, samples = ("work", moving(random, 1.0)) if number % 1000 < 10 else ("rest", moving(random, 0.05))
            if number % 500 == 250:
                samples[random.integers(50), random.integers(CHANNELS)] = 10.0 ** random.uniform(1, 30)
                name = "glitch"
            yield name, samples

    found = run(stream())

    assert found.share("glitch") < 0.06
    assert found.share("work") > 0.06


def test_an_accident_gets_no_stratum() -> None:
    """A cable that was pulled once for five stretches: not even in a stream that has nothing else to tell apart."""
    random = np.random.default_rng(3)

    def stream() -> Iterator[tuple[str, Samples]]:
        for number in range(3000):
            pulled = 1024 <= number < 1029
            yield ("pulled", moving(random, 1e6)) if pulled else ("rest", moving(random, 0.05))

    found = run(stream())

    assert len(found.sample.strata.known) == 1
    assert found.share("pulled") <= 3 / PLACES


def test_what_was_met_in_two_blocks_is_a_regime() -> None:
    random = np.random.default_rng(4)

    def stream() -> Iterator[tuple[str, Samples]]:
        for number in range(1600):
            again = number % 400 in (0, 1)
            yield ("knock", moving(random, 9.0)) if again else ("rest", moving(random, 0.05))

    assert len(run(stream()).sample.strata.known) == 2


def test_of_many_regimes_hardly_any_is_lost() -> None:
    """Thirty of them, in turn: at most sixteen strata, and by chance alone half a regime is without a place."""
    random = np.random.default_rng(5)

    def stream() -> Iterator[tuple[str, Samples]]:
        for number in range(4800):
            kind = number // 40 % 30
            yield str(kind), moving(random, 0.01 * 4.0 ** (kind // 5), level=40.0 * (kind % 5))

    found = run(stream())

    assert len(found.sample.strata.known) <= MOST_STRATA
    assert len(set(found.kept.values())) >= 28


def test_a_regime_that_never_returns_fades() -> None:
    """The sensor was mounted elsewhere: three horizons later little is left of what it saw before."""
    random = np.random.default_rng(6)

    def stream() -> Iterator[tuple[str, Samples]]:
        for number in range(4000):
            yield ("before", moving(random, 1.0, 9.0)) if number < 1000 else ("after", moving(random, 1.0, -9.0))

    assert run(stream(), horizon=1000).share("before") < 0.25  # e^-1.5 = 0.22 to 1
    assert run(stream()).share("before") > 0.33


def test_quiet_below_an_int8_step_is_one_regime() -> None:
    """A converter at rest: one value, or now and then the next."""
    random = np.random.default_rng(7)

    def stream() -> Iterator[tuple[str, Samples]]:
        for number in range(3000):
            if number % 100 < 20:
                yield "work", moving(random, 1.0)
            else:
                flicker = (random.random((50, CHANNELS)) < random.choice([0, 0.02, 0.5])) * 1e-3
                yield "rest", (1.0 + flicker).astype(np.float32)

    assert len(run(stream()).sample.strata.known) == 2


def test_scale_and_distance() -> None:
    random = np.random.default_rng(8)
    described = np.stack([d for _ in range(20) if (d := describe(moving(random, 1.0))) is not None])
    scale = scale_of(described)
    strong = describe(moving(random, 10.0))
    assert strong is not None

    assert distance(described[0], described[0], scale) == 0
    assert distance(described[0], strong, scale) == distance(strong, described[0], scale) > 2
    assert distance(described[:, None], described, scale).shape == (20, 20)
    assert distance(described[:, None], described, scale).max() < 1
    assert describe(np.full((5, 2), np.nan, np.float32)) is None
    assert describe(np.array([[1.0], [np.inf]], np.float32)) is None


def test_pictures_are_described_by_their_channels() -> None:
    pictures = np.zeros((1, 480, 640, 3), np.uint8)
    pictures[..., 1] = 200
    described = describe(pictures)

    assert described is not None
    assert described[0].tolist() == [0, 200, 0]
    assert described[2].tolist() == [0, 200, 0]


@given(st.integers(20, 500), st.lists(st.floats(0.5, 1e7), min_size=1, max_size=16))
def test_places_are_shared_out(places: int, weights: list[float]) -> None:
    shares = share_out(places, dict(enumerate(weights)))

    assert set(shares) == set(range(len(weights)))
    assert sum(shares.values()) <= places
    assert all(1 <= share <= max(1, int(np.ceil(weights[number]))) for number, share in shares.items())
    if sum(np.ceil(weights)) >= places + len(weights):
        assert sum(shares.values()) >= places - len(weights)
    order = sorted(shares, key=lambda number: weights[number])
    assert all(shares[a] <= shares[b] + 1 for a, b in pairwise(order))


def test_what_each_channel_reaches_is_worked_out_once_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for every stretch that is found: over thousands of places that took most of a minute."""
    random, places, sizes = np.random.default_rng(8), 300, list[int]()
    shape = SegmentFormat(channels=("a", "b", "c"), rate_hz=50, samples=50)
    head = Head(shape=shape, places={"calibration": places, "judging": 1}, slots=310, seed=1, since_s=0)
    found = [
        Found(
            Label(part="calibration", place=place, stratum=0, seq=place, time_s=0, block=place, weight=9),
            place,
            memoryview(moving(random, 1 + place).tobytes()),
        )
        for place in range(places)
    ]

    def counted(described: NDArray[np.float64]) -> NDArray[np.float64]:
        sizes.append(len(described))
        return scale_of(described)

    monkeypatch.setattr(stratified, "scale_of", counted)
    sample = Stratified(places, CHANNELS, 1e5)
    restore(State(digest=""), found, head, Uniform(1, 1e5), sample)

    assert sizes == [places]
    assert sample.kept == places
    assert (sample.strata.scale > 200).all()
