"""One measurement in a fresh process, ``python -m edge_agent.worker.measure.probe``: the runtime and nothing else.

Reads one :class:`Request` as JSON from standard input and writes one :class:`Answer` as a JSON line to standard
output; :func:`ask` is the other side. Times are of whole calls, as an application sees them. Knows nothing of ratios,
gates or candidates.

Models are called in turn, and the turn begins with another model in each round: what the machine does meanwhile
(clock, other load) then meets all of them alike, so their ratio is steady even where the times are not.
"""

import gc
import os
import signal
import sys
import time
import zipfile
from pathlib import Path

import msgspec
import numpy as np

from edge_agent.backends import Backend, Feeds, Session, load
from edge_agent.errors import EdgeAgentError, LimitError, ModelError, StageError
from edge_agent.process.child import Child
from edge_agent.process.child_limits import ChildLimits
from edge_agent.process.program import EXIT_OUT_OF_MEMORY, python_child
from edge_agent.process.sandbox import confine
from edge_agent.worker.measure.heap import give_back

LONG_CALL_S = 0.1
_FEW = 2
_WARM_UP = 3
_TIMEOUT_S = 900.0
_GRACE_S = 5.0
"""After this the kernel ends a probe whose time is up: a confined process may not end what it has started."""
_FORMATS = {"onnxruntime": "onnx", "ai-edge-litert": "tflite", "tflite-runtime": "tflite"}
"""Runtime → the format whose backend serves with it. A backend's ``open`` must import nothing but its runtime."""


class Served(msgspec.Struct, frozen=True):
    """A model file as it would be served: with which runtime, on how many threads."""

    path: str
    runtime: str
    threads: int = 1


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure: every model is called ``min_rounds`` times, then on until ``rounds`` or ``seconds``.

    ``warmed``: before each call that is timed comes one that is not. With many models in turn each would find the
    caches full of others' weights, which flatters the small ones (measured on an x86-64 server: 5 to 12 %).

    Calls of :data:`LONG_CALL_S` and more fill the caches themselves, and a few say as much as many short ones: they are
    warmed up less, and a seventh of ``min_rounds`` is enough: that takes as long as what fast models are given.

    ``most_bytes``: where the next model would take the process above so much resident memory, it and those behind it
    are left out; 0: all are called. The first ``fewest`` are called in any case.

    ``tolerant``: a model that cannot be loaded or run is left out and told of, instead of ending the measurement.

    ``feeds`` names a file of :func:`write_feeds`. ``models`` may be empty: then ``runtime`` is imported and no more,
    which tells its version and the memory of an empty one. No other runtime is ever imported: it may crash here.
    """

    feeds: str
    models: list[Served] = []
    runtime: str = ""
    rounds: int = 200
    min_rounds: int = 20
    seconds: float = 1.0
    warmed: bool = False
    most_bytes: int = 0
    fewest: int = 2
    tolerant: bool = False


class Refused(msgspec.Struct, frozen=True):
    """A model that cannot be loaded or run: its place in the request, and why."""

    place: int
    code: str
    message: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of each call, one list per model in the order asked, and this process's peak resident memory.

    Fewer lists than models: no more were called within ``most_bytes``.

    ``refused``: those that a tolerant measurement has left out; ``times_ms`` are of the others.

    ``version``: of the runtime, where one was asked for and no model.
    ``code`` and ``message``: why nothing could be measured.
    """

    times_ms: list[list[float]] = []
    refused: list[Refused] = []
    peak_rss_bytes: int = 0
    version: str = ""
    code: str = ""
    message: str = ""


def write_feeds(path: Path, feeds: Feeds) -> None:
    """Keep one row for probes: an array of full shape (batch axis included) for each model input, as an ``.npz``."""
    with zipfile.ZipFile(path, "w") as archive:  # numpy.savez cannot hold an input that is called "file"
        for name, array in feeds.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.save(member, np.asanyarray(array), allow_pickle=False)


def ask(request: Request) -> Answer:
    """Carry out ``request`` in a fresh process.

    Raises:
        ModelError: a model cannot be loaded or run.
        LimitError: ``out_of_memory`` or ``stage_timeout``.
        StageError: the process crashed; the message says how.
    """
    lines: list[str] = []
    content = msgspec.json.encode(request)
    give_back()  # both processes share a limit
    limits = ChildLimits(timeout_s=_TIMEOUT_S)  # memory: what limits this process limits its children
    ended = Child(
        python_child("edge_agent.worker.measure.probe"),
        limits=limits,
        on_line=lines.append,
        stdin=content,
        own_group=False,
    ).wait()
    if ended.reason == "out_of_memory":
        raise LimitError("out_of_memory", "the models do not fit into the memory that a measurement may use")
    if ended.reason == "timeout":
        raise LimitError("stage_timeout", f"a measurement took longer than {_TIMEOUT_S:g} s")
    if not lines:
        raise StageError("stage_crashed", f"a measurement {ended.describe()}")
    answer = msgspec.json.decode(lines[-1], type=Answer)
    if answer.code:
        raise ModelError(answer.code, answer.message)
    return answer


