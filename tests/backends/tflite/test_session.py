"""Opening and running TensorFlow Lite models: what may be fed, what comes out, and what is an error."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import tflite_models as models
from support.tflite_rig import RUNTIMES, needs_tflite_runtime

from edge_agent.backends import tflite as backend
from edge_agent.backends.tflite import runtimes
from edge_agent.backends.tflite.session import _grid
from edge_agent.errors import ContractError, EdgeAgentError, ModelError, Refusal
from edge_agent.quant.affine import fake_quantize, params, quantize


def code_of(session: object, feeds: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]) -> str:
    with pytest.raises(EdgeAgentError) as caught:
        session.run(feeds)  # type: ignore[attr-defined]
    assert caught.value.message
    return caught.value.code


@RUNTIMES
def test_runs_a_model(tmp_path: Path, runtime: str) -> None:
    path = models.save(models.two_inputs(), tmp_path / "m.tflite")
    feeds = models.rows(path, 1)[0]

    y, features = backend.open(path, runtime=runtime).run(feeds)

    assert (y.shape, features.shape) == ((1, 2), (1, 10))
    np.testing.assert_allclose(features[0, 4:], feeds["facts"][0])  # the second input goes straight into it


@needs_tflite_runtime
def test_the_runtimes_agree_on_float(tmp_path: Path) -> None:
    path = models.save(models.conv_net(), tmp_path / "m.tflite")
    sessions = [backend.open(path, runtime=runtime) for runtime in backend.RUNTIMES]

    for feeds in models.rows(path, 4):
        first, second = (session.run(feeds)[0] for session in sessions)
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_without_a_name_the_first_runtime_installed_is_taken() -> None:
    installed = [name for name in backend.RUNTIMES if runtimes.find_spec(name.replace("-", "_")) is not None]

    assert runtimes.load_runtime() is runtimes.load_runtime(installed[0])


@RUNTIMES
def test_a_runtime_has_a_version(runtime: str) -> None:
    assert backend.runtime_version(runtime)[0].isdigit()


def test_a_runtime_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda _: None)

    with pytest.raises(ModelError, match="tflite-runtime") as caught:
        backend.runtime_version("tflite-runtime")
    assert caught.value.code == "format_unsupported"


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(ModelError, match="known: ai-edge-litert"):
        backend.runtime_version("torch")


@needs_tflite_runtime
def test_tflite_runtime_is_not_tried_with_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "__version__", "2.1.0")

    with pytest.raises(ModelError, match="needs numpy"):
        runtimes.load_runtime("tflite-runtime")


def test_the_ending_of_a_tensor_name_may_be_left_out(tmp_path: Path) -> None:
    path = models.save(models.mlp(), tmp_path / "m.tflite")
    session = backend.open(path)
    row = np.ones((1, 12), np.float32)

    (whole,), (short,) = session.run({"serving_default_x:0": row}), session.run({"serving_default_x": row})

    np.testing.assert_array_equal(whole, short)


def test_what_does_not_fit_is_an_error(tmp_path: Path) -> None:
    session = backend.open(models.save(models.two_inputs(), tmp_path / "m.tflite"))
    image, facts = np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 6), np.float32)

    assert code_of(session, {"image": image}) == "input_missing"
    assert code_of(session, {"image": image, "facts": facts, "other": facts}) == "input_missing"
    assert code_of(session, {"image": image[:, :7], "facts": facts}) == "shape_mismatch"
    assert code_of(session, {"image": image[0], "facts": facts}) == "shape_mismatch"
    assert code_of(session, {"image": image.astype(np.float64), "facts": facts}) == "dtype_mismatch"
    assert session.run({"image": image, "facts": facts})[0].shape == (1, 2)  # it still works


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_reach_no_runtime(tmp_path: Path, bad: float) -> None:
    session = backend.open(models.save(models.mlp(), tmp_path / "m.tflite"))
    row = np.ones((1, 12), np.float32)
    row[0, 3] = bad

    with pytest.raises(Refusal, match="NaN or Inf"):
        session.run({"serving_default_x:0": row})


def test_only_a_size_that_may_change_is_changed(tmp_path: Path) -> None:
    free = backend.open(models.save(models.batch_net(), tmp_path / "free.tflite"))
    fixed = backend.open(models.save(models.conv_net(), tmp_path / "fixed.tflite"))
    pair = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)

    (both,) = free.run({"x": pair})
    (one,) = free.run({"x": pair[1:]})

    assert both.shape == (2, 5)
    np.testing.assert_allclose(both[1:], one, atol=1e-6)
    assert code_of(fixed, {"x": pair}) == "shape_mismatch"


def test_integers_are_fed_and_read_as_the_real_values(tmp_path: Path) -> None:
    session = backend.open(models.save(models.int8_net(), tmp_path / "m.tflite"))
    rows = np.random.default_rng(0).normal(size=(8, 1, 12)).astype(np.float32)
    weights, bias = models.weights(5, 12), models.weights(5, scale=0.1)

    for row in rows:
        (y,) = session.run({"x": row})
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, row @ weights.T + bias, atol=0.15)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, 255.0), (-0.02, 0.0), (-300.0, 40.0)])
def test_its_grid_is_the_engines(low: float, high: float) -> None:
    ours = params(low, high)
    details = {
        "dtype": np.int8,
        "quantization_parameters": {"scales": ours.scale.reshape(1), "zero_points": ours.zero_point.reshape(1)},
    }
    values = np.concatenate([np.linspace(1.5 * low - 1, 1.5 * high + 1, 999), [3e38, -3e38]]).astype(np.float32)

    grid = _grid(details)

    assert grid is not None
    np.testing.assert_array_equal(grid.integers(values), quantize(values, ours))
    np.testing.assert_array_equal(grid.values(grid.integers(values)), fake_quantize(values, ours))


def test_a_run_depends_on_its_feeds_only(tmp_path: Path) -> None:
    path = models.save(models.lstm_net(), tmp_path / "m.tflite")
    session = backend.open(path)
    first, second = models.rows(path, 2)

    (before,) = session.run(first)
    session.run(second)
    (after,) = session.run(first)

    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("keep", [0, 8, 1000])
def test_a_broken_file_is_no_crash(tmp_path: Path, keep: int) -> None:
    path = models.save(models.conv_net()[:keep], tmp_path / "m.tflite")

    with pytest.raises(ModelError) as caught:
        backend.open(path)
    assert caught.value.code == "model_unreadable"


@RUNTIMES
def test_an_operator_that_the_runtime_lacks_is_named(tmp_path: Path, runtime: str) -> None:
    path = models.save(models.custom_net(), tmp_path / "m.tflite")

    with pytest.raises(ModelError, match="Wavelet") as caught:
        backend.open(path, runtime=runtime)
    assert caught.value.code == "custom_operator"


def test_a_model_that_the_runtime_cannot_lay_out_is_refused(tmp_path: Path) -> None:
    net = models.Net()
    x = net.input("x", (1, 4))
    y = net.dense(x, "y", net.constant("w", models.weights(3, 5)), -1, (1, 3))  # five weights for four inputs
    path = models.save(net.build(y), tmp_path / "m.tflite")

    with pytest.raises(ModelError) as caught:
        backend.open(path)
    assert caught.value.code == "model_unsupported"


def test_missing_data_is_told_as_such(tmp_path: Path) -> None:
    session = backend.open(models.save(models.conv_net(), tmp_path / "m.tflite"))

    with pytest.raises(ContractError, match="'x'"):
        session.run({})


@RUNTIMES
def test_a_serving_process_holds_its_runtime_and_no_other(tmp_path: Path, runtime: str) -> None:
    path = models.save(models.conv_net(), tmp_path / "m.tflite")
    code = (
        "import sys; import numpy as np; from pathlib import Path; from edge_agent.backends import tflite;"
        f"session = tflite.open(Path({str(path)!r}), runtime={runtime!r});"
        "session.run({'x': np.zeros((1, 16, 16, 3), np.float32)}); print(*sys.modules)"
    )

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    other = next(name for name in backend.RUNTIMES if name != runtime).replace("-", "_")
    assert f"{runtime.replace('-', '_')}.interpreter" in loaded
    heavy = (other, "flatbuffers", "litert_quantizer", "onnx", "ai_edge_litert.schema_py_generated", "scipy")
    assert not [name for name in loaded if name.startswith(heavy)]
