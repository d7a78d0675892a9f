"""Proves on data that a prepared float model computes the same outputs as the original.

Only one model is in memory at a time, because a small device has no room for both.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np

from edge_agent.backends import Array, Backend, Feeds, ModelInfo, Session
from edge_agent.contract.carried_state import CarriedState
from edge_agent.errors import ModelError
from edge_agent.process.heap import give_back
from edge_agent.wire.manifest import State
from edge_agent.worker.data.dataset import DataSet

_WINDOWS = 8
_RELATIVE_ERROR = 1e-3
"""Constant folding reorders float sums, which changes values by rounding only."""
_ROUNDED_ERROR = 0.1
"""For an original that rounds internally; measured on a keyword spotter: 0.02 to 0.035."""
_KEPT_BYTES = 64 << 20
"""The limit for the original's stored outputs; beyond it, no further window is compared."""
_PART = 65_536
"""Values compared at a time."""


def prove_prepared(
    backend: Backend,
    models: tuple[Path, Path],
    data: DataSet,
    info: ModelInfo,
    state: Sequence[State],
    runtime: str,
) -> float:
    """Compare original and prepared model on the first calibration windows: eight, or fewer if outputs are large.

    Args:
        backend: the backend of the models' format.
        models: the original, then the prepared model.
        data: the data set with the calibration set.
        info: the original's description.
        state: the state that the model carries from one window to the next.
        runtime: the runtime of both.

    Returns:
        The original's median seconds per window.

    Raises:
        ModelError: ``prepare_mismatch``.
    """
    original, prepared = models
    answers: list[list[Array]] = []
    seconds = []
    session = _open(backend, original, runtime)
    for feeds in _feeds(data, CarriedState(state, info), answers):
        started = time.perf_counter()
        answers.append(session.run(feeds))
        seconds.append(time.perf_counter() - started)
        if sum(output.nbytes for outputs in answers for output in outputs) > _KEPT_BYTES:
            break
    del session
    session = _open(backend, prepared, runtime)
    tolerance = _ROUNDED_ERROR if info.rounds else _RELATIVE_ERROR
    for outputs, feeds in zip(answers, _feeds(data, CarriedState(state, info), answers), strict=False):
        for spec, wanted, got in zip(info.outputs, outputs, session.run(feeds), strict=True):
            if not same(wanted, got, tolerance):
                raise ModelError(
                    "prepare_mismatch",
                    f"output {spec.name!r} of the prepared float model differs from the original; report it",
                )
    return median(seconds)


def _open(backend: Backend, path: Path, runtime: str) -> Session:
    give_back()
    return backend.open(path, runtime=runtime)


def _feeds(data: DataSet, carried: CarriedState, answers: Sequence[Sequence[Array]]) -> Iterator[Feeds]:
    """Feeds of the first windows, with the state that the original carries.

    ``answers[n]`` are the original's outputs for window n. They must exist before window n + 1 is requested.
    """
    for place, row in enumerate(islice(data.rows("calibration"), _WINDOWS)):
        yield carried.feeds(row)
        carried.keep(answers[place])


def same(wanted: Array, got: Array, relative: float) -> bool:
    """Whether two outputs differ by no more than ``relative`` of the largest value, element by element."""
    if wanted.shape != got.shape or wanted.dtype != got.dtype:
        return False
    if wanted.dtype.kind != "f":
        return bool(np.array_equal(wanted, got))
    # NaN and Inf cannot scale an error: they are equal only where both outputs have them.
    pairs = list(_parts(wanted, got))
    largest = max((float(np.max(np.abs(one), initial=0.0, where=np.isfinite(one))) for one, _ in pairs), default=0.0)
    with np.errstate(over="ignore"):  # the difference of two huge values of opposite sign is Inf
        return all(
            np.allclose(other, one, rtol=0.0, atol=relative * largest + 1e-7, equal_nan=True) for one, other in pairs
        )


def _parts(first: Array, second: Array) -> Iterator[tuple[Array, Array]]:
    """Views of both, part by part: comparing a large output at once would take several times its memory."""
    one, other = first.reshape(-1), second.reshape(-1)
    return ((one[at : at + _PART], other[at : at + _PART]) for at in range(0, one.size, _PART))
