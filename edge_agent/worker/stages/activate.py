"""The probe of a new release: a fresh process loads it as an application would, and runs it once.

It runs after the swap, so what it proves is what an application gets: the file has its hash, its runtime loads it,
its manifest says how to feed it, and on a captured window its outputs are finite. Where the release has an optimised
form, that is the file; where the runtime was upgraded since the form was made, it is the model file, as for an
application.
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
