"""Finds a candidate's worst layers (:mod:`.layers`) by running a few windows of a set through its ranges."""

from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from edge_agent.backends import Backend, CandidateSpec, Range
from edge_agent.calibration.summary import summary
from edge_agent.jobs.result import LayerLoss
from edge_agent.jobs.task import Stage
from edge_agent.jobs.value_histogram import MAX_HISTOGRAMS
from edge_agent.worker.artefacts import HISTOGRAMS_FILE, prepared_path, read_histograms, read_ranges
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import DataSet
from edge_agent.worker.data.split import Split
from edge_agent.worker.data.tapping import tapped
from edge_agent.worker.data.tensor_groups import TensorGroups
from edge_agent.worker.explain.layers import FAITHFUL, Explainer
from edge_agent.worker.search.layer_selection import Sensitivity

_WINDOWS = 16
_FEWEST_WINDOWS = 4
_MOST_BYTES = 1 << 29
"""Activations to read in all, if there are more windows than the minimum: about ten seconds."""
_MOST_SUSPECTS = 6


def worst_layers(
    context: Context,
    backend: Backend,
    data: DataSet,
    split: Split,
    spec: CandidateSpec,
    known: Sensitivity | None = None,
) -> list[LayerLoss]:
    """The result object's ``layers`` for a candidate, from the first windows of ``split``.

    The list is empty for a float16 candidate, which rounds every value alike, to eleven bits.

    ``known``: the effect of each rounding on the output, if the search has measured it.
    """
    if spec.method == "float16":
        return []
    folder = context.folder(Stage.CALIBRATE)
    prepared = prepared_path(folder, backend.SUFFIX)
    info = backend.inspect(context.model_path)
    fed = {one.name for one in info.inputs}
    found = read_ranges(folder)
    bound = set(found.float_layers) - set(spec.float_layers) if found.bounded(spec) != spec else set()
    layers = [layer for layer in backend.layers(prepared) if layer.name not in bound]
    saturating = backend.saturates(spec)
    explainer = Explainer(
        layers,
        found.of(spec.calibration),
        spec,
        known,
        fed=fed,
        same_range=found.same_range,
        saturating=saturating,
    )
    where = backend, prepared, info, data, split, context.task
    tap = partial(tapped, *where, runtime=found.runtimes[0])
    groups = TensorGroups(tap, context.task.memory_bytes)
    few = max(_FEWEST_WINDOWS, _MOST_BYTES // max(groups.measure(explainer.names), 1))
    for group in groups.groups(explainer.names):
        for values in islice(tap(group), min(_WINDOWS, few)):
            for name, value in values:
                explainer.add(name, value)
    return _with_histograms(explainer.worst(), folder / HISTOGRAMS_FILE, found.of(spec.calibration))


def _with_histograms(layers: list[LayerLoss], path: Path, ranges: Mapping[str, Range]) -> list[LayerLoss]:
    """The layers; the worst carry the calibration histogram of the activation that causes most of their loss."""
    named = [layer.tensor for layer in layers if layer.tensor and layer.tensor in ranges]
    wanted = dict.fromkeys(named[:MAX_HISTOGRAMS])
    histograms = {name: summary(one, ranges[name]) for name, one in read_histograms(path, wanted).items()}
    return [replace(layer, histogram=histograms.get(layer.tensor or "")) for layer in layers]


def with_measured(layers: Iterable[LayerLoss], before: Iterable[LayerLoss]) -> list[LayerLoss]:
    """``layers`` with the values that only the search measures (cost of float, share of the error), from ``before``."""
    searched = {layer.name: layer for layer in before}
    return [
        replace(layer, output_share=known.output_share, float_cost_ms=known.float_cost_ms)
        if (known := searched.get(layer.name)) is not None
        else replace(layer, output_share=None, float_cost_ms=None)
        for layer in layers
    ]


def suspects(layers: Iterable[LayerLoss], spec: CandidateSpec) -> list[str]:
    """The layers for which the cost of float is worth measuring: those left float, and the worst lossy ones."""
    names = [layer.name for layer in layers if layer.name in spec.float_layers or layer.cause != FAITHFUL]
    return sorted(names, key=lambda name: name not in spec.float_layers)[:_MOST_SUSPECTS]
