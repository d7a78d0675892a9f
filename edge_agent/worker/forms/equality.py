"""Whether an optimised form answers as its model does: bit for bit, every output, on every window.

So all that a search has found of a model file holds for its form, and no statistic is needed to say so.
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
    """A digest of all outputs for the rows of a set, in their order; state is carried as in scoring.

    Nothing but the digest is kept, so a form need not be in memory beside its model.
    """
    carried, digest = CarriedState(task.state, info), hashlib.sha256()
    for row in data.rows(split):
        outputs = session.run(carried.feeds(row))
        carried.keep(outputs)
        update(digest, outputs)
    return digest.digest()


def update(digest: Any, outputs: Sequence[Array]) -> None:
    """Feed a hash with outputs: types, shapes and bits. NaN equals itself here, and -0.0 is not 0.0."""
    for output in outputs:
        values = np.ascontiguousarray(output)
        digest.update(f"{values.dtype.str} {output.shape}\n".encode())
        digest.update(repr(values.tolist()).encode() if values.dtype.hasobject else values.tobytes())
