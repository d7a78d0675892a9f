"""The probe of a new release: a fresh process loads it as an application would, and runs it once.

The probe runs after the swap, so it tests the files that an application gets: the model file matches its hash, its
runtime loads it, its manifest's contract feeds it, and its outputs on a captured window are finite. If the release has
an optimised form, the probe runs that form. After an upgrade of the runtime it runs the model file, as an application
does.
"""

import numpy as np

from edge_agent.errors import StoreError
from edge_agent.jobs.outcome import Outcome
from edge_agent.serving.loaded import Loaded
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset


def run(context: Context) -> Outcome:
    """Probe ``job_dir/release``; raises ``StoreError`` (release_corrupt), or as ``Loaded`` does."""
    loaded = Loaded(context.job_dir / "release")
    if loaded.form_failed:
        raise StoreError("release_corrupt", f"the optimised form of {loaded.release.name} {loaded.form_problem}")
    row = next(iter(open_dataset(context, loaded.session).rows("calibration")))
    for output in loaded.run(row.feeds)[1]:
        if np.issubdtype(output.dtype, np.floating) and not np.isfinite(output).all():
            raise StoreError("release_corrupt", f"{loaded.release.name} gives NaN or Inf on a captured window")
    return Outcome()
