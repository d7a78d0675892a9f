"""The verdict on the held-out set, for a real candidate and for files that someone put in its place."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from support.jobs import make_job, run_stages
from support.results import read_results
from support.trained import windows, write_classifier

from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import Stage
from edge_agent.quant.bounds import agreement_lower
from edge_agent.wire.manifest import Gates, Output, Recipe

pytestmark = [pytest.mark.children(covered=False), pytest.mark.usefixtures("speed_passes")]

ONE_CANDIDATE = Recipe(method="uniform", search_budget_s=1e-6)  # the closest to float that there is
ANY_SPEED = Gates(max_latency_ratio=0)
SEARCH = (Stage.CALIBRATE, Stage.QUANTIZE)
Arrays = dict[str, NDArray[Any]]
Judge = Callable[..., tuple[Outcome, dict[str, Any]]]


@pytest.fixture(scope="module")
def logits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "logits.onnx", probabilities=False)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[object, ...], Path]:
    """What calibration and search left, by all that they depend on: a search takes ten times as long as a verdict."""
    return {}


@pytest.fixture
def judge(tmp_path: Path, found: dict[tuple[object, ...], Path], tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Run up to the verdict; ``instead`` changes the float model that then takes the candidate's place."""

    def run(
        model: Path,
        heldout: Arrays,
        *,
        instead: Callable[[Any], None] | None = None,
        gates: Gates = ANY_SPEED,
        output: Output | None = None,
        recipe: Recipe = ONE_CANDIDATE,
    ) -> tuple[Outcome, dict[str, Any]]:
        data = {"x": windows(240, seed=2)[0]}
        job_dir = make_job(tmp_path, model, data, heldout, gates=gates, recipe=recipe, output=output or Output())
        assert run_stages(job_dir, Stage.CAPTURE).code == ""
        key = (model, "labels" in heldout, gates, output, recipe)
        if key not in found:
            assert run_stages(job_dir, *SEARCH).code == ""
            found[key] = tmp_path_factory.mktemp("found")
            for stage in SEARCH:
                shutil.copytree(job_dir / stage, found[key] / stage)
        else:
            shutil.copytree(found[key], job_dir, dirs_exist_ok=True)
        if instead is not None:
            built = onnx.load(model)
            instead(built)
            onnx.save(built, job_dir / "quantize" / "chosen.onnx")
        outcome = run_stages(job_dir, Stage.VALIDATE)
        return outcome, read_results(job_dir)

    return run


def scaled(name: str, by: float) -> Callable[[Any], None]:
    """Multiplies the weights ``name`` and its bias."""

    def change(built: Any) -> None:
        for tensor in built.graph.initializer:
            if tensor.name in (f"w{name}", f"b{name}"):
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(by), tensor.name))

    return change


def test_a_good_candidate_passes_with_its_bounds(judge: Judge, classifier: Path) -> None:
    outcome, results = judge(classifier, {"x": windows(300, seed=3)[0]})

    chosen = results["chosen"]
    assert outcome.code == ""
    assert (chosen["windows"], chosen["windows_effective"]) == (300, 300)
    assert chosen["agreement_lower"] == pytest.approx(agreement_lower(chosen["disagreements"], 300))
    assert {gate["name"] for gate in chosen["gates"]} == {
        "min_agreement", "min_class_recall", "max_size_ratio", "min_gain"
    }  # fmt: skip
    assert chosen["accuracy"] is None
    assert results["data"]["heldout"] == {"windows": 300, "windows_effective": 300}


def test_another_model_in_its_place_is_refused_and_told_apart_from_the_search(judge: Judge, classifier: Path) -> None:
    outcome, results = judge(classifier, {"x": windows(300, seed=3)[0]}, instead=scaled("2", -1))

    assert outcome.code == "agreement_too_low"
    assert "of 300 windows disagree" in outcome.message
    (record,) = results["candidates"]
    assert (record["code"], record["windows"]) == ("agreement_too_low", 300)
    assert record["agreement"] < 0.5
    assert record["pareto"] is True


