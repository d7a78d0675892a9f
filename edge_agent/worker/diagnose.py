"""Shows one candidate's ranges a few windows of a set, and tells its worst layers (:mod:`.explain`)."""

from itertools import islice
from typing import Any

from edge_agent.backends import Backend, CandidateSpec
from edge_agent.task import Stage
from edge_agent.worker.calibrate import prepared_path, read_ranges
from edge_agent.worker.context import Context
from edge_agent.worker.dataset import DataSet
from edge_agent.worker.explain import Explainer
from edge_agent.worker.result import finite
from edge_agent.worker.split import Split
from edge_agent.worker.tapping import tapped

_WINDOWS = 16


def worst_layers(
    context: Context, backend: Backend, data: DataSet, split: Split, spec: CandidateSpec
) -> list[dict[str, Any]]:
    """The result object's ``layers`` for a candidate, from the first windows of ``split``."""
    folder = context.folder(Stage.CALIBRATE)
    prepared = prepared_path(folder, backend.SUFFIX)
    explainer = Explainer(backend.layers(prepared), read_ranges(folder).of(spec.calibration), spec)
    info = backend.inspect(context.model_path)
    windows = tapped(backend, prepared, info, data, split, context.task, explainer.names)
    for values in islice(windows, _WINDOWS):
        for name, value in values:
            explainer.add(name, value)
    layers: list[dict[str, Any]] = finite(explainer.worst())
    return layers
