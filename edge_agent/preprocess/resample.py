"""Resamples a stream from the source's rate to the contract's rate. Pure.

The filter is a windowed-sinc low-pass in polyphase form: zero phase, cut off at half of the lower rate, with ten
samples of the slower stream on each side. It is the filter of ``scipy.signal.resample_poly``, but the taps of each
phase sum to exactly 1, so that a constant stays constant.

Only outputs with complete input are returned. There is no padding, neither at the ends of a stream nor at a window's
border, so an output never depends on where a stream was cut. The price is a delay of ten samples.

No library fits: a soxr stream returns nothing for 18 s at 100 → 50 Hz, since its filters work in blocks for sound.
``scipy.signal`` has no streams, and importing it takes 60 MiB.
"""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import RecipeError

Array = NDArray[Any]

_SIDE = 10
_KAISER_BETA = 5.0
_MAX_FACTOR = 1000
_MAX_TERM = 100_000
_AT_ONCE = 8192


def rate_ratio(source_hz: float, wanted_hz: float) -> Fraction:
    """Return ``wanted_hz / source_hz``, exact or as the nearest ratio of numbers up to 100,000.

    Raises:
        RecipeError: ``recipe_unsupported`` if the rates differ by a factor of more than 1,000.
    """
    exact = Fraction(str(wanted_hz)) / Fraction(str(source_hz))
    larger = max(exact, 1 / exact)
    if larger > _MAX_FACTOR:
        raise RecipeError(
            "recipe_unsupported",
            f"a source of {source_hz:g} Hz cannot be resampled to rate_hz = {wanted_hz:g}: "
            f"the limit is 1:{_MAX_FACTOR}; set another rate_hz in [input]",
        )
    near = larger.limit_denominator(int(_MAX_TERM / larger))
    return near if exact >= 1 else 1 / near


class Resampler:
    """Converts samples of one rate to ``ratio`` times that rate."""

    def __init__(self, ratio: Fraction) -> None:
        self.ratio = ratio
        self._up, self._down = ratio.numerator, ratio.denominator
        half = _SIDE * max(self._up, self._down)
        self.margin = 0 if ratio == 1 else -(-half // self._up)
        """Number of samples before and after an output that it depends on."""
        self._taps = _filter_bank(self._up, half, self.margin)

    def needed(self, wanted: int) -> int:
        """Return the number of samples for ``wanted`` >= 1 outputs."""
        samples: int = self._last(wanted, 0) + self._taps.shape[1]
        return samples

    def outputs(self, samples: int) -> int:
        """Return the number of complete outputs of ``samples`` source samples, from phase 0 on."""
        return self._count(samples, 0)

    def __call__(self, samples: Array, phase: int = 0) -> Array:
        """Return all complete outputs ``[m, channels]`` float32 of ``samples`` ``[n, channels]``; 1:1 is the identity.

        Args:
            samples: samples of the source; output 0 is at sample ``margin``, ``phase`` steps later.
            phase: in steps of ``1 / numerator`` samples, less than the numerator.
        """
        if self._up == self._down:
            return samples
        count = self._count(len(samples), phase)
        resampled = np.empty((count, samples.shape[1]), np.float32)
        spans = np.lib.stride_tricks.sliding_window_view(samples, self._taps.shape[1], axis=0) if count else samples
        for start in range(0, count, _AT_ONCE):
            place = phase + np.arange(start, min(start + _AT_ONCE, count)) * self._down
            base, shift = np.divmod(place, self._up)
            resampled[start : start + _AT_ONCE] = np.einsum("nt,nct->nc", self._taps[shift], spans[base])
        return resampled

    def advance(self, samples: int, phase: int) -> tuple[int, int]:
        """Return the number of samples that are done after their outputs from ``phase``, and the next phase."""
        return divmod(phase + self._count(samples, phase) * self._down, self._up)

    def _count(self, samples: int, phase: int) -> int:
        last = samples - self._taps.shape[1]
        return max(0, ((last + 1) * self._up - phase - 1) // self._down + 1) if last >= 0 else 0

    def _last(self, outputs: int, phase: int) -> int:
        return (phase + (outputs - 1) * self._down) // self._up


class ResampledStream:
    """A resampler for samples that arrive in pieces; the results do not depend on how the stream is cut."""

    def __init__(self, ratio: Fraction, channels: int) -> None:
        self._resample = Resampler(ratio)
        self._channels = channels
        self.restart()

    def restart(self) -> None:
        """Restart after an interruption of the stream."""
        self._rest: Array = np.empty((0, self._channels), np.float32)
        self._phase = 0

    def add(self, samples: Array) -> Array:
        """Add ``samples`` ``[n, channels]`` and return the new outputs ``[m, channels]`` float32; m may be 0."""
        self._rest = np.concatenate([self._rest, samples])
        resampled = self._resample(self._rest, self._phase)
        passed, self._phase = self._resample.advance(len(self._rest), self._phase)
        self._rest = self._rest[passed:]
        return resampled


def _filter_bank(up: int, half: int, margin: int) -> NDArray[np.float64]:
    """Return, for each phase, the taps on samples ``-margin .. margin + 1`` of an output: ``[up, 2 margin + 2]``."""
    if not margin:
        return np.ones((1, 1))
    place = np.arange(-margin, margin + 2) * up - np.arange(up)[:, None]
    cut = max(1, half // _SIDE)
    bell = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (place / half) ** 2, 0, None)))
    taps: NDArray[np.float64] = np.where(np.abs(place) <= half, np.sinc(place / cut) * bell, 0.0)
    taps /= taps.sum(axis=1, keepdims=True)
    return taps
