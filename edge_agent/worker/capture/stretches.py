"""Cuts a recording into segments that share no window, and a segment into windows."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from edge_agent.acquisition.recordings import Recording
from edge_agent.preprocess.resample import Resampler
from edge_agent.wire.manifest import Window

_FAR_APART = 2
"""Windows whose starts are at least this many windows apart are read one by one."""


def stretches(recording: Recording, pieces: int, least: int) -> Iterator[tuple[int, int]]:
    """First sample and length of each segment. Segments are ``least`` samples apart and contain no break.

    Args:
        recording: the recording to cut.
        pieces: number of segments between two breaks, if there are enough samples.
        least: samples that a window takes.
    """
    for begin, end in pairwise([0, *recording.breaks, recording.length]):
        if size := recording.window_size:
            whole = (end - begin) // size
            count = max(1, min(pieces, whole))
            edges = [begin + size * (whole * place // count) for place in range(count + 1)]
            yield from ((one, other - one) for one, other in pairwise(edges))
            continue
        count = max(1, min(pieces, (end - begin + least) // (3 * least)))
        length = (end - begin - (count - 1) * least) // count
        yield from ((begin + place * (length + least), length) for place in range(count))


def windows_of(
    recording: Recording, resample: Resampler, start: int, window: Window, count: int
) -> Iterator[NDArray[Any]]:
    """``count`` windows ``[size, ..., columns]`` from sample ``start`` on; the recording is read forward only.

    There are fewer windows if samples are malformed. Memory holds the samples of windows, not those between them.
    """
    if window.hop < _FAR_APART * window.size:
        samples = resample(recording.take(start, resample.needed((count - 1) * window.hop + window.size)))
        for begin in range(0, len(samples) - window.size + 1, window.hop):
            yield samples[begin : begin + window.size]
        return
    needed, at = resample.needed(window.size), start
    for number in range(count):
        begin = start + int(number * window.hop / resample.ratio)
        while at < begin:
            skipped = min(recording.at_once, begin - at)
            recording.take(at, skipped)
            at += skipped
        samples = resample(recording.take(begin, needed))
        at = begin + needed
        if len(samples) >= window.size:
            yield samples[: window.size]