def test_the_same_answer_on_every_window_proves_nothing(judge: Judge, classifier: Path) -> None:
    same = (
        np.repeat(windows(1, seed=3)[0], 300, axis=0)
        + np.float32(1e-6) * np.arange(300, dtype=np.float32)[:, None, None]
    )

    outcome, _ = judge(classifier, {"x": same})

    assert outcome.code == "no_coverage"


def test_recordings_count_for_less_than_their_windows(judge: Judge, classifier: Path) -> None:
    # Ten recordings; in two of them everything is a hundred times as loud, so that int8 clips and errs in runs.
    data = windows(300, seed=3)[0]
    groups = np.repeat(np.arange(10), 30)
    data[groups < 2] *= 100

    clipping = Recipe(calibration="minmax", search_budget_s=1e-6)

    _, results = judge(classifier, {"x": data, "groups": groups}, recipe=clipping)

    assert results["chosen"]["disagreements"] > 10
    assert results["chosen"]["windows_effective"] < 100
    alone = agreement_lower(results["chosen"]["disagreements"], 300)
    assert results["chosen"]["agreement_lower"] < alone


def test_labels_decide_where_there_are_some(judge: Judge, classifier: Path) -> None:
    data, labels = windows(300, seed=3)

    outcome, results = judge(classifier, {"x": data, "labels": labels})

    assert outcome.code == ""
    names = {gate["name"] for gate in results["chosen"]["gates"]}
    assert names == {"max_accuracy_drop", "min_class_recall", "max_size_ratio", "min_gain"}
    assert 0.9 < results["reference"]["accuracy"] < 1
    assert results["chosen"]["accuracy"] == pytest.approx(results["reference"]["accuracy"], abs=0.03)


def test_the_classes_that_lost_are_named(judge: Judge, classifier: Path) -> None:
    data, labels = windows(300, seed=3)

    outcome, results = judge(classifier, {"x": data, "labels": labels}, instead=scaled("2", -1))

    losses = results["data"]["classes"]
    assert outcome.code == "accuracy_too_low"
    assert {loss["label"] for loss in losses} == set(np.unique(labels).tolist())
    assert all(loss["windows"] >= loss["float_right"] > loss["int8_right"] for loss in losses)
    assert sum(loss["windows"] for loss in losses) == 300
    lost = [loss["float_right"] - loss["int8_right"] for loss in losses]
    assert lost == sorted(lost, reverse=True)
    assert any("the labels decide, so this only warns" in warning for warning in results["data"]["warnings"])


def test_an_agreement_that_is_asked_for_decides_beside_labels(judge: Judge, classifier: Path) -> None:
    data, labels = windows(300, seed=3)

    _, results = judge(classifier, {"x": data, "labels": labels}, gates=Gates(min_agreement=0.9, max_latency_ratio=0))

    assert {"min_agreement", "max_accuracy_drop"} <= {gate["name"] for gate in results["chosen"]["gates"]}


def test_an_unknown_kind_that_would_pass_as_classes_asks_for_the_kind(judge: Judge, logits: Path) -> None:
    outcome, results = judge(logits, {"x": windows(300, seed=3)[0]}, instead=scaled("2", 1.5))

    assert outcome.code == "output_kind_needed"
    assert 'kind = "classes"' in outcome.message
    assert results["data"]["output"]["kind"] == "raw"


def test_a_kind_that_was_set_is_not_asked_for(judge: Judge, logits: Path) -> None:
    outcome, _ = judge(logits, {"x": windows(300, seed=3)[0]}, instead=scaled("2", 1.5), output=Output(kind="raw"))

    assert outcome.code == "agreement_too_low"


def test_the_same_passes_once_the_kind_is_set(judge: Judge, logits: Path) -> None:
    outcome, _ = judge(
        logits, {"x": windows(300, seed=3)[0]}, instead=scaled("2", 1.5), output=Output(kind="classes"),
        gates=Gates(max_latency_ratio=0, max_size_ratio=0),
    )  # fmt: skip

    assert outcome.code == ""


