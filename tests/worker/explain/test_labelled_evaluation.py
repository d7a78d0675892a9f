"""The verdict with a labelled set that came with the model: real candidates, and files put in their place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from support.jobs import make_job, run_stages
from support.results import read_results
from support.trained import windows, write_classifier

from edge_agent.jobs.conclusion import conclude
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import Stage
from edge_agent.quant.bounds import tango_upper
from edge_agent.quant.paired import auc_drop_upper, mean_upper
from edge_agent.report.text import render
from edge_agent.wire.manifest import Gates, MinGain, Output, Recipe

pytestmark = [pytest.mark.children(covered=False), pytest.mark.usefixtures("speed_passes")]

ONE_CANDIDATE = Recipe(calibration="minmax", search_budget_s=1e-6)
ANY_GAIN = MinGain(0, 0, 0)
ANY_SPEED = Gates(max_latency_ratio=0, max_size_ratio=0, min_gain=ANY_GAIN)
BEFORE = (Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE)
Arrays = dict[str, NDArray[Any]]


def judge(
    folder: Path,
    model: Path,
    heldout: Arrays,
    labelled: Arrays | None,
    *,
    calibration: NDArray[np.float32] | None = None,
    instead: Callable[[Any], None] | None = None,
    **task: Any,
) -> tuple[Outcome, dict[str, Any]]:
    """Run up to the verdict; ``instead`` changes the float model that then takes the candidate's place."""
    data = {"x": windows(240, seed=2)[0] if calibration is None else calibration}
    fields = {"gates": ANY_SPEED, "recipe": ONE_CANDIDATE, **task}
    job_dir = make_job(folder, model, data, heldout, labelled=labelled, **fields)
    assert run_stages(job_dir, *BEFORE).code == ""
    if instead is not None:
        built = onnx.load(model)
        instead(built)
        onnx.save(built, job_dir / "quantize" / "chosen.onnx")
    outcome = run_stages(job_dir, Stage.VALIDATE)
    return outcome, read_results(job_dir)


