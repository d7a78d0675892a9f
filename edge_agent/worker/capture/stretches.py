"""Where a recording is cut into stretches that share no window. Pure."""

from collections.abc import Iterator
from itertools import pairwise

from edge_agent.acquisition.recordings import Recording


def stretches(recording: Recording, pieces: int, least: int) -> Iterator[tuple[int, int]]:
    """The first sample of each stretch and how many it has; ``least`` samples lie between two, and none has a break.

    Args:
        recording: that is cut.
        pieces: how many stretches there shall be between two breaks, as far as there are samples for that.
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