def measure(request: Request) -> Answer:
    """Carry out ``request`` in this process.

    Raises:
        ModelError: a model cannot be loaded or run.
        StageError: the runtime is not known here.
    """
    if not request.models:
        version = _backend(request.runtime).runtime_version(request.runtime)
        return Answer(peak_rss_bytes=_peak_rss_bytes(), version=version)
    with np.load(request.feeds, allow_pickle=False) as arrays:
        feeds = {name: arrays[name] for name in arrays.files}
    sessions, call_s, refused = _opened(request, feeds)
    if call_s >= LONG_CALL_S:
        request = msgspec.structs.replace(request, min_rounds=fewest_rounds(request.min_rounds, call_s), warmed=False)
    times = _time_in_turn(sessions, feeds, request)
    return Answer(times_ms=times, refused=refused, peak_rss_bytes=_peak_rss_bytes())


def fewest_rounds(min_rounds: int, call_s: float) -> int:
    """How often a model is called at least whose calls take so long."""
    return min_rounds if call_s < LONG_CALL_S else max(_FEW, min_rounds // 7)


def _opened(request: Request, feeds: Feeds) -> tuple[list[Session], float, list[Refused]]:
    """The models, warmed up: all, or as many of the first as memory allows; seconds of the slowest's last call; others.

    Where memory is counted each is warmed up as it is loaded: only then it has taken what it needs.
    """
    sessions: list[Session] = []
    refused: list[Refused] = []
    slowest_s = 0.0
    at_once = bool(request.most_bytes) or request.tolerant
    taken, largest = _peak_rss_bytes(), 0
    for place, model in enumerate(request.models):
        if request.most_bytes and len(sessions) >= request.fewest and taken + largest > request.most_bytes:
            break
        try:
            session = _backend(model.runtime).open(Path(model.path), runtime=model.runtime, threads=model.threads)
            slowest_s = max(slowest_s, _warm_up(session, feeds) if at_once else 0.0)
        except ModelError as error:
            if not request.tolerant:
                raise
            refused.append(Refused(place, error.code, error.message))
            continue
        sessions.append(session)
        before, taken = taken, _peak_rss_bytes()
        largest = max(largest, taken - before)
    if not at_once:
        slowest_s = max(_warm_up(session, feeds) for session in sessions)
    return sessions, slowest_s, refused


def _warm_up(session: Session, feeds: Feeds) -> float:
    """Warm a session up; seconds of its last call."""
    call_s = 0.0
    for number in range(_WARM_UP):
        begun = time.perf_counter()
        session.run(feeds)
        call_s = time.perf_counter() - begun
        if number > 0 and call_s >= LONG_CALL_S:  # the first one plans the memory that the second one takes
            break
    return call_s


def _peak_rss_bytes() -> int:
    """VmHWM: the most resident memory that this process has had since it was executed (``man 5 proc``).

    ``getrusage`` would not do: a child's ``ru_maxrss`` begins at its parent's.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise StageError("stage_crashed", "/proc/self/status has no VmHWM; this kernel cannot tell peak memory")


def _time_in_turn(sessions: list[Session], feeds: Feeds, request: Request) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in sessions]
    clock = time.perf_counter_ns
    gc.disable()  # a collection would hit one model's call and not the others'
    end = clock() + int(request.seconds * 1e9 * len(sessions) / len(request.models))
    for done in range(request.rounds):
        if done >= request.min_rounds and clock() >= end:
            break
        for turn in range(len(sessions)):
            index = (done + turn) % len(sessions)
            if request.warmed:
                sessions[index].run(feeds)
            begin = clock()
            sessions[index].run(feeds)
            times[index].append((clock() - begin) / 1e6)
    gc.enable()
    return times


def _backend(runtime: str) -> Backend:
    if runtime not in _FORMATS:
        raise StageError("stage_crashed", f"no runtime {runtime!r} here; known: {', '.join(_FORMATS)}")
    return load(_FORMATS[runtime])


def main() -> int:
    """Answer the request on standard input; returns the exit code."""
    confine()
    signal.setitimer(signal.ITIMER_REAL, _TIMEOUT_S + _GRACE_S)
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    try:
        answer = measure(msgspec.json.decode(sys.stdin.buffer.read(), type=Request))
    except EdgeAgentError as error:
        answer = Answer(code=error.code, message=error.message)
    except MemoryError:
        return EXIT_OUT_OF_MEMORY
    os.write(answer_fd, msgspec.json.encode(answer) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
