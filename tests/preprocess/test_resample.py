"""A stream at another rate: against scipy, and by what must hold however it comes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import resample_poly

from edge_agent.errors import RecipeError
from edge_agent.preprocess.resample import ResampledStream, Resampler, rate_ratio

RATES = [(100, 50), (104, 50), (52, 50), (25, 50), (50, 62.5), (44_100, 16_000), (48_000, 16_000), (49.97, 50)]


def walk(samples: int, channels: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(samples, channels)).cumsum(axis=0).astype(np.float32)


@pytest.mark.parametrize(("source_hz", "wanted_hz"), [(100, 50), (25, 50), (50, 75), (48_000, 16_000)])
def test_the_numbers_are_scipys(source_hz: float, wanted_hz: float) -> None:
    """But for a phase's taps, which sum to 1 here, and there within 0.2 %."""
    samples, ratio = walk(2000), rate_ratio(source_hz, wanted_hz)
    resample = Resampler(ratio)

    resampled = resample(samples)

    whole = resample_poly(samples.astype(np.float64), ratio.numerator, ratio.denominator, axis=0)
    first = resample.margin * ratio
    assert first.denominator == 1
    np.testing.assert_allclose(
        resampled, whole[int(first) :][: len(resampled)], atol=2e-3 * np.abs(samples).max()
    )  # fmt: skip


@pytest.mark.parametrize(("source_hz", "wanted_hz"), RATES)
def test_slow_movement_passes_and_keeps_its_time(source_hz: float, wanted_hz: float) -> None:
    hz = min(source_hz, wanted_hz) / 10
    resample = Resampler(rate_ratio(source_hz, wanted_hz))

    resampled = resample(np.sin(2 * np.pi * hz * np.arange(4000) / source_hz)[:, None])[:, 0]

    time = resample.margin / source_hz + np.arange(len(resampled)) / wanted_hz
    np.testing.assert_allclose(resampled, np.sin(2 * np.pi * hz * time), atol=5e-3)


@pytest.mark.parametrize(("source_hz", "wanted_hz"), [(100, 50), (44_100, 16_000), (104, 26)])
def test_what_is_too_fast_for_the_new_rate_is_taken_away(source_hz: float, wanted_hz: float) -> None:
    """Every second or third sample alone would turn it into slow movement that never was."""
    tone = np.sin(2 * np.pi * 0.62 * wanted_hz * np.arange(4000) / source_hz)[:, None]

    assert np.abs(Resampler(rate_ratio(source_hz, wanted_hz))(tone)).max() < 0.01


@pytest.mark.parametrize(("source_hz", "wanted_hz"), RATES)
def test_what_stands_still_stands_still(source_hz: float, wanted_hz: float) -> None:
    samples = np.full((3000, 1), 9.81, np.float32)

    assert np.all(Resampler(rate_ratio(source_hz, wanted_hz))(samples) == np.float32(9.81))


@given(
    rates=st.sampled_from(RATES),
    cuts=st.lists(st.integers(0, 900), max_size=12),
    start=st.integers(0, 700),
)
@settings(deadline=None, max_examples=60)
def test_it_does_not_matter_how_a_stream_is_cut(rates: tuple[float, float], cuts: list[int], start: int) -> None:
    samples, ratio = walk(900), rate_ratio(*rates)
    stream = ResampledStream(ratio, 2)
    edges = [0, *sorted(cuts), 900]

    pieces = [stream.add(samples[one:other]) for one, other in pairwise(edges)]

    assert np.array_equal(np.concatenate(pieces), Resampler(ratio)(samples))
    # Nor where it begins, at steps that the two rates share.
    shared = start - start % ratio.denominator
    later = Resampler(ratio)(samples[shared:])
    if len(later):
        assert np.array_equal(later, Resampler(ratio)(samples)[int(shared * ratio) :][: len(later)])


@given(rates=st.sampled_from([*RATES, (50, 50)]), wanted=st.integers(1, 300))
@settings(deadline=None, max_examples=60)
def test_it_says_how_much_it_needs(rates: tuple[float, float], wanted: int) -> None:
    resample = Resampler(rate_ratio(*rates))
    needed = resample.needed(wanted)

    assert len(resample(walk(needed))) >= wanted
    assert len(resample(walk(needed - 1))) < wanted


def test_equal_rates_change_nothing() -> None:
    samples = walk(100)

    assert np.array_equal(Resampler(rate_ratio(50, 50))(samples), samples)
    assert np.array_equal(ResampledStream(rate_ratio(50, 50), 2).add(samples), samples)


def test_after_an_interruption_nothing_of_before_is_left() -> None:
    stream, ratio = ResampledStream(rate_ratio(100, 50), 2), rate_ratio(100, 50)
    stream.add(walk(333) + 1000)
    stream.restart()

    assert np.array_equal(stream.add(walk(500)), Resampler(ratio)(walk(500)))


@given(st.floats(0.5, 96_000), st.floats(0.5, 96_000))
@settings(deadline=None)
def test_a_ratio_is_near_and_small(source_hz: float, wanted_hz: float) -> None:
    if max(source_hz / wanted_hz, wanted_hz / source_hz) > 1000:
        with pytest.raises(RecipeError, match="recipe_unsupported"):
            rate_ratio(source_hz, wanted_hz)
        return

    ratio = rate_ratio(source_hz, wanted_hz)

    assert abs(float(ratio) * source_hz / wanted_hz - 1) < 1e-5
    assert max(ratio.numerator, ratio.denominator) <= 100_000
