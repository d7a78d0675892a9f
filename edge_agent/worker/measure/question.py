"""The request and the answer of a measurement: JSON from one process to another.

These are plain dataclasses, because the measuring process must start fast: importing the library with which the other
side validates the answer would take a tenth of that start.
"""

from dataclasses import dataclass, field

LONG_CALL_S = 0.1
TIMEOUT_S = 900.0
"""A measurement that takes longer is aborted."""
_FEW = 2


@dataclass(frozen=True)
class Served:
    """A model file and how it is served: the runtime and the number of threads.

    ``usual``: load the model with the runtime's defaults, as most applications do.
    """

    path: str
    runtime: str
    threads: int = 1
    usual: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure: each model is called ``min_rounds`` times, and further until ``rounds`` or ``seconds``.

    ``warmed``: an untimed call precedes each timed call. With many models in turn, each would otherwise find the caches
    full of the other models' weights, which favours small models (measured on an x86-64 server: 5 to 12 %).

    Calls of :data:`LONG_CALL_S` and longer fill the caches themselves, and a few of them say as much as many short
    ones. Such models are warmed up less, and a seventh of ``min_rounds`` is enough, which takes as long as the rounds
    of a fast model.

    ``most_bytes``: limit of the resident memory of the process. The first model that would exceed it, and all models
    behind it, are left out; 0: no limit. The first ``fewest`` models are called in any case.

    ``tolerant``: a model that cannot be loaded or run is left out and reported, and the measurement goes on.

    ``feeds`` is the path of a file of :func:`edge_agent.worker.measure.feeds.write_feeds`. If ``models`` is empty, the
    process only imports ``runtime`` and returns its version. No other runtime is imported, because it may crash here.
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
    """A model that cannot be loaded or run: its place in the request and the error."""

    place: int
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """The footprint of one model: resident memory (VmRSS) in bytes above the empty runtime, and times in ms.

    Attributes:
        loaded_rss_bytes: after the model was loaded.
        steady_rss_bytes: after all calls.
        load_ms: time until the model could be called.
        first_ms: time of the first call, which is slower than later ones.
    """

    loaded_rss_bytes: int
    steady_rss_bytes: int
    load_ms: float
    first_ms: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Milliseconds of each call, one list per model in the order of the request, and the process's peak memory (RSS).

    There are fewer lists than models if ``most_bytes`` left no room for the others.

    ``empty_rss_bytes``: for a request of one model, the peak with the runtime imported and no model loaded.
    ``footprint``: for a request of one model.

    ``refused``: the models that a tolerant measurement left out; ``times_ms`` covers the others.

    ``version``: the version of the runtime, for a request without models.
    ``code`` and ``message``: why the measurement failed.
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
    """The smallest number of timed calls of a model whose calls take ``call_s`` seconds."""
    return min_rounds if call_s < LONG_CALL_S else max(_FEW, min_rounds // 7)
