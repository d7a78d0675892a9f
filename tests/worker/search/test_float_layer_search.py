"""A model that plainly fails with one layer in int8: the search finds that layer, on the real runtime."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from support.fragile import BROKEN, write_fragile
from support.jobs import make_job, run_stages
from support.results import told
from support.speeds import latency, prove, screened_by_weights
from support.trained import windows

from edge_agent.backends import onnx as backend
from edge_agent.jobs.result import LayerLoss
from edge_agent.jobs.task import Stage, read_task
from edge_agent.wire.manifest import Gates, Recipe
from edge_agent.worker.artefacts import read_chosen
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset
from edge_agent.worker.explain import diagnose
from edge_agent.worker.explain.diagnose import with_measured
from edge_agent.worker.measure.latency import Decision
from edge_agent.worker.search import screening
from edge_agent.worker.stages import quantize

if TYPE_CHECKING:
    from edge_agent.jobs.outcome import Outcome

pytestmark = pytest.mark.children(covered=False)

BUDGET_S = 600.0
"""Ample: what is found must not hang on how busy the machine is; it takes twenty seconds where nothing else runs."""
STATIC = Recipe(method="static", calibration="mse", search_budget_s=BUDGET_S)


class Search:
    """One search, shared by the tests that look at it."""

    def __init__(self, folder: Path, **task: Any) -> None:
        job_dir = make_job(
            folder, write_fragile(folder / "fragile.onnx"), {"x": windows(240, seed=2)[0]},
            **{"gates": Gates(max_latency_ratio=0), "recipe": STATIC, **task},
        )  # fmt: skip
        run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE)
        started = time.monotonic()
        self.outcome: Outcome = run_stages(job_dir, Stage.QUANTIZE)
        self.seconds = time.monotonic() - started
        self.folder = job_dir / "quantize"
        self.records: list[dict[str, Any]] = told(self.outcome)["candidates"]
        self.layers: dict[str, dict[str, Any]] = {layer["name"]: layer for layer in told(self.outcome)["layers"]}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Search:
    with pytest.MonkeyPatch.context() as patch:
        # speed is its own tests' subject, and a layer that is left float shall cost some, however busy this machine is
        prove(patch, lambda *_, **__: latency(Decision.ACCEPTED))
        patch.setattr(screening, "screen", screened_by_weights)
        return Search(tmp_path_factory.mktemp("found"))


def test_no_candidate_without_float_layers_passes(found: Search) -> None:
    plain = [record for record in found.records if not record["float_layers"]]

    assert len(plain) >= 3
    assert all(record["code"] == "agreement_too_low" and record["agreement"] < 0.9 for record in plain)


def test_exactly_the_broken_layer_is_left_float(found: Search) -> None:
    chosen = read_chosen(found.folder)

    assert found.outcome.code == ""
    assert chosen.spec.float_layers == (BROKEN,)
    assert chosen.record.float_layers == [BROKEN]
    assert chosen.record.agreement is not None
    assert chosen.record.agreement >= 0.975
    assert backend.check(found.folder.parent / "model.onnx", found.folder / "chosen.onnx")["int8_weights"] == 2


def test_it_stays_within_its_budget(found: Search) -> None:
    assert found.seconds < BUDGET_S


def test_the_explanation_names_it_first_and_tells_what_float_costs(found: Search) -> None:
    assert next(iter(found.layers)) == BROKEN
    assert found.layers[BROKEN]["output_share"] > 0.9
    assert "weights are much larger" in found.layers[BROKEN]["cause"]
    assert found.layers[BROKEN]["remedy"] == "left float"
    assert isinstance(found.layers[BROKEN]["float_cost_ms"], float)


def test_enough_candidates_are_measured_and_the_pareto_front_is_marked(found: Search) -> None:
    measured = [record for record in found.records if record["agreement"] is not None]

    assert len(measured) >= 8
    assert any(record["pareto"] for record in measured)
    assert all(record["pareto"] is not None for record in found.records)
    assert not [warning for warning in told(found.outcome)["data"]["warnings"] if "candidates were measured" in warning]


def test_a_model_too_large_to_look_into_is_searched_without_and_says_so(tmp_path: Path) -> None:
    small = Search(tmp_path, memory_bytes=80 << 20)

    assert small.outcome.code == "agreement_too_low"
    assert not any(record["float_layers"] for record in small.records)
    assert any("needs more memory" in warning for warning in told(small.outcome)["data"]["warnings"])


def test_a_search_goes_on_where_memory_is_refused_while_it_looks_into_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(quantize, "measure", refused)

    found = Search(tmp_path)

    assert found.outcome.code == "agreement_too_low"
    assert any("needs more memory" in warning for warning in told(found.outcome)["data"]["warnings"])


def test_layers_are_explained_in_groups_that_fit_into_memory(
    tmp_path: Path, found: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[Any] = []
    real = diagnose.tapped

    def tapped(*where: Any, runtime: str) -> Any:
        groups.append(where[-1])
        return real(*where, runtime=runtime)

    monkeypatch.setattr(diagnose, "tapped", tapped)
    job_dir = found.folder.parent
    task = read_task(job_dir)
    spec = read_chosen(found.folder).spec
    info = backend.inspect(job_dir / task.model)
    explained = []
    for memory_bytes in (0, 2**14):
        groups.clear()
        limited = msgspec.structs.replace(task, memory_bytes=memory_bytes)
        context = Context(job_dir, tmp_path, limited, Stage.QUANTIZE, lambda *_: None)
        data = open_dataset(context, info)
        explained.append(diagnose.worst_layers(context, backend, data, "search", spec))

    assert explained[0] == explained[1]
    assert len(groups[1:]) > 1  # the first one only finds how large its tensors are
    assert max(map(len, groups[1:])) < len(groups[0])


def test_what_only_the_search_measures_is_carried_into_a_refusal() -> None:
    refused = [LayerLoss(name="a", sqnr_db=3.0), LayerLoss(name="b", sqnr_db=4.0)]
    before = [LayerLoss(name="a", sqnr_db=9.0, output_share=0.7, float_cost_ms=0.1)]

    assert with_measured(refused, before) == [
        LayerLoss(name="a", sqnr_db=3.0, output_share=0.7, float_cost_ms=0.1),
        LayerLoss(name="b", sqnr_db=4.0),
    ]


def test_a_short_budget_measures_fewer_and_says_so(tmp_path: Path) -> None:
    short = Search(tmp_path, recipe=Recipe(method="static", search_budget_s=1e-6))

    assert short.outcome.code == "agreement_too_low"
    assert len(short.records) == 1
    assert any("1 candidate was measured" in warning for warning in told(short.outcome)["data"]["warnings"])
