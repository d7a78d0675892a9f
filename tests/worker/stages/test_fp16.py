"""fp16 beside int8, in real jobs: compared on the search set and never judged, or judged like any other candidate."""

import resource
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from support.demo import MANIFEST, MODEL, TFLITE_MODEL, read_recording
from support.jobs import make_job, run_stages
from support.onnx_models import model as model_of
from support.onnx_models import save, value, weights
from support.trained import CLASSES, windows, write_classifier

from edge_agent.errors import RecipeError
from edge_agent.jobs.conclusion import conclude
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.task import Stage
from edge_agent.process.heap import resident_bytes
from edge_agent.report.html.cards import comparison
from edge_agent.report.text import render
from edge_agent.wire.manifest import Gates, MinGain, Recipe
from edge_agent.worker.artefacts import read_chosen

pytestmark = [pytest.mark.slow, pytest.mark.children(covered=False)]

ANY_SPEED = Gates(max_latency_ratio=0)
JUDGED = (Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE, Stage.VALIDATE, Stage.BENCHMARK)
SEARCHED = JUDGED[:3]
QUICK: dict[str, Any] = {"method": "static", "calibration": "minmax"}
Arrays = Mapping[str, NDArray[Any]]


@pytest.fixture(scope="module")
def recorded() -> tuple[Arrays, Arrays]:
    """Windows of the demo's recording as its ONNX model wants them: for calibration, and held out."""
    standardize = tomllib.loads(MANIFEST.read_text())["input"]["steps"][0]
    mean, std = (np.array(standardize[key], np.float32) for key in ("mean", "std"))
    cut = [
        ((samples[at : at + 100] - mean) / std, label)
        for samples, label in read_recording().parts
        for at in range(0, len(samples) - 99, 100)
    ]
    data = np.stack([window for window, _ in cut]).transpose(0, 2, 1)
    labels = np.array([label for _, label in cut])
    calibration, heldout = slice(0, None, 3), slice(1, 900, 3)
    return {"imu": data[calibration]}, {"imu": data[heldout], "labels": labels[heldout]}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "classifier.onnx")


def job(folder: Path, model: Path, *, rows: tuple[Arrays, Arrays] | None = None, **task: Any) -> Path:
    data, labels = windows(300, seed=3)
    calibration, heldout = rows or ({"x": windows(240, seed=2)[0]}, {"x": data, "labels": labels})
    return make_job(folder, model, calibration, heldout, **{"gates": ANY_SPEED, **task})


def time_first(arrays: Arrays) -> Arrays:
    """The same windows as the .tflite model wants them."""
    return {**arrays, "imu": np.swapaxes(arrays["imu"], 1, 2)}


def ended(job_dir: Path, outcome: Outcome) -> Result:
    return conclude(job_dir, outcome.code or "accepted", outcome.message, {})


def overflowing(model: Path, out: Path) -> Path:
    """The same model, its first layer's outputs 30,000 times as large and the second's weights as much smaller."""
    built = onnx.load(model)
    for tensor in built.graph.initializer:
        factor = {"w0": 3e4, "b0": 3e4, "w1": 1 / 3e4}.get(tensor.name)
        if factor is not None:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(factor), tensor.name))
    return save(built, out)


def recurrent(out: Path) -> Path:
    """``x`` [8, 1, 96] → a GRU of 128 units → ``y`` [1, 5]: nothing of it has a static int8 form."""
    nodes = [
        helper.make_node("GRU", ["x", "w", "r"], ["", "h"], "gru", hidden_size=128),
        helper.make_node("Squeeze", ["h", "first"], ["s"], "last"),
        helper.make_node("Slice", ["s", "from", "to", "axis"], ["y"], "classes"),
    ]
    constants = {
        "w": weights(1, 384, 96, scale=0.1), "r": weights(1, 384, 128, scale=0.1), "first": np.array([0]),
        "from": np.array([0]), "to": np.array([CLASSES]), "axis": np.array([1]),
    }  # fmt: skip
    return save(model_of(nodes, [value("x", [8, 1, 96])], [value("y", [1, CLASSES])], constants), out)


def twice_named(model: Path, out: Path) -> Path:
    """The same model with an If behind it, whose branches name a constant alike: the converter fails on that."""

    def branch(output: str) -> Any:
        ones = numpy_helper.from_array(np.ones(CLASSES, np.float32), "ones")
        node = helper.make_node("Mul", ["decided", "ones"], [output], output)
        return helper.make_graph([node], output, [], [value(output, [1, CLASSES])], [ones])

    built = onnx.load(model)
    built.graph.node[-1].output[0] = "decided"
    built.graph.node.extend([
        helper.make_node("ReduceMax", ["decided"], ["most"], "most", keepdims=0),
        helper.make_node("Greater", ["most", "half"], ["sure"], "sure"),
        helper.make_node("If", ["sure"], ["y"], "if", then_branch=branch("yes"), else_branch=branch("no")),
    ])  # fmt: skip
    built.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "half"))
    return save(built, out)


