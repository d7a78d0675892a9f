"""Cuts a recording into segments that share no window. Pure."""

from collections.abc import Iterator
from itertools import pairwise

from edge_agent.acquisition.recordings import Recording


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