def answers(model: Path, data: NDArray[np.float32]) -> NDArray[np.float64]:
    """What an independent run of the model says, one row a window."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    rows = [np.ravel(session.run(None, {"x": row[None]})[0]) for row in data]
    return np.array(rows, np.float64)


def bias(name: str, by: list[float]) -> Callable[[Any], None]:
    """Adds to a bias."""

    def change(built: Any) -> None:
        for tensor in built.graph.initializer:
            if tensor.name == name:
                moved = numpy_helper.to_array(tensor) + np.array(by, np.float32)
                tensor.CopyFrom(numpy_helper.from_array(moved, name))

    return change


def test_a_good_candidate_is_proved_on_both_sets(tmp_path: Path, classifier: Path) -> None:
    data, labels = windows(300, seed=4)

    outcome, results = judge(tmp_path, classifier, {"x": windows(300, seed=3)[0]}, {"x": data, "labels": labels})

    reference = answers(classifier, data).argmax(1)
    of_int8 = answers(tmp_path / "job" / "quantize" / "chosen.onnx", data)
    target = of_int8.argmax(1)
    largest = np.sort(of_int8, axis=1)
    torn = largest[:, -1] == largest[:, -2]
    lost = int(((reference == labels) & (target != labels)).sum())
    won = int(((reference != labels) & (target == labels)).sum())
    shown = results["data"]["eval"]
    (share,) = shown["metrics"]
    assert outcome.code == "", outcome.message
    assert (shown["windows"], shown["windows_effective"], shown["decides"]) == (300, 300, True)
    assert share["name"] == "accuracy"
    assert share["float"] == pytest.approx((reference == labels).mean())
    assert share["int8"] == pytest.approx((target == labels).mean())
    assert share["drop"] == pytest.approx((lost - won) / 300)
    assert share["drop_upper"] == pytest.approx(tango_upper(lost, won, 300))
    assert shown["agreement"] == pytest.approx(((reference == target) & ~torn).mean())
    gates = {gate["name"]: gate for gate in results["chosen"]["gates"]}
    assert gates["max_accuracy_drop"] == {
        "name": "max_accuracy_drop", "limit": 0.03, "value": share["drop_upper"], "passed": True, "on": "eval",
    }  # fmt: skip
    assert gates["min_agreement"].keys() == {"name", "limit", "value", "passed"}
    assert results["chosen"]["accuracy"] is None, "the held-out windows have no labels"


def test_what_agrees_on_the_devices_data_but_loses_labelled_accuracy_is_refused(
    tmp_path: Path, classifier: Path
) -> None:
    # On the device class 4 is rare, so a candidate that never says it agrees nearly always; the labelled set has it.
    captured, _ = windows(600, seed=3)
    four = answers(classifier, captured).argmax(1) == 4
    heldout = np.concatenate([captured[~four][:298], captured[four][:2]])
    data, labels = windows(300, seed=4)
    never_four = bias("b2", [0, 0, 0, 0, -100])

    outcome, results = judge(tmp_path, classifier, {"x": heldout}, {"x": data, "labels": labels}, instead=never_four)

    (record,) = results["candidates"]
    passed = {gate["name"]: gate["passed"] for gate in record["gates"]}
    (loss,) = results["data"]["eval"]["classes"]
    assert outcome.code == "accuracy_too_low"
    assert outcome.message.startswith("on the labelled set int8 loses")
    assert record["agreement"] >= 0.97
    assert passed == {"min_agreement": True, "max_accuracy_drop": False, "min_class_recall": False}
    assert record["code"] == "accuracy_too_low"
    assert (loss["label"], loss["windows"], loss["int8_right"]) == (4, int((labels == 4).sum()), 0)
    assert loss["float_right"] > 0.8 * loss["windows"]
    # The same without the set is what a device without labels cannot know.
    (tmp_path / "without").mkdir()
    outcome, results = judge(tmp_path / "without", classifier, {"x": heldout}, None, instead=never_four)
    assert outcome.code == ""
    assert results["data"]["eval"] is None


@pytest.mark.parametrize("off", [False, True])
def test_labels_that_count_from_one_are_refused_unless_they_shall_not_decide(
    tmp_path: Path, classifier: Path, *, off: bool
) -> None:
    """The highest class does not occur, so each label is one that the output has."""
    data, labels = windows(300, seed=4)
    data, labels = data[labels < 4], labels[labels < 4] + 1
    gates = msgspec.structs.replace(ANY_SPEED, max_accuracy_drop=0.0 if off else None)

    outcome, results = judge(
        tmp_path, classifier, {"x": windows(300, seed=3)[0]}, {"x": data, "labels": labels}, gates=gates
    )

    said = conclude(tmp_path / "job", outcome.code or "accepted", outcome.message, {})
    assert results["data"]["eval"]["decides"] is not off
    if off:
        assert outcome.code == ""
        assert {gate["name"] for gate in results["chosen"]["gates"]} == {"min_agreement", "min_class_recall"}
        assert "the labelled set does not decide: float has " in results["data"]["warnings"][-1]
        assert said.message.endswith("; the labelled set did not decide")
        assert f"labelled set of {len(labels)} windows, which does not decide:" in render(said)
    else:
        assert outcome.code == "labels_unfit"
        assert "count from 0" in outcome.message
        assert "[gates] max_accuracy_drop = 0" in outcome.message
        assert "labels_unfit" in render(said)


def test_the_set_is_opened_for_the_verdict_and_by_no_stage_of_the_search(
    tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, labels = windows(120, seed=4)
    job_dir = make_job(
        tmp_path, classifier, {"x": windows(240, seed=2)[0]}, {"x": windows(300, seed=3)[0]},
        labelled={"x": data, "labels": labels}, gates=ANY_SPEED, recipe=ONE_CANDIDATE,
    )  # fmt: skip
    assert run_stages(job_dir, Stage.CAPTURE).code == ""
    aside = (tmp_path / "e.npz").rename(tmp_path / "aside.npz")

    assert run_stages(job_dir, Stage.CALIBRATE, Stage.QUANTIZE).code == ""

    aside.rename(tmp_path / "e.npz")
    assert run_stages(job_dir, Stage.VALIDATE, Stage.BENCHMARK).code == ""
    sets = (job_dir / "capture" / "sets.json").read_text()
    assert "e.npz" not in sets


def test_recordings_of_the_labelled_set_prove_less(tmp_path: Path, classifier: Path) -> None:
    data, labels = windows(300, seed=4)
    groups = np.repeat(np.arange(10), 30)
    data[groups < 2] *= 100

    _, results = judge(
        tmp_path, classifier, {"x": windows(300, seed=3)[0]}, {"x": data, "labels": labels, "groups": groups}
    )

    (share,) = results["data"]["eval"]["metrics"]
    assert results["data"]["eval"]["windows_effective"] < 200
    assert share["drop_upper"] > tango_upper(max(share["drop"], 0) * 300, 0, 300)


def one_output(path: Path, *, sigmoid: bool) -> Path:
    """``x[1, 12] -> y[1, 1]``: a small network with one number at its end."""
    random = np.random.default_rng(7)
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], name="hidden"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("Gemm", ["r", "w2"], ["s" if sigmoid else "y"], name="head"),
    ]
    if sigmoid:
        nodes.append(helper.make_node("Sigmoid", ["s"], ["y"], name="sigmoid"))
    constants = {
        "w1": random.normal(0, 0.3, (12, 32)).astype(np.float32),
        "b1": random.normal(0, 0.1, 32).astype(np.float32),
        "w2": random.normal(0, 0.5, (32, 1)).astype(np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def noisy(answered: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    return answered + np.random.default_rng(9).normal(0, spread, answered.shape)


def effect_of(results: dict[str, Any]) -> float:
    """How many labelled windows count as one."""
    shown = results["data"]["eval"]
    return float(shown["windows"] / shown["windows_effective"])


def test_binary_has_accuracy_and_auc(tmp_path: Path) -> None:
    model = one_output(tmp_path / "m.onnx", sigmoid=True)
    data = np.random.default_rng(1).normal(size=(840, 12)).astype(np.float32)
    said = answers(model, data[300:600])[:, 0]
    labels = (noisy(said, 0.1) >= 0.5).astype(np.int64)

    outcome, results = judge(
        tmp_path,
        model,
        {"x": data[:300]},
        {"x": data[300:600], "labels": labels},
        calibration=data[600:],
        output=Output(kind="binary"),
        gates=msgspec.structs.replace(ANY_SPEED, max_accuracy_drop=0.1),
    )

    share, auc = results["data"]["eval"]["metrics"]
    target = answers(tmp_path / "job" / "quantize" / "chosen.onnx", data[300:600])[:, 0]
    assert outcome.code == "", outcome.message
    assert (share["name"], auc["name"]) == ("accuracy", "auc")
    assert share["float"] == pytest.approx(((said >= 0.5) == labels).mean())
    for scores, found in ((said, auc["float"]), (target, auc["int8"])):
        pairs = np.sign(scores[labels == 1][:, None] - scores[labels == 0][None, :])
        assert found == pytest.approx((pairs.mean() + 1) / 2)
    assert auc["drop"] == pytest.approx(auc["float"] - auc["int8"])
    assert auc["drop_upper"] == pytest.approx(auc_drop_upper(said, target, labels == 1, effect_of(results)))
    assert auc["drop"] < auc["drop_upper"] < auc["drop"] + 0.02


def test_regression_has_mae_and_its_gate_is_off_unless_set(tmp_path: Path) -> None:
    model = one_output(tmp_path / "m.onnx", sigmoid=False)
    data = np.random.default_rng(1).normal(size=(840, 12)).astype(np.float32)
    said = answers(model, data[300:600])
    labels = noisy(said, 0.02)[:, 0]

    outcome, results = judge(
        tmp_path,
        model,
        {"x": data[:300]},
        {"x": data[300:600], "labels": labels},
        calibration=data[600:],
        output=Output(kind="regression", tolerance=0.2),
    )

    share, mae = results["data"]["eval"]["metrics"]
    target = answers(tmp_path / "job" / "quantize" / "chosen.onnx", data[300:600])[:, 0]
    assert outcome.code == "", outcome.message
    assert (share["name"], mae["name"]) == ("accuracy", "mae")
    assert mae["float"] == pytest.approx(np.abs(said[:, 0] - labels).mean(), rel=1e-5)
    assert mae["int8"] == pytest.approx(np.abs(target - labels).mean(), rel=1e-5)
    assert mae["drop"] == pytest.approx(mae["int8"] - mae["float"])
    worse = np.abs(target - labels) - np.abs(said[:, 0] - labels)
    assert mae["drop_upper"] == pytest.approx(mean_upper(worse, effect_of(results)), rel=1e-4)
    assert mae["drop"] < mae["drop_upper"] < mae["drop"] + 0.05
    assert results["data"]["eval"]["decides"] is False
    assert "set [gates] max_accuracy_drop = 0.03 to let it" in results["data"]["warnings"][-1]
    assert results["data"]["eval"]["classes"] == []


def test_an_anomaly_score_has_auc(tmp_path: Path) -> None:
    model = one_output(tmp_path / "m.onnx", sigmoid=False)
    data = np.random.default_rng(1).normal(size=(840, 12)).astype(np.float32)
    said = answers(model, data[300:600])[:, 0]
    labels = (noisy(said, 0.3) > np.percentile(said, 90)).astype(bool)

    _, results = judge(
        tmp_path,
        model,
        {"x": data[:300]},
        {"x": data[300:600], "labels": labels},
        calibration=data[600:],
        output=Output(kind="anomaly"),
    )

    names = [metric["name"] for metric in results["data"]["eval"]["metrics"]]
    auc = results["data"]["eval"]["metrics"][1]
    pairs = np.sign(said[labels][:, None] - said[~labels][None, :])
    assert names == ["accuracy", "auc"]
    assert auc["float"] == pytest.approx((pairs.mean() + 1) / 2)


def test_labels_of_what_turns_out_to_be_no_such_kind_are_refused_before_the_search(
    tmp_path: Path,
) -> None:
    """No kind is named, and of logits none is found: labels would have decided nothing."""
    data, labels = windows(120, seed=4)
    logits = write_classifier(tmp_path / "logits.onnx", probabilities=False)
    job_dir = make_job(
        tmp_path, logits, {"x": windows(240, seed=2)[0]}, {"x": windows(300, seed=3)[0]},
        labelled={"x": data, "labels": labels}, gates=ANY_SPEED, recipe=ONE_CANDIDATE,
    )  # fmt: skip
    assert run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE).code == ""

    outcome = run_stages(job_dir, Stage.QUANTIZE)

    assert outcome.code == "output_kind_needed"
    assert "taken as raw" in outcome.message
    assert 'set [output] kind = "classes"' in outcome.message
    assert read_results(job_dir)["candidates"] == []
