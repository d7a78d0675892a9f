"""One float model quantized by one peer, in a process of its own: what ``zoo.py`` starts.

    python tests/bench/zoo_peers.py WAY MODEL CALIBRATION.npz OUT.onnx

WAY is ``litert default`` (litert-quantizer's recipe for static int8, with its own calibration), ``litert minmax`` (the
same with the true ends of every range, as its calibration is a moving average), ``ort METHOD`` or ``ort METHOD per
channel`` (onnxruntime's ``quantize_static`` after its own
``quant_pre_process``, all operators, QDQ, all else at its default), ``ort core METHOD`` (the same, of convolutions and
matrix products alone), ``ort dynamic`` (``quantize_dynamic`` of matrix products and LSTMs), or ``compressor``
(onnx-neural-compressor's ``autotune`` over MinMax and Percentile, per tensor and per channel; it may lose 1 % of what
it is shown, agreement with float on the calibration rows).
Nothing of edge-agent is imported, so it runs in an environment that has none of it; but for a .tflite without what
litert-quantizer needs (a signature, operators named in the new way), which it gets from edge-agent's preparation.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

RESERVED = ("labels", "groups")
Feeds = dict[str, np.ndarray[Any, Any]]


def session(path: str | Path) -> Any:
    import onnxruntime as ort  # noqa: PLC0415  # a way of TensorFlow Lite has no use for it

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def feeds(model: Any, data: Path) -> Iterator[Feeds]:
    """The rows as the model takes them: as they are where the rank fits, else with a leading axis of 1."""
    return rows({one.name: len(one.shape) for one in model.get_inputs()}, data)


def rows(ranks: dict[str, int], data: Path) -> Iterator[Feeds]:
    """The same for inputs of these ranks."""
    with np.load(data) as arrays:
        named = {name: arrays[name] for name in arrays.files if name not in RESERVED}
    if len(ranks) == len(named) == 1:
        named = dict(zip(ranks, named.values(), strict=True))
    for index in range(len(next(iter(named.values())))):
        yield {
            name: array[index] if array[index].ndim == ranks[name] else array[index][None]
            for name, array in named.items()
        }


class Reader:
    """Rows, one after the other, as both quantizers want them; it holds no session, for one of them copies it."""

    def __init__(self, rows: list[Feeds]) -> None:
        self._rows, self._next = rows, 0

    def get_next(self) -> Feeds | None:
        self._next += 1
        return self._rows[self._next - 1] if self._next <= len(self._rows) else None

    def rewind(self) -> None:
        self._next = 0

    def __iter__(self) -> Iterator[Feeds]:
        return iter(self._rows)


CORE = ["Conv", "ConvTranspose", "Gemm", "MatMul", "Relu", "Clip"]
PRODUCTS = ["Gemm", "MatMul", "LSTM"]


def by_onnxruntime(model: str, data: Path, out: str, method: str, *, per_channel: bool, core: bool = False) -> None:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, quantize_static  # noqa: PLC0415

    chosen = CalibrationMethod[{"minmax": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}[method]]
    quantize_static(
        preprocessed(model, out),
        out,
        Reader(list(feeds(session(model), data))),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=CORE if core else None,
        per_channel=per_channel,
        calibrate_method=chosen,
    )


def dynamic_by_onnxruntime(model: str, out: str, *, per_channel: bool) -> None:
    from onnxruntime.quantization import quantize_dynamic  # noqa: PLC0415

    quantize_dynamic(preprocessed(model, out), out, op_types_to_quantize=PRODUCTS, per_channel=per_channel)


def preprocessed(model: str, out: str) -> str:
    """The model as onnxruntime's ``quant_pre_process`` leaves it, or as it is."""
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    prepared = f"{out}.prepared.onnx"
    try:
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
    except Exception as error:  # noqa: BLE001  # whatever it cannot do, the model as it is remains
        print(f"quant_pre_process: {error}", file=sys.stderr)
        return model
    return prepared


