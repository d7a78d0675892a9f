"""One measurement in a fresh process: the runtime and nothing else.

    python -m edge_agent.worker.measure.probe [REQUEST_FD READY_FD RUNTIME...]

Reads one :class:`.question.Request` as JSON from standard input and writes one :class:`.question.Answer` as a JSON line
to standard output; :mod:`.asking` is the other side. A probe that is started ahead of its request imports the runtimes,
writes one byte to ``READY_FD``, and waits for the request on ``REQUEST_FD``. Times cover whole calls, as an application
sees them. This module knows nothing of ratios, gates or candidates.

Models are called in turn, and each round begins with a different model. Changes of the clock and other load then affect
all models alike, so their ratio is steady even if the times are not.
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
"""The kernel ends a probe this long after its time limit, because a confined parent may not end its children."""
_FORMATS = {"onnxruntime": "onnx", "ai-edge-litert": "tflite", "tflite-runtime": "tflite"}
"""Runtime → the format of the backend that uses it. A backend's ``open`` must import nothing but its runtime."""


def measure(request: Request) -> Answer:
    """Carry out ``request`` in this process.

    Raises:
        ModelError: a model cannot be loaded or run.
        StageError: the runtime is unknown.
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
    """Times and memory of a single model, which has this process to itself.

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
    """The sessions, warmed up; the seconds of the slowest model's last call; and the models that were refused.

    With a memory limit, the sessions cover only as many of the first models as fit. Each model is then warmed up when
    it is loaded, because only the calls allocate all of its memory. A model that is requested twice and does not fit
    twice is loaded once and called at both places.
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
    """Warm up a session that was already called ``done`` times; return the seconds of its last call."""
    call_s = 0.0
    for number in range(done, _WARM_UP):
        begun = time.perf_counter()
        session.run(feeds)
        call_s = time.perf_counter() - begun
        if number > 0 and call_s >= LONG_CALL_S:  # the first call plans the memory, the second allocates it
            break
    return call_s


def _peak_rss_bytes() -> int:
    """VmHWM: the peak resident memory of this process since it was executed (``man 5 proc``).

    ``getrusage`` does not work here: a child's ``ru_maxrss`` starts at its parent's value.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise StageError("stage_crashed", "/proc/self/status has no VmHWM; this kernel does not report peak memory")


def _time_in_turn(sessions: list[Session], feeds: Feeds, request: Request, call_s: float) -> list[list[float]]:
    """The milliseconds of each call, one list per session; ``call_s``: seconds of a call of the slowest session."""
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
        raise StageError("stage_crashed", f"unknown runtime {runtime!r}; known: {', '.join(_FORMATS)}")
    return load(_FORMATS[runtime])


def main(arguments: Sequence[str]) -> int:
    """Answer the request from standard input or from the descriptor in ``arguments``; return the exit code."""
    confine()
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT_S + _GRACE_S)
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    request_fd, ready_fd, *runtimes = arguments or ("0", "")
    try:
        for runtime in runtimes:
            with suppress(EdgeAgentError):  # reported when a request names the runtime
                _backend(runtime).runtime_version(runtime)
        if ready_fd:
            os.write(int(ready_fd), b"!")
        with os.fdopen(int(request_fd), "rb") as stream:
            asked = stream.read()
        if not asked:  # started ahead and then not needed
            return 0
        answer = measure(_request(asked))
    except EdgeAgentError as error:
        answer = Answer(code=error.code, message=error.message)
    except MemoryError:
        return EXIT_OUT_OF_MEMORY
    os.write(answer_fd, json.dumps(asdict(answer)).encode() + b"\n")
    return 0


def _request(asked: bytes) -> Request:
    fields = json.loads(asked)
    return Request(**fields | {"models": [Served(**one) for one in fields.get("models", ())]})


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    if "coverage" in sys.modules:  # coverage stores its data at a regular exit
        sys.exit(exit_code)
    os._exit(exit_code)  # tearing down the interpreter and the runtime takes a quarter of the run
