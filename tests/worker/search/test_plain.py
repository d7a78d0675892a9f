"""The runtime's plain recipes as the last word of a search, on the real runtime."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.jobs import make_job, run_stages
from support.results import told
from support.speeds import latency, prove, screened_by_weights

from edge_agent.backends import Method, Scheme
from edge_agent.jobs.task import TASK_FILE, Stage
from edge_agent.wire.manifest import Gates, Recipe
from edge_agent.worker.artefacts import read_chosen
from edge_agent.worker.measure.latency import Decision
from edge_agent.worker.search import screening
from edge_agent.worker.search.budget import Budget
from edge_agent.worker.search.plain import plain_recipes
from edge_agent.worker.search.space import SearchSpace
from edge_agent.worker.stages import quantize

SIZE, CLASSES = 64, 5
CORE, PRODUCTS = ("Conv", "Gemm"), ("Gemm", "LSTM")


def schemes(_method: Method) -> list[Scheme]:
    return [Scheme("u8s8", per_channel=True), Scheme("u8s8", per_channel=False)]


def described(recipe: Recipe, present: set[str]) -> list[tuple[str, str, int, bool]]:
    weighted = present & {"Conv", "Gemm", "LSTM"}
    found = plain_recipes(SearchSpace(recipe, present, weighted, CORE, PRODUCTS, schemes))
    return [(one.method, one.calibration, len(one.operators), one.per_channel) for one in found]


def test_products_come_first_and_then_what_needs_ranges_the_ends_of_which_come_first() -> None:
    found = described(Recipe(), {"Conv", "Gemm", "Add"})

    assert found[:6] == [
        ("dynamic", "", 2, True),
        ("dynamic", "", 2, False),
        ("static", "minmax", 2, True),
        ("static", "minmax", 2, False),
        ("static", "minmax", 0, True),
        ("static", "minmax", 0, False),
    ]
    assert {ranges for _, ranges, _, _ in found[6:]} == {"mse", "percentile"}


def test_a_recipe_allows_no_more_than_it_did() -> None:
    methods = lambda recipe, present: {one[:2] for one in described(recipe, present)}  # noqa: E731  # two words

    assert methods(Recipe(method="dynamic"), {"Conv", "Gemm"}) == {("dynamic", "")}
    assert methods(Recipe(method="dynamic"), {"Conv"}) == set()
    assert methods(Recipe(method="uniform"), {"Conv", "Gemm"}) == set()
    assert methods(Recipe(calibration="mse"), {"Conv", "Gemm"}) == {("static", "mse")}
    assert {one[0] for one in described(Recipe(io="int8"), {"Conv", "Gemm"})} == {"static"}
    assert {one[0] for one in described(Recipe(), {"LSTM"})} == {"dynamic", "static"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job whose windows differ in loudness by up to 10,000, of a model that does not mind.

    One grid for all of them rounds the quiet ones to nothing; a grid for each does not.
    """
    monkeypatch.setattr(screening, "screen", screened_by_weights)
    prove(monkeypatch, lambda *_, **__: latency(Decision.ACCEPTED))
    random = np.random.default_rng(0)
    weights = random.normal(0, 1, (SIZE, CLASSES)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], name="gemm")],
        "loudness",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = tmp_path / "loudness.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
    chosen = random.integers(0, CLASSES, 450)
    loudness = 10.0 ** random.uniform(-4, 0, (450, 1))
    rows = loudness * (weights.T[chosen] + random.normal(0, 0.5, (450, SIZE)))
    gates = Gates(max_latency_ratio=0, max_size_ratio=0)
    return make_job(tmp_path, model, {"x": rows.astype(np.float32)}, gates=gates)


@pytest.mark.children(covered=False)
def test_what_a_plain_recipe_passes_is_not_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "leaves", lambda _self, share, _seconds=0.0: share < 0)  # it ends after one candidate

    outcome = run_stages(folder, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    first, last = told(outcome)["candidates"][0], told(outcome)["candidates"][-1]
    assert outcome.code == ""
    assert (first["method"], first["code"]) == ("static", "agreement_too_low")
    assert first["message"].startswith(f"stopped after {first['windows']} of ")
    assert 8 <= first["disagreements"] <= first["windows"] < 100
    assert (last["method"], last["operators"], last["per_channel"], last["code"]) == ("dynamic", "products", True, None)
    assert read_chosen(folder / "quantize").spec.method == "dynamic"


@pytest.mark.children(covered=False)
def test_they_have_a_seventh_of_the_budget_and_no_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "left_s", lambda self: -0.16 * self.seconds)

    outcome = run_stages(folder, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    assert outcome.code == "agreement_too_low"
    assert len(told(outcome)["candidates"]) == 1


@pytest.mark.children(covered=False)
def test_what_halving_has_left_out_comes_back_where_nothing_passes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize, "plain_recipes", lambda _space: [])
    task = msgspec.json.decode((folder / TASK_FILE).read_bytes())
    (folder / TASK_FILE).write_bytes(msgspec.json.encode(task | {"recipe": {"method": "static"}}))

    outcome = run_stages(folder, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)

    whole = [one for one in told(outcome)["candidates"] if not one["float_layers"]]
    tried = {(one["types"], one["per_channel"], one["calibration"]) for one in whole}
    structures = {(types, per_channel) for types, per_channel, _ in tried}
    assert outcome.code == "agreement_too_low"
    assert len(structures) > 1
    assert tried == {(*one, ranges) for one in structures for ranges in ("mse", "percentile", "minmax")}
