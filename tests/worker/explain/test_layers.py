import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from edge_agent.backends import CandidateSpec, Layer, Range
from edge_agent.jobs.result import MAX_LAYERS
from edge_agent.worker.explain.layers import FAITHFUL_DB, Explainer, TensorLoss, saturable, weights_sqnr_db
from edge_agent.worker.search.layer_selection import Sensitivity

RANDOM = np.random.default_rng(0)
STATIC = CandidateSpec("static", "minmax")


def layer(name: str, inputs: tuple[str, ...], output: str, *, operator: str = "Conv", spread: float = 1.0) -> Layer:
    weights = RANDOM.normal(size=(8, 16)).astype(np.float32) * np.geomspace(1, spread, 8, dtype=np.float32)[:, None]
    return Layer(name, operator, inputs, (output,), None if operator == "Relu" else weights, 0)


def explain(layers: list[Layer], ranges: dict[str, Range], values: dict[str, np.ndarray], spec: CandidateSpec = STATIC):  # noqa: ANN201  # the result object's own free form
    explainer = Explainer(layers, ranges, spec)
    for name in explainer.names:
        explainer.add(name, values[name])
    return {entry.name: entry for entry in explainer.worst()}


def test_a_range_that_cuts_is_told_from_one_that_is_too_wide() -> None:
    bulk = RANDOM.normal(size=10_000).astype(np.float32)
    values = {"x": bulk, "cut": bulk * 10, "wide": np.append(bulk, np.float32(60))}
    ranges = {"x": Range(-4, 4), "cut": Range(-4, 4), "wide": Range(-4, 60)}

    found = explain([layer("a", ("x",), "cut"), layer("b", ("cut",), "wide")], ranges, values)

    assert list(found) == ["a", "b"]
    assert found["a"].sqnr_db < 5
    assert "cuts off values up to" in found["a"].cause
    assert "minmax" in found["a"].remedy
    assert "stretch the range" in found["b"].cause
    assert "leave it float" in found["b"].remedy


def test_a_tensor_is_counted_once_for_the_layer_that_makes_it() -> None:
    values = {name: RANDOM.normal(size=100).astype(np.float32) for name in ("x", "y", "z")}
    ranges = {"x": Range(-4, 4), "y": Range(-0.1, 0.1), "z": Range(-4, 4)}

    found = explain([layer("a", ("x",), "y"), layer("b", ("y",), "z")], ranges, values)

    assert found["a"].sqnr_db < 5
    assert found["b"].sqnr_db > FAITHFUL_DB
    assert found["b"].cause == "faithful by itself"


def test_what_only_an_activation_layer_reads_is_on_no_grid() -> None:
    values = {name: RANDOM.normal(size=100).astype(np.float32) for name in ("x", "before", "after")}
    ranges = {"x": Range(-4, 4), "before": Range(-0.01, 0.01), "after": Range(-4, 4)}
    layers = [layer("conv", ("x",), "before"), layer("relu", ("before",), "after", operator="Relu")]

    assert explain(layers, ranges, values)["conv"].sqnr_db > FAITHFUL_DB


def test_weights_of_uneven_channels_lose_without_a_scale_each() -> None:
    uneven = layer("a", ("x",), "y", spread=1e-3)

    even_handed = weights_sqnr_db(uneven, STATIC)

    assert even_handed > 35
    small = Layer("a", "Conv", ("x",), ("y",), np.asarray(uneven.weights)[[0, 7]], 0)
    kept = np.asarray(small.weights)
    assert weights_sqnr_db(small, replace(STATIC, per_channel=False)) <= weights_sqnr_db(small, STATIC)
    assert np.abs(kept[1]).max() < np.abs(kept[0]).max() / 100


