"""Turns a sensor's samples into a model's windows: resampled as one stream, then cut. Not thread-safe.

The application gives the samples, or the stream reads them from a sensor that the agent shares, alongside calibration.
The resampler is the one of capture, so windows in use are made like the windows that the release was judged on.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from edge_agent.acquisition.monitored import POLL_S, QuietLimits
from edge_agent.backends import Array
from edge_agent.errors import ContractError, SourceError
from edge_agent.preprocess.resample import ResampledStream, rate_ratio
from edge_agent.serving.loaded import Loaded, Windows, samples_of
from edge_agent.strict import did_you_mean

if TYPE_CHECKING:
    from edge_agent.sources import Source

Answer = Callable[[Callable[[Loaded], Iterable[Windows]]], list[Array]]
"""Runs the active release over the windows that are cut for it."""


class Stream:
    """The connection from one sensor to a model. Made by :meth:`edge_agent.serving.Model.stream`.

    Iterating over it reads the sensor that the manifest names, where the agent shares it.
    """

    def __init__(
        self,
        answer: Answer,
        reset: Callable[[], None],
        rate_hz: float | None,
        channels: Sequence[str],
        sensor: "Callable[[], Source]",
    ) -> None:
        self._answer = answer
        self._sensor = sensor
        self._reset_model = reset
        self._rate_hz = rate_hz
        self._channels = list(channels)
        self._cutter: _Cutter | None = None

    def __call__(self, samples: ArrayLike) -> list[Array]:
        """The model's answers for the windows that ``samples`` complete; mostly none or one.

        A new release starts with the samples that arrive after it was loaded.

        Args:
            samples: the next samples, any number, ``[n, channels]``; pictures ``[n, height, width, channels]``.

        Raises:
            ContractError: ``dtype_mismatch``, ``shape_mismatch``, ``channel_unknown``; ``non_finite``, after which the
                stream restarts, as after :meth:`reset`.
            RecipeError: ``recipe_unsupported``: the rate cannot be converted to the manifest's.
            ModelError: ``model_unsupported``: the model fails on these values.
        """
        return self._answer(lambda loaded: self._windows(loaded, samples))

    def __iter__(self) -> Iterator[Array]:
        """Read the manifest's shared sensor and yield the model's answer for each window, until an error ends it.

        No window spans an interruption: an unplugged cable, samples lost because this program was too slow, or samples
        that are not finite. The window restarts after each. Channels and rate are the sensor's own.

        Raises:
            SourceError: ``source_unavailable`` if the agent does not share the sensor, or another code if it cannot be
                opened; ``source_silent`` or ``source_lost`` if nothing has arrived for the sensor's ``silence_s`` and
                for the time of five samples; ``source_lost`` if the sensor was replaced by another.
            EdgeAgentError: those of :meth:`__call__`; ``non_finite`` only if nothing else arrives for ``silence_s``.
        """
        source = self._sensor()
        try:
            self._rate_hz, self._channels = source.rate_hz, list(source.channels)
            limits = QuietLimits.of(source.rate_hz, source.silence_s)
            gaps, heard, ever = source.gaps, time.monotonic(), False
            while True:
                samples = source.read(POLL_S)
                if source.gaps != gaps:
                    gaps = source.gaps
                    self.reset()
                silent = time.monotonic() - heard > limits.silence_s
                if samples is not None:
                    try:
                        yield from self(samples)
                    except ContractError as error:
                        if error.code != "non_finite" or silent:
                            raise
                    else:
                        heard, ever = time.monotonic(), True
                elif silent:
                    what = source.trouble or "no samples have arrived for too long; check power and cable"
                    raise SourceError("source_lost" if ever else "source_silent", what)
        finally:
            source.close()

    def reset(self) -> None:
        """Declare a break before the next samples: no window spans it, and carried state is reset."""
        self._cutter = None
        self._reset_model()

    def _windows(self, loaded: Loaded, given: ArrayLike) -> Iterable[Windows]:
        pictures = any(contract.frame for contract in loaded.inputs.values())
        samples = samples_of(given, pictures=pictures)
        if not pictures and not np.isfinite(samples).all():
            self._cutter = None
            loaded.reset()
            raise ContractError("non_finite", "the samples hold NaN or Inf, so the stream restarts; check the sensor")
        if self._cutter is None or self._cutter.loaded is not loaded:
            self._cutter = _Cutter(loaded, self._rate_hz, self._channels, samples)
        return self._cutter.add(samples)


class _Cutter:
    """Cuts a stream into the windows of one release."""

    def __init__(self, loaded: Loaded, rate_hz: float | None, channels: Sequence[str], samples: Array) -> None:
        self.loaded = loaded
        contracts = list(loaded.inputs.values())
        wanted = {(contract.window, contract.rate_hz, contract.frame) for contract in contracts}
        window, to_hz, frame = next(iter(wanted))
        if window is None or len(wanted) > 1:
            raise ContractError("shape_mismatch", f"{loaded.release.model}'s inputs have no window in common")
        self._size, self._hop = window.size, window.hop
        given = samples.shape[-1] if samples.ndim else 0
        columns = list(channels) or contracts[0].channels or [str(number) for number in range(given)]
        self._picked = {name: _columns(contract.channels, columns) for name, contract in loaded.inputs.items()}
        ratio = rate_ratio(rate_hz, to_hz) if rate_hz and to_hz else rate_ratio(1, 1)
        self._tail = (*(frame or ()), len(columns))
        self._stream = None if ratio == 1 else ResampledStream(ratio, len(columns))
        self._rest: Array = np.empty((0, *self._tail), np.uint8 if frame else np.float32)
        self._skip = 0

    def add(self, samples: Array) -> Iterator[Windows]:
        if samples.ndim == 0 or samples.shape[1:] != self._tail:
            text = f"samples must be [n, {', '.join(map(str, self._tail))}], not of shape {list(samples.shape)}"
            raise ContractError("shape_mismatch", f"{text}; give stream() the names of your channels")
        self._rest = np.concatenate([self._rest, self._stream.add(samples) if self._stream else samples])
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
            yield {name: window[..., picked] for name, picked in self._picked.items()}


def _columns(wanted: Sequence[str], have: Sequence[str]) -> list[int]:
    for channel in wanted:
        if channel not in have:
            raise ContractError(
                "channel_unknown", f"the stream has no channel {channel!r}{did_you_mean(channel, have)}"
            )
    return [have.index(channel) for channel in wanted or have]
