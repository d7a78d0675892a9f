"""Samples as a sensor sends them become a model's windows: resampled as one stream, then cut. Not for several threads.

The same resampler as capture's, so a window in use is made as the windows were that the release was judged on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from edge_agent.backends import Array
from edge_agent.errors import ContractError
from edge_agent.preprocess.resample import ResampledStream, rate_ratio
from edge_agent.serving.loaded import Loaded, Windows, samples_of
from edge_agent.suggest import did_you_mean

Answer = Callable[[Callable[[Loaded], Iterable[Windows]]], list[Array]]
"""Runs the release that is active now over the windows that are cut for it."""


class Stream:
    """One sensor's way into a model. Made by :meth:`edge_agent.serving.Model.stream`."""

    def __init__(
        self, answer: Answer, reset: Callable[[], None], rate_hz: float | None, channels: Sequence[str]
    ) -> None:
        self._answer = answer
        self._reset_model = reset
        self._rate_hz = rate_hz
        self._channels = list(channels)
        self._cutter: _Cutter | None = None

    def __call__(self, samples: ArrayLike) -> list[Array]:
        """What the model says of each window that is complete with ``samples``; mostly none or one.

        Another release begins with what comes after it was taken up.

        Args:
            samples: ``[n, channels]``, the next ones, any number of them.

        Raises:
            ContractError: ``dtype_mismatch``, ``shape_mismatch``, ``channel_unknown``; ``non_finite``, after which the
                stream begins anew, as with :meth:`reset`.
            RecipeError: ``recipe_unsupported``: the rate cannot become the manifest's.
            ModelError: ``model_unsupported``: the model fails on these values.
        """
        taken = samples_of(samples)
        if not np.isfinite(taken).all():
            self.reset()
            raise ContractError("non_finite", "the samples hold NaN or Inf; the stream begins anew; check the sensor")
        return self._answer(lambda loaded: self._windows(loaded, taken))

    def reset(self) -> None:
        """Say that the next samples do not follow the last ones: no window spans that, carried state begins anew."""
        self._cutter = None
        self._reset_model()

    def _windows(self, loaded: Loaded, samples: Array) -> Iterable[Windows]:
        if self._cutter is None or self._cutter.loaded is not loaded:
            self._cutter = _Cutter(loaded, self._rate_hz, self._channels, samples)
        return self._cutter.add(samples)


class _Cutter:
    """Cuts a stream into the windows of one release."""

    def __init__(self, loaded: Loaded, rate_hz: float | None, channels: Sequence[str], samples: Array) -> None:
        self.loaded = loaded
        contracts = list(loaded.inputs.values())
        wanted = {(contract.window, contract.rate_hz) for contract in contracts}
        window, to_hz = next(iter(wanted))
        if window is None or len(wanted) > 1:
            raise ContractError("shape_mismatch", f"{loaded.release.model}'s inputs have no window in common")
        self._size, self._hop = window.size, window.hop
        columns = list(channels) or contracts[0].channels or [str(number) for number in range(_width(samples))]
        self._picked = {name: _columns(contract.channels, columns) for name, contract in loaded.inputs.items()}
        ratio = rate_ratio(rate_hz, to_hz) if rate_hz and to_hz else rate_ratio(1, 1)
        self._width = len(columns)
        self._stream = ResampledStream(ratio, self._width)
        self._rest: Array = np.empty((0, self._width), np.float32)
        self._skip = 0

    def add(self, samples: Array) -> Iterator[Windows]:
        if _width(samples) != self._width:
            text = f"{self._width} channels make a sample, not {_width(samples)}"
            raise ContractError("shape_mismatch", f"{text}; give stream() the names of the channels that you have")
        self._rest = np.concatenate([self._rest, self._stream.add(samples)])
        return self._cut()

    def _cut(self) -> Iterator[Windows]:
        while True:
            passed = min(self._skip, len(self._rest))
            self._skip -= passed
            self._rest = self._rest[passed:]
            if self._skip or len(self._rest) < self._size:
                return
            window = self._rest[: self._size]
            self._skip = self._hop
            yield {name: window[:, picked] for name, picked in self._picked.items()}


def _width(samples: Array) -> int:
    if samples.ndim != 2:  # noqa: PLR2004  # samples and channels
        raise ContractError("shape_mismatch", f"samples are [n, channels], not of {samples.ndim} axes")
    return int(samples.shape[1])


def _columns(wanted: Sequence[str], have: Sequence[str]) -> list[int]:
    for channel in wanted:
        if channel not in have:
            raise ContractError(
                "channel_unknown", f"the stream has no channel {channel!r}{did_you_mean(channel, have)}"
            )
    return [have.index(channel) for channel in wanted or have]