def test_weights_are_blamed_when_they_lose_more() -> None:
    lumpy = np.full((1, 512), 0.01, np.float32) * RANDOM.choice([-1, 1], (1, 512)).astype(np.float32)
    lumpy[0, 0] = 5.0
    values = {name: RANDOM.normal(size=100).astype(np.float32) for name in ("x", "y")}
    ranges = {"x": Range(-4, 4), "y": Range(-4, 4)}

    found = explain([Layer("a", "Conv", ("x",), ("y",), np.tile(lumpy, (2, 1)), 0)], ranges, values)["a"]

    # 511 weights of a hundredth, all rounded to zero, beside one of five: 10·log10(25 / (511·0.01²)) = 27 dB.
    assert found.weights_sqnr_db == pytest.approx(26.9, abs=0.1)
    assert "times the median" in found.cause


def test_only_layers_that_the_candidate_quantizes_are_told() -> None:
    values = {name: RANDOM.normal(size=100).astype(np.float32) for name in ("x", "y", "z")}
    ranges = {name: Range(-4, 4) for name in values}
    layers = [layer("a", ("x",), "y"), layer("b", ("y",), "z", operator="Gemm")]

    assert set(explain(layers, ranges, values, CandidateSpec("static", "minmax", ("Conv",)))) == {"a"}


def test_a_layer_that_was_left_float_is_explained_as_what_it_would_be() -> None:
    values = {name: RANDOM.normal(size=100).astype(np.float32) for name in ("x", "y", "z")}
    ranges = {"x": Range(-4, 4), "y": Range(-0.1, 0.1), "z": Range(-4, 4)}
    layers = [layer("a", ("x",), "y"), layer("b", ("y",), "z")]

    found = explain(layers, ranges, values, CandidateSpec("static", "minmax", float_layers=("a",)))

    assert found["a"].sqnr_db < 5
    assert "cuts off" in found["a"].cause
    assert found["a"].remedy == "left float"
    assert found["b"].remedy == "nothing to do"


def test_what_was_measured_at_the_output_decides_over_sqnr() -> None:
    values = {name: RANDOM.normal(size=100).astype(np.float32) for name in ("x", "y", "z")}
    ranges = {"x": Range(-4, 4), "y": Range(-0.1, 0.1), "z": Range(-4, 4)}
    layers = [layer("a", ("x",), "y"), layer("b", ("y",), "z")]
    needed_by = {"x": ("a",), "y": ("a", "b"), "z": ("b",), "wa": ("a",), "wb": ("b",)}
    known = Sensitivity({"x": 0.0, "y": 0.01, "z": 0.0, "wa": 0.0, "wb": 0.99}, needed_by, ("a", "b"))
    explainer = Explainer(layers, ranges, STATIC, known, fed=["x"])
    for name in explainer.names:
        explainer.add(name, values[name])

    worst, other = explainer.worst()

    assert worst.name == "b"
    assert worst.output_share == pytest.approx(0.995)
    assert worst.sqnr_db > FAITHFUL_DB
    assert "100% of the output's error comes from this layer" in worst.cause
    assert worst.remedy == "leave it float"
    assert other.output_share == pytest.approx(0.005)
    assert other.sqnr_db < 5


def test_a_tensor_that_costs_the_output_most_is_the_cause() -> None:
    values = {"x": RANDOM.normal(size=100).astype(np.float32), "y": RANDOM.normal(size=100).astype(np.float32)}
    known = Sensitivity({"x": 0.0, "y": 1.0, "wa": 0.1}, {"x": ("a",), "y": ("a",), "wa": ("a",)}, ("a",))
    explainer = Explainer([layer("a", ("x",), "y")], {"x": Range(-4, 4), "y": Range(-1, 1)}, STATIC, known)
    for name in explainer.names:
        explainer.add(name, values[name])

    assert "of tensor 'y' cuts off" in explainer.worst()[0].cause


def test_a_range_that_one_window_has_set_is_told_from_a_heavy_tail() -> None:
    explainers = {rare: Explainer([layer("a", ("x",), "y")], {"x": Range(-1, 400)}, STATIC) for rare in (True, False)}
    for rare, explainer in explainers.items():
        for number in range(16):
            value = RANDOM.normal(size=1000).astype(np.float32)
            if not rare or number == 0:
                value[0] = 390
            explainer.add("x", np.clip(value, -1, None))

    assert "1 of 16 windows reach half of the range" in explainers[True].worst()[0].cause
    assert "few large values stretch" in explainers[False].worst()[0].cause


