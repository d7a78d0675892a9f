"""The prepared float model's activations over the rows of one set, window by window."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from edge_agent.backends import Array, Backend, ModelInfo
from edge_agent.contract.carried_state import CarriedState
from edge_agent.jobs.task import Task
from edge_agent.worker.data.dataset import DataSet
from edge_agent.worker.data.split import Split


def tapped(
    backend: Backend,
    prepared: Path,
    info: ModelInfo,
    data: DataSet,
    split: Split,
    task: Task,
    names: Sequence[str],
    *,
    runtime: str,
) -> Iterator[Iterator[tuple[str, Array]]]:
    """For each window of ``split``, the values of the tensors ``names``, one at a time.

    A second session carries declared state, because a state output need not be among the tapped tensors.
    """
    carried = CarriedState(task.state, info)
    model = backend.open(prepared, runtime=runtime) if task.state else None
    tap = backend.tap(prepared, names, runtime=runtime)
    for row in data.rows(split):
        feeds = carried.feeds(row)
        yield tap.run(feeds)
        if model is not None:
            carried.keep(model.run(feeds))