@pytest.mark.parametrize("kind", ["regression", "embedding", "raw"])
def test_every_continuous_kind_has_its_gates(judge: Judge, logits: Path, kind: Any) -> None:
    output = Output(kind=kind, tolerance={"regression": 0.1, "embedding": 0.99, "raw": 0.1}[kind])

    outcome, results = judge(logits, {"x": windows(300, seed=3)[0]}, output=output)

    assert outcome.code == "", outcome.message
    assert {gate["name"] for gate in results["chosen"]["gates"]} == {
        "min_agreement", "min_sqnr_db", "max_size_ratio", "min_gain"
    }  # fmt: skip
    assert results["chosen"]["cosine"] > 0.99


def test_too_few_windows_name_the_number_needed(judge: Judge, classifier: Path) -> None:
    """Twelve recordings of 25 windows that are all the same; fewer windows than 59 are refused by the capture."""
    few = {"x": np.repeat(windows(12, seed=3)[0], 25, axis=0), "groups": np.repeat(np.arange(12), 25)}

    outcome, _ = judge(classifier, few)

    assert outcome.code == "too_few_windows"
    assert "300 windows (so alike that they count as 12)" in outcome.message


def test_speed_that_was_proved_before_is_a_gate_of_the_verdict(judge: Judge, classifier: Path) -> None:
    _, results = judge(classifier, {"x": windows(300, seed=3)[0]}, gates=Gates(max_latency_ratio=5))

    speed = next(gate for gate in results["chosen"]["gates"] if gate["name"] == "max_latency_ratio")
    assert speed == {"name": "max_latency_ratio", "limit": 5, "value": pytest.approx(0.55), "passed": True}


def test_what_other_outputs_mean_is_what_the_search_found(tmp_path: Path, classifier: Path) -> None:
    built = onnx.load(classifier)
    logits = built.graph.node[-1].input[0]
    built.graph.output.append(onnx.helper.make_tensor_value_info(logits, onnx.TensorProto.FLOAT, None))
    onnx.save(built, tmp_path / "two.onnx")
    data = {"x": windows(240, seed=2)[0]}, {"x": windows(300, seed=3)[0]}
    job_dir = make_job(tmp_path, tmp_path / "two.onnx", *data, gates=ANY_SPEED, recipe=ONE_CANDIDATE)
    assert run_stages(job_dir, Stage.CAPTURE, *SEARCH).code == ""
    path = job_dir / "quantize" / "chosen.json"
    left = json.loads(path.read_text())

    for others, kind in ((left["others"], "raw"), ({logits: {"kind": "embedding"}}, "embedding"), (None, "raw")):
        known = {} if others is None else {"others": others}  # as version 0.1 left it
        path.write_text(json.dumps({key: one for key, one in left.items() if key != "others"} | known))
        assert run_stages(job_dir, Stage.VALIDATE).code == ""
        assert [one["kind"] for one in read_results(job_dir)["data"]["outputs"]] == ["classes", kind]
        shutil.rmtree(job_dir / "validate")


def test_another_output_that_float_itself_leaves_undefined_is_told_of(tmp_path: Path, logits: Path) -> None:
    built = onnx.load(logits)
    built.graph.node.append(onnx.helper.make_node("Log", ["y"], ["z"], name="log"))  # of logits below 0
    built.graph.output.append(onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, None))
    onnx.save(built, tmp_path / "two.onnx")
    job_dir = make_job(
        tmp_path,
        tmp_path / "two.onnx",
        {"x": windows(240, seed=2)[0]},
        {"x": windows(300, seed=3)[0]},
        output=Output(kind="classes", name="y"),
        gates=Gates(max_latency_ratio=0),
        recipe=Recipe(method="uniform", search_budget_s=1e-6),
    )

    outcome = run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE, Stage.VALIDATE)

    assert outcome.code == ""
    assert any(one.startswith("output 'z' is not judged: float") for one in read_results(job_dir)["data"]["warnings"])
