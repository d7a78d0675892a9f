"""Compares the outputs of an optimised form and its model: every output on every window, bit for bit.

Equal outputs make every result of a search hold for the form as well, without any statistic.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_agent.backends import Array, ModelInfo, Session
from edge_agent.contract.carried_state import CarriedState
from edge_agent.jobs.task import Task
from edge_agent.worker.data.dataset import DataSet
from edge_agent.worker.data.split import Split


def answers_digest(session: Session, info: ModelInfo, data: DataSet, split: Split, task: Task) -> bytes:
    """A digest of all outputs for the rows of a set, in order; state is carried as in scoring.

    Only the digest is stored, so model and form are never in memory together.
    """
    carried, digest = CarriedState(task.state, info), hashlib.sha256()
    for row in data.rows(split):
        outputs = session.run(carried.feeds(row))
        carried.keep(outputs)
        update(digest, outputs)
    return digest.digest()


def update(digest: Any, outputs: Sequence[Array]) -> None:
    """Add outputs to a hash: types, shapes and bits. NaN equals itself, and -0.0 differs from 0.0."""
    for output in outputs:
        values = np.ascontiguousarray(output)
        digest.update(f"{values.dtype.str} {output.shape}\n".encode())
        digest.update(repr(values.tolist()).encode() if values.dtype.hasobject else values.tobytes())