def test_a_layer_alone_between_float_operators_is_told() -> None:
    values = {name: RANDOM.normal(size=1000).astype(np.float32) for name in ("x", "y", "n", "z")}
    ranges = {name: Range(-4, 4) for name in values}
    layers = [layer("a", ("x",), "y"), layer("alone", ("n",), "z")]
    explainer = Explainer(layers, ranges, STATIC, fed=["x"])
    for name in explainer.names:
        explainer.add(name, values[name])

    found = {entry.name: entry for entry in explainer.worst()}

    assert "between float operators" in found["alone"].cause
    assert found["a"].cause == "faithful by itself"


def test_what_a_layer_only_moves_is_blamed_on_who_computes_it() -> None:
    moves = Layer("moves", "Reshape", ("y",), ("moved",), None, 0)
    ranges = {name: Range(-4, 4) for name in ("x", "y", "moved", "z")}

    explainer = Explainer(
        [layer("a", ("x",), "y"), moves, layer("b", ("moved",), "z")], ranges, STATIC, same_range={"moved": "y"}
    )

    assert explainer.names == ["x", "y", "z"]
    for name in explainer.names:
        explainer.add(name, RANDOM.normal(size=1000).astype(np.float32))
    assert {entry.name: entry.tensor for entry in explainer.worst()}.keys() == {"a", "b"}


def test_the_worst_come_first_and_not_all_are_told() -> None:
    names = [f"t{number}" for number in range(40)]
    values = {name: RANDOM.normal(size=100).astype(np.float32) for name in names}
    ranges = {name: Range(-0.1 * (number + 1), 4) for number, name in enumerate(names)}
    layers = [layer(str(number), (names[number],), names[number + 1]) for number in range(39)]

    found = list(explain(layers, ranges, values).values())

    assert len(found) == MAX_LAYERS
    assert [entry.sqnr_db for entry in found] == sorted(entry.sqnr_db for entry in found)


def test_a_processor_that_saturates_is_named_where_weights_are_large() -> None:
    values = {name: RANDOM.normal(size=100).astype(np.float32) for name in ("x", "y")}
    ranges = {"x": Range(-4, 4), "y": Range(-4, 4)}
    large = Layer("a", "MatMul", ("x",), ("y",), np.ones((64, 8), np.float32), 1)
    mixed = Layer("a", "MatMul", ("x",), ("y",), RANDOM.normal(size=(1024, 8)).astype(np.float32), 1)
    depthwise = Layer("a", "Conv", ("x",), ("y",), np.ones((8, 1, 3, 3), np.float32), 0, depthwise=True)

    causes = {}
    for name, one in (("large", large), ("mixed", mixed), ("depthwise", depthwise)):
        for saturating in (True, False):
            explainer = Explainer([one], ranges, STATIC, saturating=saturating)
            for tensor, value in values.items():
                explainer.add(tensor, value)
            causes[name, saturating] = explainer.worst()[0].cause

    assert "saturating accumulation: 100%" in causes["large", True]
    assert not any("saturating" in cause for key, cause in causes.items() if key != ("large", True))
    assert 0 < saturable(mixed) < 0.05


def test_looking_at_a_large_tensor_takes_little_more_memory_than_the_tensor() -> None:
    value = RANDOM.normal(size=(1, 8, 500_000)).astype(np.float32)
    loss = TensorLoss(Range(-2, 3))

    tracemalloc.start()
    loss.add(value)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < value.nbytes, "the tensor itself was there before"
    whole = value.reshape(-1).astype(np.float64)
    clipped = np.sum(np.square(whole - np.clip(whole, -2, 3)))
    assert "cuts off values up to" in loss.cause("x")[0]
    assert loss.metrics.sqnr_db == pytest.approx(10 * np.log10(np.sum(whole**2) / clipped), abs=0.1)
