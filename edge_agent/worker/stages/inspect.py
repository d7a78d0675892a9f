"""The step before a capture from a sensor: opens the model and its labelled set, and leaves a description of both.

This step is not a stage of a job. The capture stage starts it (:mod:`edge_agent.worker.capture.inspection`), so that
the process with the sensor opens neither file.
"""

import msgspec

from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import INSPECTED_FILE
from edge_agent.state.durable import write_durably
from edge_agent.worker.capture.inspection import Inspected, look_at_labels, look_at_model
from edge_agent.worker.context import Context


def run(context: Context) -> Outcome:
    """Inspect both files; raises as :func:`look_at_model` and :func:`look_at_labels`."""
    info = look_at_model(context)
    found = Inspected(info, look_at_labels(context, info))
    write_durably(context.out_dir / INSPECTED_FILE, msgspec.json.encode(found))
    return Outcome()
