"""One measurement in a fresh process: the runtime and nothing else.

    python -m edge_agent.worker.measure.probe [REQUEST_FD READY_FD RUNTIME...]

Reads one :class:`.question.Request` as JSON from standard input and writes one :class:`.question.Answer` as a JSON line
to standard output; :mod:`.asking` is the other side. Where it is started ahead of its request, it imports the runtimes,
says so with a byte, and waits for the request on another descriptor. Times are of whole calls, as an application sees
them. Knows nothing of ratios, gates or candidates.

Models are called in turn, and the turn begins with another model in each round: what the machine does meanwhile
(clock, other load) then meets all of them alike, so their ratio is steady even where the times are not.
"""

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from edge_agent.backends import Backend, Feeds, Session, load
from edge_agent.device.optimized_form import OPTIMIZED_FILE, WEIGHTS_FILE
from edge_agent.errors import EdgeAgentError, ModelError, StageError
from edge_agent.process.heap import counted_resident_bytes, give_back
from edge_agent.process.mapped import unread_bytes
from edge_agent.process.program import EXIT_OUT_OF_MEMORY
from edge_agent.process.sandbox import confine
from edge_agent.worker.measure.feeds import read_feeds
from edge_agent.worker.measure.question import (
    LONG_CALL_S,
    TIMEOUT_S,
    Answer,
    Footprint,
    Refused,
    Request,
    Served,
    fewest_rounds,
)

_WARM_UP = 3
_GRACE_S = 5.0
"""After this the kernel ends a probe whose time is up: a confined process may not end what it has started."""
_FORMATS = {"onnxruntime": "onnx", "ai-edge-litert": "tflite", "tflite-runtime": "tflite"}
"""Runtime → the format whose backend serves with it. A backend's ``open`` must import nothing but its runtime."""


def measure(request: Request) -> Answer:
    """Carry out ``request`` in this process.

    Raises:
        ModelError: a model cannot be loaded or run.
        StageError: the runtime is not known here.
    """
    if not request.models:
        version = _backend(request.runtime).runtime_version(request.runtime)
        return Answer(peak_rss_bytes=_peak_rss_bytes(), version=version)
    if len(request.models) == 1 and not request.tolerant:
        return _alone(request, request.models[0])
    feeds = read_feeds(request.feeds)
    sessions, call_s, refused = _opened(request, feeds)
    times = _time_in_turn(sessions, feeds, request, call_s)
    return Answer(times_ms=times, refused=refused, peak_rss_bytes=_peak_rss_bytes())


def _alone(request: Request, model: Served) -> Answer:
    """Times of one model, and what it takes: the process is its own.

    Weights that an optimised form maps count whole: other rows than this one read other pages of them.
    """
    backend = _backend(model.runtime)
    backend.runtime_version(model.runtime)  # imports it
    empty_bytes = _peak_rss_bytes()
    feeds = read_feeds(request.feeds)
    give_back()
    base_bytes = counted_resident_bytes()
    clock = time.perf_counter
    begun = clock()
    session = _open(model)
    opened = clock()
    loaded_bytes = counted_resident_bytes() + _unread_bytes(model)
    called = clock()
    session.run(feeds)
    first_s = clock() - called
    times = _time_in_turn([session], feeds, request, _warm_up(session, feeds, done=1))
    steady_bytes = counted_resident_bytes() + _unread_bytes(model)
    return Answer(
        times_ms=times,
        peak_rss_bytes=max(_peak_rss_bytes(), steady_bytes),
        empty_rss_bytes=empty_bytes,
        footprint=Footprint(
            loaded_rss_bytes=loaded_bytes - base_bytes,
            steady_rss_bytes=steady_bytes - base_bytes,
            load_ms=1e3 * (opened - begun),
            first_ms=1e3 * first_s,
        ),
    )


def _unread_bytes(model: Served) -> int:
    path = Path(model.path)
    return unread_bytes(path.with_name(WEIGHTS_FILE)) if path.name == OPTIMIZED_FILE else 0


def _opened(request: Request, feeds: Feeds) -> tuple[list[Session], float, list[Refused]]:
    """The models, warmed up: all, or as many of the first as memory allows; seconds of the slowest's last call; others.

    Where memory is counted each is warmed up as it is loaded: only then it has taken what it needs. A model that is
    asked for twice and does not fit twice is loaded once, and called under both places.
    """
    sessions: list[Session] = []
    opened: dict[Served, Session] = {}
    refused: list[Refused] = []
    slowest_s = 0.0
    at_once = bool(request.most_bytes) or request.tolerant
    taken, largest = _peak_rss_bytes(), 0
    for place, model in enumerate(request.models):
        full = bool(request.most_bytes) and taken + largest > request.most_bytes
        if full and len(sessions) >= request.fewest:
            break
        if full and model in opened:
            sessions.append(opened[model])
            continue
        try:
            session = _open(model)
            slowest_s = max(slowest_s, _warm_up(session, feeds) if at_once else 0.0)
        except ModelError as error:
            if not request.tolerant:
                raise
            refused.append(Refused(place, error.code, error.message))
            continue
        sessions.append(session)
        opened[model] = session
        before, taken = taken, _peak_rss_bytes()
        largest = max(largest, taken - before)
    if not at_once:
        slowest_s = max(_warm_up(session, feeds) for session in sessions)
    return sessions, slowest_s, refused


def _warm_up(session: Session, feeds: Feeds, *, done: int = 0) -> float:
    """Warm a session up that was called ``done`` times; seconds of its last call."""
    call_s = 0.0
    for number in range(done, _WARM_UP):
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


def _time_in_turn(sessions: list[Session], feeds: Feeds, request: Request, call_s: float) -> list[list[float]]:
    """Milliseconds of the calls of each; ``call_s``: of the slowest one's."""
    if call_s >= LONG_CALL_S:
        request = replace(request, min_rounds=fewest_rounds(request.min_rounds, call_s), warmed=False)
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


def _open(model: Served) -> Session:
    return _backend(model.runtime).open(
        Path(model.path), runtime=model.runtime, threads=model.threads, usual=model.usual
    )


def _backend(runtime: str) -> Backend:
    if runtime not in _FORMATS:
        raise StageError("stage_crashed", f"no runtime {runtime!r} here; known: {', '.join(_FORMATS)}")
    return load(_FORMATS[runtime])


def main(arguments: Sequence[str]) -> int:
    """Answer the request, on standard input or as the arguments say; returns the exit code."""
    confine()
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S + _GRACE_S)
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    request_fd, ready_fd, *runtimes = arguments or ("0", "")
    try:
        for runtime in runtimes:
            with suppress(EdgeAgentError):  # it is told once the runtime is asked for
                _backend(runtime).runtime_version(runtime)
        if ready_fd:
            os.write(int(ready_fd), b"!")
        with os.fdopen(int(request_fd), "rb") as stream:
            asked = stream.read()
        if not asked:  # started ahead, and not needed
            return 0
        answer = measure(_request(asked))
    except EdgeAgentError as error:
        answer = Answer(code=error.code, message=error.message)
    except MemoryError:
        return EXIT_OUT_OF_MEMORY
    os.write(answer_fd, json.dumps(asdict(answer)).encode() + b"\n")
    return 0


def _request(asked: bytes) -> Request:
    told = json.loads(asked)
    return Request(**told | {"models": [Served(**one) for one in told.get("models", ())]})


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    if "coverage" in sys.modules:  # it writes down what it has seen when the interpreter ends
        sys.exit(exit_code)
    os._exit(exit_code)  # to take interpreter and runtime apart takes a quarter of such a process
