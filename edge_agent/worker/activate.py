"""The probe of a new release: a fresh process finds it as an application would, loads it and runs it once.

It runs after the swap, so what it proves is what an application gets: the file has its hash, its runtime loads it,
and on a captured window its outputs are finite.
"""

import hashlib

import msgspec
import numpy as np

from edge_agent import backends
from edge_agent.errors import StoreError
from edge_agent.releases import RELEASE_FILE, Release
from edge_agent.task import Outcome
from edge_agent.worker.carry import Carrier
from edge_agent.worker.context import Context
from edge_agent.worker.dataset import open_dataset


def run(context: Context) -> Outcome:
    """Probe ``job_dir/release``; raises ``StoreError`` (release_corrupt) or ``ModelError``."""
    folder = context.job_dir / "release"
    release = msgspec.json.decode((folder / RELEASE_FILE).read_bytes(), type=Release)
    path = folder / release.file
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != release.sha256:
            raise StoreError("release_corrupt", f"{path} does not have the hash in {RELEASE_FILE}")
    backend = backends.load(context.task.format)
    session = backend.open(path, runtime=release.runtime, threads=release.threads)
    info = backend.inspect(context.model_path)
    row = next(iter(open_dataset(context, info).rows("calibration")))
    for output in session.run(Carrier(context.task.state, info).feeds(row)):
        if np.issubdtype(output.dtype, np.floating) and not np.isfinite(output).all():
            raise StoreError("release_corrupt", f"{path} gives NaN or Inf on a captured window")
    return Outcome()