def by_compressor(model: str, data: Path, out: str) -> None:
    import onnx  # noqa: PLC0415  # this way only
    from onnx_neural_compressor import data_reader  # noqa: PLC0415
    from onnx_neural_compressor.quantization import config, tuning  # noqa: PLC0415
    from onnxruntime.quantization import CalibrationMethod, QuantFormat  # noqa: PLC0415

    class Calibration(Reader, data_reader.CalibrationDataReader):  # type: ignore[misc]  # without types
        pass

    rows = list(feeds(session(model), data))
    wanted = [session_outputs.ravel() for session_outputs in answers(model, rows)]

    def agreement(path: str) -> float:
        return float(np.mean([same(a, b.ravel()) for a, b in zip(wanted, answers(path, rows), strict=True)]))

    tried = [
        config.StaticQuantConfig(
            calibration_data_reader=Calibration(rows),
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            calibrate_method=method,
        )
        for method in (CalibrationMethod.MinMax, CalibrationMethod.Percentile)
        for per_channel in (True, False)
    ]
    best = tuning.autotune(
        model_input=model,
        tune_config=tuning.TuningConfig(config_set=tried, tolerable_loss=0.01),
        eval_fn=agreement,
        calibration_data_reader=Calibration(rows),
    )
    if best is None:
        raise SystemExit("autotune found no model within its tolerance")
    onnx.save(best, out)


def by_litert(model: str, data: Path, out: str, way: str) -> None:
    from litert_quantizer import quantizer, recipe  # noqa: PLC0415

    content = Path(model).read_bytes()
    try:
        name, ranks = signature(content)
    except (ValueError, IndexError):  # four of five models of MLPerf Tiny
        from edge_agent.backends import tflite  # noqa: PLC0415

        prepared = Path(f"{out}.prepared")
        tflite.prepare(Path(model), prepared)
        content = prepared.read_bytes()
        name, ranks = signature(content)
    samples = list(rows(ranks, data))
    maker = quantizer.Quantizer(content, recipe.static_wi8_ai8())
    if way == "default":
        found = maker.calibrate({name: samples}, num_threads=1)
    else:
        found = {}
        for sample in samples:
            widen(found, maker.calibrate({name: [sample]}, num_threads=1))
    Path(out).write_bytes(maker.quantize(found, enable_progress_report=False).quantized_model)


def signature(content: bytes) -> tuple[str, dict[str, int]]:
    """The model's signature and its inputs' ranks."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    interpreter = Interpreter(model_content=content, num_threads=1)
    name = next(iter(interpreter.get_signature_list()), None)
    if name is None:
        raise ValueError("no signature")
    details = interpreter.get_signature_runner(name).get_input_details()
    return name, {key: len(one["shape"]) for key, one in details.items()}


def widen(found: dict[str, Any], more: dict[str, Any]) -> None:
    for name, ends in more.items():
        known = found.setdefault(name, ends)
        if "min" in ends:
            found[name] = known | {
                "min": np.minimum(known["min"], ends["min"]),
                "max": np.maximum(known["max"], ends["max"]),
            }


def answers(path: str, rows: list[Feeds]) -> Iterator[np.ndarray[Any, Any]]:
    model = session(path)
    return (model.run(None, row)[0] for row in rows)


def same(wanted: np.ndarray[Any, Any], got: np.ndarray[Any, Any]) -> bool:
    """The same largest element, or of a single one the same side of a half."""
    return bool(wanted.argmax() == got.argmax() if wanted.size > 1 else (wanted > 0.5) == (got > 0.5))


def main() -> None:
    way, model, data, out = sys.argv[1:]
    match way.split():
        case ["litert", kind]:
            by_litert(model, Path(data), out, kind)
        case ["ort", "dynamic", *rest]:
            dynamic_by_onnxruntime(model, out, per_channel=bool(rest))
        case ["ort", "core", method, *rest]:
            by_onnxruntime(model, Path(data), out, method, per_channel=bool(rest), core=True)
        case ["ort", method, *rest]:
            by_onnxruntime(model, Path(data), out, method, per_channel=bool(rest))
        case _:
            by_compressor(model, Path(data), out)


if __name__ == "__main__":
    main()
