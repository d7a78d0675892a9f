"""What a measurement is asked, and what it answers: JSON from one process to another.

Dataclasses, as the process that measures must start fast: the library that the asking side checks an answer with
takes a tenth of that start.
"""

from dataclasses import dataclass, field

LONG_CALL_S = 0.1
TIMEOUT_S = 900.0
"""A measurement that takes longer is given up."""
_FEW = 2


@dataclass(frozen=True)
class Served:
    """A model file as it would be served: with which runtime, on how many threads.

    ``usual``: as an application loads it that takes the runtime's defaults.
    """

    path: str
    runtime: str
    threads: int = 1
    usual: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure: every model is called ``min_rounds`` times, then on until ``rounds`` or ``seconds``.

    ``warmed``: before each call that is timed comes one that is not. With many models in turn each would find the
    caches full of others' weights, which flatters the small ones (measured on an x86-64 server: 5 to 12 %).

    Calls of :data:`LONG_CALL_S` and more fill the caches themselves, and a few say as much as many short ones: they are
    warmed up less, and a seventh of ``min_rounds`` is enough: that takes as long as what fast models are given.

    ``most_bytes``: where the next model would take the process above so much resident memory, it and those behind it
    are left out; 0: all are called. The first ``fewest`` are called in any case.

    ``tolerant``: a model that cannot be loaded or run is left out and told of, instead of ending the measurement.

    ``feeds`` names a file of :func:`edge_agent.worker.measure.feeds.write_feeds`. ``models`` may be empty: then
    ``runtime`` is imported and no more, which tells its version. No other runtime is ever imported: it may crash here.
    """

    feeds: str
    models: list[Served] = field(default_factory=list)
    runtime: str = ""
    rounds: int = 200
    min_rounds: int = 20
    seconds: float = 1.0
    warmed: bool = False
    most_bytes: int = 0
    fewest: int = 2
    tolerant: bool = False


@dataclass(frozen=True)
class Refused:
    """A model that cannot be loaded or run: its place in the request, and why."""

    place: int
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What one model takes: resident memory (VmRSS) in bytes over that of the empty runtime, and times in ms.

    Attributes:
        loaded_rss_bytes: after it was loaded.
        steady_rss_bytes: after all calls.
        load_ms: until it could be called.
        first_ms: of the first call, which is slower than those that follow.
    """

    loaded_rss_bytes: int
    steady_rss_bytes: int
    load_ms: float
    first_ms: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Milliseconds of each call, one list per model in the order asked, and this process's peak resident memory.

    Fewer lists than models: no more were called within ``most_bytes``.

    Where one model was asked for: ``empty_rss_bytes``, the same peak with the runtime imported and nothing loaded, and
    ``footprint``.

    ``refused``: those that a tolerant measurement has left out; ``times_ms`` are of the others.

    ``version``: of the runtime, where one was asked for and no model.
    ``code`` and ``message``: why nothing could be measured.
    """

    times_ms: list[list[float]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    peak_rss_bytes: int = 0
    empty_rss_bytes: int = 0
    footprint: Footprint | None = None
    version: str = ""
    code: str = ""
    message: str = ""


def fewest_rounds(min_rounds: int, call_s: float) -> int:
    """How often a model is called at least whose calls take so long."""
    return min_rounds if call_s < LONG_CALL_S else max(_FEW, min_rounds // 7)
