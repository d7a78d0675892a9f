"""The inputs of a search: the model, its data, the calibration's results, and the choices for candidates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_agent.backends import Backend, Flow, Layer, ModelInfo, load
from edge_agent.contract.carried_state import CarriedState
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.jobs.task import Stage, Task
from edge_agent.worker.artefacts import Ranges, prepared_path, read_ranges
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import DataSet, open_dataset
from edge_agent.worker.measure.feeds import write_feeds
from edge_agent.worker.measure.runtimes import ServingOption, serving_options
from edge_agent.worker.search.mending import Graph
from edge_agent.worker.search.space import SearchSpace
from edge_agent.worker.search.starts import known_starts
from edge_agent.worker.search.tail import Tail, float_tail


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The inputs of a search. The model's weights are not in memory."""

    backend: Backend
    info: ModelInfo
    data: DataSet
    ranges: Ranges
    layers: list[Layer]
    """All quantizable layers, in graph order, with their weights removed."""
    weighted: list[Layer]
    """The layers that have weights."""
    flow: Flow
    """The whole graph."""
    served: Sequence[ServingOption]
    notes: list[str]
    """Warnings for the report, whatever the search finds."""
    feeds: Path

    @property
    def unlisted(self) -> set[str]:
        """Operators with only a dynamic form, such as an LSTM, which are therefore not among the layers."""
        return set(self.info.operators) & set(self.backend.product_operators()) - {one.operator for one in self.layers}

    @property
    def no_products(self) -> set[str]:
        """Operators with weights that compute in float if only the weights are int8."""
        products = set(self.backend.product_operators())
        return {node.operator for node in self.flow.nodes if node.weights} - products | self.unlisted


def prepare(context: Context) -> Prepared:
    """Load the calibration's results and store one row for timing candidates."""
    task = context.task
    backend = load(task.format)
    info = backend.inspect(context.model_path)
    data = open_dataset(context, info)
    path = prepared_path(context.folder(Stage.CALIBRATE), backend.SUFFIX)
    given = backend.layers(path)
    ranges = read_ranges(context.folder(Stage.CALIBRATE))
    served, few_cores = serving_options(ranges.runtimes, task.recipe.threads)
    feeds = context.out_dir / "feeds.npz"
    write_feeds(feeds, CarriedState(task.state, info).feeds(next(iter(data.rows("search")))))
    return Prepared(
        backend=backend,
        info=info,
        data=data,
        ranges=ranges,
        layers=[replace(layer, weights=None) for layer in given],
        weighted=[replace(layer, weights=None) for layer in given if layer.weights is not None],
        flow=backend.flow(path),
        served=served,
        notes=few_cores,
        feeds=feeds,
    )


def space_of(task: Task, prepared: Prepared) -> SearchSpace:
    """The choices for this model, without the layers that no candidate may round."""
    backend, bound = prepared.backend, set(prepared.ranges.float_layers)
    free = [layer for layer in prepared.layers if layer.name not in bound]
    return SearchSpace(
        recipe=task.recipe,
        present={layer.operator for layer in free} if any(layer.multiplies for layer in free) else (),
        weighted=prepared.unlisted | {layer.operator for layer in prepared.weighted if layer.name not in bound},
        core=backend.core_operators(),
        products=backend.product_operators(),
        schemes=backend.schemes,
    )


def tail_of(task: Task, prepared: Prepared, kind: str) -> Tail:
    """The layers to leave float from the start; ``kind``: the kind of the first judged output."""
    kinds = [kind, *(one.kind or "" for one in task.outputs)]
    judged = ScoredOutput(prepared.info, task).positions
    seen = next(iter(prepared.ranges.ranges), "")  # any range method shows the scale
    return float_tail(prepared.flow, prepared.layers, kinds, judged, prepared.ranges.of(seen))


def graph_of(prepared: Prepared) -> Graph:
    """The layers where int8 loses most according to the graph."""
    weighted = [layer.name for layer in prepared.weighted]
    return Graph(weighted, known_starts(prepared.flow, prepared.layers, weighted))