@pytest.mark.parametrize("model", [MODEL, TFLITE_MODEL], ids=["onnx", "tflite"])
def test_a_job_tells_of_fp16_on_the_search_set_and_does_not_judge_it(
    tmp_path: Path, model: Path, recorded: tuple[Arrays, Arrays]
) -> None:
    calibration, heldout = recorded if model is MODEL else map(time_first, recorded)
    job_dir = job(tmp_path, model, rows=(calibration, heldout), recipe=Recipe(**QUICK))

    result = ended(job_dir, run_stages(job_dir, *JUDGED))

    assert result.verdict == "accepted", result.message
    assert result.chosen is not None
    assert result.chosen.method == "static"
    fp16 = result.fp16
    assert fp16 is not None
    assert fp16.method == "float16"
    assert result.reference is not None
    assert (fp16.size_bytes or 0) < 0.55 * (result.reference.size_bytes or 0)
    assert result.data.search is not None
    assert fp16.windows == result.data.search.windows
    assert (fp16.agreement or 0) > 0.98
    assert fp16.agreement_lower is None
    measured = (fp16.ratio_p50, fp16.latency_p99_ms, fp16.steady_rss_bytes, fp16.peak_rss_bytes, fp16.load_ms)
    assert None not in measured
    assert "float16" not in {one.method for one in result.candidates}
    shown = str(comparison(result, result.reference, result.chosen))
    assert "fp16, on the search set" in shown
    assert "not judged" in shown
    assert f"<dt>latency ratio</dt><dd>{fp16.ratio_p50:.3f}</dd>" in shown
    text = render(result)
    assert f"fp16 was compared on {fp16.windows} windows of the search set and not judged" in text
    assert text.splitlines()[0].split() == ["float", "int8", "fp16"]


def test_with_both_accepted_fp16_is_a_candidate_that_may_win(tmp_path: Path, classifier: Path) -> None:
    recipe = Recipe(accept=("int8", "fp16"), prefer="speed")
    strict = Gates(max_latency_ratio=0, max_accuracy_drop=0.03, min_sqnr_db=45)  # dB: int8 keeps 20 to 40 here

    job_dir = job(tmp_path, classifier, recipe=recipe, gates=strict)
    result = ended(job_dir, run_stages(job_dir, *JUDGED))

    assert result.verdict == "accepted", result.message
    assert result.message.startswith("fp16 does what float does in ")
    assert result.chosen is not None
    assert result.chosen.method == "float16"
    assert result.chosen.agreement_lower is not None
    assert {"static", "float16"} <= {one.method for one in result.candidates}
    assert result.fp16 is None
    assert result.layers == []
    assert render(result).splitlines()[0].split() == ["float", "fp16"]
    assert read_chosen(job_dir / "quantize").spec.method == "float16"


def test_with_fp16_alone_nothing_is_int8_and_gates_speak_of_fp16(tmp_path: Path, classifier: Path) -> None:
    gates = Gates(max_latency_ratio=0, min_gain=MinGain(time=0.9, size=0.9, memory=0.9))
    job_dir = job(tmp_path, classifier, recipe=Recipe(accept=("fp16",)), gates=gates)

    result = ended(job_dir, run_stages(job_dir, *JUDGED))

    assert (result.verdict, result.code) == ("rejected", "no_gain")
    assert "fp16 would be " in result.message
    assert "int8" not in result.message
    assert [one.method for one in result.candidates] == ["float16"]


def test_fp16_alone_is_accepted_where_it_gains(tmp_path: Path, classifier: Path) -> None:
    job_dir = job(tmp_path, classifier, recipe=Recipe(accept=("fp16",)))

    result = ended(job_dir, run_stages(job_dir, *JUDGED))

    assert (result.verdict, result.message[:5]) == ("accepted", "fp16 ")


def test_a_refused_int8_tells_where_fp16_would_pass(tmp_path: Path, classifier: Path) -> None:
    gates = Gates(max_latency_ratio=0, max_accuracy_drop=0.03, min_sqnr_db=45)
    recipe = Recipe(**QUICK, search_budget_s=60)
    job_dir = job(tmp_path, classifier, recipe=recipe, gates=gates)

    result = ended(job_dir, run_stages(job_dir, *SEARCHED))

    assert (result.verdict, result.code) == ("rejected", "sqnr_too_low")
    (finding,) = [one for one in result.data.findings if one.code == "fp16_better"]
    assert finding.message in result.data.warnings
    assert not finding.refuse
    fp16 = result.fp16 or MeasuredModel()
    assert f"agrees with float in {fp16.windows} of {fp16.windows} windows" in finding.message
    assert "on the search set" in finding.message
    assert 'add "fp16" to [recipe] accept' in finding.message


