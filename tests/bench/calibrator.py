"""One calibration in a process of its own, ours or another's: what the calibration benches start and read.

The process imports everything, notes its memory, works, and prints as JSON the seconds and what its peak exceeds that
by. Where time is compared, each has opened and checked a tiny ``.onnx`` before, so nobody's clock runs while onnx and
onnxruntime fill their tables.
Samples are on disk (``c.npz``). Ours is the real worker's ``calibrate`` stage, which finds the ranges of all three
methods, followed by one rewrite with the ranges of ``percentile``. onnxruntime's is ``quantize_static`` with
``CalibrationMethod.Percentile``, QDQ and per channel, all else at its default; or, for memory, its calibrator alone.
litert-quantizer's, for ``.tflite`` models, is its own recipe for static int8 and its own calibration.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

import msgspec  # noqa: E402  # after the path above
import numpy as np  # noqa: E402
from networks import Arrays  # noqa: E402
from onnx import checker  # noqa: E402
from onnxruntime import InferenceSession  # noqa: E402
from support.onnx_models import mlp, save  # noqa: E402

from edge_agent.jobs.task import TASK_FILE, ArrayFiles, Stage, Task, read_task  # noqa: E402
from edge_agent.worker.data.sets import SETS_FILE, ArraySets, RowSet  # noqa: E402

MODEL, DATA = "model.onnx", "c.npz"
WORKER_IMPORTS = (
    *("edge_agent.worker.stages.calibrate", "edge_agent.backends.onnx", "edge_agent.backends.onnx.inspection"),
    *("edge_agent.backends.onnx.preparation", "edge_agent.backends.onnx.taps"),
)
REWRITE_IMPORTS = ("edge_agent.backends.onnx.rewriting", "onnxruntime.quantization")
LITERT_IMPORTS = (
    *(
        "edge_agent.worker.stages.calibrate",
        "edge_agent.backends.tflite.taps",
        "edge_agent.backends.tflite.preparation",
    ),
    *("edge_agent.backends.tflite.rewriting", "litert_quantizer.quantizer", "litert_quantizer.recipe"),
    "ai_edge_litert.interpreter",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of work, and MiB by which the peak of resident memory exceeds what imports had left."""

    seconds: float
    over_imports_mib: float


def make_job(folder: Path, built: Any, arrays: Arrays) -> Path:
    """A job whose capture stage has put every sample into the calibration set; ``built``: a model, or its file."""
    folder.mkdir()
    model = f"model{built.suffix}" if isinstance(built, Path) else MODEL
    if isinstance(built, Path):
        shutil.copyfile(built, folder / model)
    else:
        save(built, folder / model)
    np.savez(folder / DATA, **arrays)  # type: ignore[arg-type]  # its stub confuses names of arrays and of options
    rows = len(next(iter(arrays.values())))
    data = str(folder / DATA)
    known: dict[str, Any] = {"job": "bench", "name": "bench", "version": 1, "format": model.partition(".")[2]}
    task = Task(**known, model=model, arrays=ArrayFiles(data))
    (folder / TASK_FILE).write_bytes(msgspec.json.encode(task))
    sets = ArraySets(RowSet(data, list(range(rows))), RowSet(data, [0]), RowSet(data, [0]))
    capture = folder / Stage.CAPTURE
    capture.mkdir()
    (capture / SETS_FILE).write_bytes(msgspec.json.encode(sets))
    (capture / "outcome.json").write_bytes(b"{}")
    return folder


def measure(way: str, job: Path) -> Measured:
    """Run ``way`` (see the bottom of this file) on ``job`` in a fresh process."""
    env = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
    argv = [sys.executable, __file__, way, str(job)]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{way} failed:\n{ended.stderr}")
    return Measured(**json.loads(ended.stdout.splitlines()[-1]))


def peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


class Meter:
    """Runs from when all imports are done until :meth:`read`; ``warm``: libraries are used before its clock runs."""

    def __init__(self, *, warm: bool) -> None:
        self._imported = peak_mib()
        if warm:
            tiny = mlp()
            checker.check_model(tiny, full_check=True)
            InferenceSession(tiny.SerializeToString(), providers=["CPUExecutionProvider"])
        self._began = time.perf_counter()

    def read(self) -> Measured:
        seconds, peak = time.perf_counter() - self._began, peak_mib()
        return Measured(seconds, peak - self._imported)


def ours(job: Path, *, rewrite: bool) -> Measured:
    task = read_task(job)
    modules = (*WORKER_IMPORTS, *(REWRITE_IMPORTS if rewrite else ())) if task.format == "onnx" else LITERT_IMPORTS
    for module in modules:
        importlib.import_module(module)
    from edge_agent.backends import CandidateSpec, load  # noqa: PLC0415  # each way imports only what it needs
    from edge_agent.worker.__main__ import main  # noqa: PLC0415
    from edge_agent.worker.artefacts import prepared_path, read_ranges  # noqa: PLC0415

    meter = Meter(warm=rewrite)
    if main([Stage.CALIBRATE, str(job)]):
        raise SystemExit("the worker crashed")
    if rewrite:
        folder, backend = job / Stage.CALIBRATE, load(task.format)
        ranges = read_ranges(folder).of("percentile")
        spec = CandidateSpec(method="static", calibration="percentile")
        backend.rewrite(prepared_path(folder, backend.SUFFIX), ranges, spec, job / f"int8{backend.SUFFIX}")
    return meter.read()


def theirs(job: Path, *, rewrite: bool) -> Measured:
    from onnxruntime.quantization import (  # noqa: PLC0415
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        create_calibrator,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            with np.load(job / DATA) as arrays:
                name, rows = next(iter(arrays.items()))
            self._feeds = ({name: row[None]} for row in rows)

        def get_next(self) -> dict[str, Any] | None:
            return next(self._feeds, None)

    reader = Reader()
    model, method = str(job / MODEL), CalibrationMethod.Percentile
    meter = Meter(warm=rewrite)
    if rewrite:
        out, form = str(job / "theirs.onnx"), QuantFormat.QDQ
        quantize_static(model, out, reader, quant_format=form, per_channel=True, calibrate_method=method)
    else:
        calibrator = create_calibrator(model, augmented_model_path=str(job / "augmented.onnx"), calibrate_method=method)
        calibrator.collect_data(reader)
        calibrator.compute_data()
    return meter.read()


def litert(job: Path) -> Measured:
    for module in LITERT_IMPORTS:
        importlib.import_module(module)
    from zoo_peers import by_litert  # noqa: PLC0415

    meter = Meter(warm=True)
    by_litert(str(job / read_task(job).model), job / DATA, str(job / "theirs.tflite"), "default")
    return meter.read()


def child(way: str, job: Path) -> None:
    out = os.dup(1)  # the worker takes standard output for itself
    match way:
        case "ours" | "ours, calibrate":
            found = ours(job, rewrite=way == "ours")
        case "onnxruntime" | "onnxruntime, calibrate":
            found = theirs(job, rewrite=way == "onnxruntime")
        case "litert":
            found = litert(job)
        case _:
            raise SystemExit(f"no such way: {way}")
    os.write(out, b"\n" + json.dumps(asdict(found)).encode() + b"\n")


if __name__ == "__main__":
    child(sys.argv[1], Path(sys.argv[2]))
