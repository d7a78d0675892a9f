"""The step before a capture from a sensor: opens the model and its labelled set, and leaves what they are.

It is no stage of a job: the capture stage starts it (:mod:`edge_agent.worker.capture.inspection`), so that the process
with the sensor opens neither.
"""

import msgspec

from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import INSPECTED_FILE
from edge_agent.state.durable import write_durably
from edge_agent.worker.capture.inspection import Inspected, look_at_labels, look_at_model
from edge_agent.worker.context import Context


def run(context: Context) -> Outcome:
    """Look at both; raises as :func:`look_at_model` and :func:`look_at_labels` do."""
    info = look_at_model(context)
    found = Inspected(info, look_at_labels(context, info))
    write_durably(context.out_dir / INSPECTED_FILE, msgspec.json.encode(found))
    return Outcome()