@pytest.mark.parametrize("accept", [("int8",), ("int8", "fp16"), ("fp16",)])
def test_activations_beyond_16_bits_make_it_no_candidate_and_no_better(
    tmp_path: Path, classifier: Path, accept: Any
) -> None:
    """Here, too, where the processor computes in 32 bits and nothing would show."""
    model = overflowing(classifier, tmp_path / "overflowing.onnx")
    method = QUICK if accept != ("fp16",) else {}
    job_dir = job(tmp_path, model, recipe=Recipe(**method, accept=accept))

    result = ended(job_dir, run_stages(job_dir, *(JUDGED if "int8" in accept else SEARCHED)))

    assert result.fp16 is None
    assert "fp16_better" not in {one.code for one in result.data.findings}
    if "int8" in accept:
        assert result.chosen is not None
        assert result.chosen.method == "static"
    else:
        assert (result.verdict, result.code) == ("rejected", "no_candidate")
        assert "16-bit floats end at 65,504" in result.message
    if "fp16" in accept:
        (float16,) = [one for one in result.candidates if one.method == "float16"]
        assert float16.code == "fp16_overflow"
    else:
        assert [one for one in result.data.warnings if one.startswith("the model in 16-bit floats was not compared")]


@pytest.mark.parametrize("accept", [("int8",), ("int8", "fp16")])
def test_a_model_on_which_the_converter_fails_is_quantized_all_the_same(
    tmp_path: Path, classifier: Path, accept: Any
) -> None:
    model = twice_named(classifier, tmp_path / "branching.onnx")
    job_dir = job(tmp_path, model, recipe=Recipe(**QUICK, accept=accept))

    result = ended(job_dir, run_stages(job_dir, *JUDGED))

    assert result.verdict == "accepted", result.message
    assert result.fp16 is None
    said = [*result.data.warnings, *(one.message or "" for one in result.candidates)]
    assert sum("onnxruntime's float16 converter fails" in one for one in said) == 1


def test_no_time_left_is_no_reason_to_compare(tmp_path: Path, classifier: Path) -> None:
    job_dir = job(tmp_path, classifier, recipe=Recipe(**QUICK, search_budget_s=0.01))

    result = ended(job_dir, run_stages(job_dir, *SEARCHED))

    assert result.fp16 is None
    assert not any("16-bit" in one for one in result.data.warnings)


def test_a_recipe_that_has_no_int8_form_of_a_model_tells_of_fp16(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(600, 8, 1, 96)).astype(np.float32)
    model = recurrent(tmp_path / "recurrent.onnx")
    rows = {"x": data[:240]}, {"x": data[240:]}
    job_dir = job(tmp_path, model, rows=rows, recipe=Recipe(method="static"))

    result = ended(job_dir, run_stages(job_dir, *SEARCHED))

    assert (result.verdict, result.code) == ("rejected", "no_candidate")
    assert result.message.startswith("nothing can be int8 with this recipe")
    assert result.candidates == []
    assert result.fp16 is not None
    assert result.reference is not None
    assert None not in (result.fp16.ratio_p50, result.fp16.agreement, result.reference.latency_p50_ms)
    (finding,) = [one for one in result.data.findings if one.code == "fp16_better"]
    assert finding.message.startswith("int8 is refused here, and on the search set fp16 meets every gate")


@pytest.mark.parametrize("accept", [("int8",), ("int8", "fp16")])
def test_too_little_memory_for_fp16_leaves_int8_as_it_is(tmp_path: Path, classifier: Path, accept: Any) -> None:
    little = resident_bytes() + (4 << 20)
    job_dir = job(tmp_path, classifier, recipe=Recipe(**QUICK, accept=accept), memory_bytes=little)

    result = ended(job_dir, run_stages(job_dir, *SEARCHED))

    assert result.fp16 is None
    said = "the conversion needs more memory than this stage may use"
    if "fp16" in accept:
        (float16,) = [one for one in result.candidates if one.method == "float16"]
        assert (float16.code, float16.message) == ("out_of_memory", said)
    else:
        assert f"the model in 16-bit floats was not compared: {said}" in result.data.warnings
    assert any(one.code is None and one.method == "static" for one in result.candidates)


def test_a_full_disk_leaves_fp16_out_and_ends_nothing(tmp_path: Path, classifier: Path) -> None:
    """The limit is above every int8 file, and below the float16 one."""
    limit = int(0.45 * classifier.stat().st_size)
    job_dir = job(tmp_path, classifier, recipe=Recipe(method="uniform"))  # others may leave layers float
    run_stages(job_dir, *SEARCHED[:-1])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        result = ended(job_dir, run_stages(job_dir, Stage.QUANTIZE))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert result.finalist is not None
    assert result.fp16 is None
    (said,) = [one for one in result.data.warnings if "16-bit" in one]
    assert said == (
        "the model in 16-bit floats was not compared: its file could not be written (File too large); free space in "
        "state_dir"
    )


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(accept=("fp16",), method="static"), "[recipe] method = 'static' applies only to int8"),
        (Recipe(accept=("fp16",), calibration="mse"), "[recipe] calibration = 'mse' applies only to int8"),
        (Recipe(accept=("int8", "fp16"), io="int8"), "io 'int8' and fp16 exclude each other"),
    ],
)
def test_a_recipe_that_contradicts_itself_ends_before_any_capture(
    tmp_path: Path, classifier: Path, recipe: Recipe, words: str
) -> None:
    job_dir = job(tmp_path, classifier, recipe=recipe)

    with pytest.raises(RecipeError) as caught:
        run_stages(job_dir, Stage.CAPTURE)

    assert words in caught.value.message
    assert caught.value.code == "recipe_unsupported"
