"""What a search starts from: the model, its data, what calibration has found, and what there is to choose from."""

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
    """What the search starts from. Nothing of the model's weights is in memory."""

    backend: Backend
    info: ModelInfo
    data: DataSet
    ranges: Ranges
    layers: list[Layer]
    """All that can be quantized, in graph order, without their weights."""
    weighted: list[Layer]
    """Those with weights."""
    flow: Flow
    """The whole graph."""
    served: Sequence[ServingOption]
    notes: list[str]
    """What the report has to warn of, whatever the search finds."""
    feeds: Path

    @property
    def unlisted(self) -> set[str]:
        """Operators that have a dynamic form alone, as an LSTM, and so are none of the layers."""
        return set(self.info.operators) & set(self.backend.product_operators()) - {one.operator for one in self.layers}

    @property
    def no_products(self) -> set[str]:
        """Operators with weights that compute in float where only weights are int8."""
        products = set(self.backend.product_operators())
        return {node.operator for node in self.flow.nodes if node.weights} - products | self.unlisted


def prepare(context: Context) -> Prepared:
    """Read what calibration has left, and write down one row to time candidates with."""
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
    """What there is to choose from for this model: layers that no candidate may round are none."""
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
    """The layers to leave float from the start; ``kind``: of the first judged output."""
    kinds = [kind, *(one.kind or "" for one in task.outputs)]
    judged = ScoredOutput(prepared.info, task).positions
    seen = next(iter(prepared.ranges.ranges), "")  # whatever the method, it tells the scale
    return float_tail(prepared.flow, prepared.layers, kinds, judged, prepared.ranges.of(seen))


def graph_of(prepared: Prepared) -> Graph:
    """Where int8 loses most, by the graph alone."""
    weighted = [layer.name for layer in prepared.weighted]
    return Graph(weighted, known_starts(prepared.flow, prepared.layers, weighted))
