"""Does another processor make the same int8 model, and does the model do the same there?

    python tests/bench/arm64.py HERE                       # on one machine
    python tests/bench/arm64.py THERE --like HERE          # on the other, with HERE's folder copied or mounted
    python tests/bench/arm64_compare.py HERE THERE

The demo's classifier as ONNX and as TensorFlow Lite file, with windows of its recording. Leaves for each format
``ranges.json`` (every range method), one int8 file a candidate and ``outputs.npz`` (float and every candidate on every
runtime). With ``--like`` also ``like/``: candidates written here from the ranges of HERE; and what HERE's files answer.
No seconds: an emulator has none worth telling.
"""

import argparse
import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from importlib.metadata import version
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

import numpy as np  # noqa: E402  # after the path above
from numpy.typing import NDArray  # noqa: E402
from support.demo import MANIFEST, MODEL, read_recording  # noqa: E402
from support.har_tflite import har_net  # noqa: E402

from edge_agent.backends import Backend, CandidateSpec, Range, load  # noqa: E402
from edge_agent.calibration.observer import Observer  # noqa: E402
from edge_agent.device import board  # noqa: E402
from edge_agent.errors import ModelError  # noqa: E402
from edge_agent.preprocess import Preprocess  # noqa: E402
from host_tools.push.manifest_file import read_manifest_file  # noqa: E402

WINDOWS = 100
METHODS = ("minmax", "percentile", "mse")
CANDIDATES: Mapping[str, Mapping[str, CandidateSpec]] = {
    "onnx": {
        "static u8s8": CandidateSpec("static", "mse"),
        "static s8s8": CandidateSpec("static", "mse", types="s8s8"),
        "static u8u8 per tensor": CandidateSpec("static", "mse", per_channel=False, types="u8u8"),
        "dynamic u8s8": CandidateSpec("dynamic"),
        "uniform": CandidateSpec("uniform"),
    },
    "tflite": {
        "static s8s8": CandidateSpec("static", "mse", types="s8s8"),
        "static s8s8 per tensor": CandidateSpec("static", "mse", per_channel=False, types="s8s8"),
        "dynamic s8s8": CandidateSpec("dynamic", types="s8s8"),
        "uniform": CandidateSpec("uniform", types="s8s8"),
    },
}
Rows = Sequence[Mapping[str, NDArray[np.float32]]]
Ranges = Mapping[str, Mapping[str, Range]]


def windows(model_format: str) -> tuple[Rows, Rows]:
    """Calibration rows and other rows, through the manifest's steps, as the format's model wants them."""
    prepare = Preprocess(read_manifest_file(MANIFEST).inputs[0])
    samples = read_recording().samples[: 2 * WINDOWS * 100].reshape(2 * WINDOWS, 100, 6)
    rows = [prepare(window)[None] for window in samples]  # [1, 6, 100]
    if model_format == "tflite":
        rows = [np.ascontiguousarray(row.transpose(0, 2, 1))[:, None] for row in rows]  # [1, 1, 100, 6]
    feeds = [{"imu": row} for row in rows]
    return feeds[::2], feeds[1::2]


def calibrate(backend: Backend, prepared: Path, rows: Rows) -> Ranges:
    """Method to tensor to range, as the calibrate stage finds them, second pass included."""
    observer = Observer(backend.tap(prepared).names)
    _observe(observer, backend, prepared, None, rows)
    ranges = observer.ranges(observer.histograms, METHODS, symmetric=False)
    coarse = observer.too_coarse(ranges)
    for name, wide in coarse.items():
        observer.second_pass(name, wide.low, wide.high)
    if coarse:
        _observe(observer, backend, prepared, list(coarse), rows)
        for method, closer in observer.ranges(coarse, METHODS, symmetric=False).items():
            ranges[method] |= closer
    return ranges


def _observe(observer: Observer, backend: Backend, prepared: Path, names: Sequence[str] | None, rows: Rows) -> None:
    tap = backend.tap(prepared, names)
    for row in rows:
        for name, value in tap.run(row):
            observer.add(name, value)


def read_ranges(path: Path) -> Ranges:
    """What :func:`write_ranges` wrote: every bit of every float."""
    read = json.loads(path.read_text(encoding="utf-8"))
    return {method: {name: Range(*ends) for name, ends in found.items()} for method, found in read.items()}


def write_ranges(path: Path, ranges: Ranges) -> None:
    """JSON keeps a float64 exactly."""
    plain = {method: {name: astuple(one) for name, one in found.items()} for method, found in ranges.items()}
    path.write_text(json.dumps(plain, indent=1), encoding="utf-8")


def rewrite(backend: Backend, model_format: str, prepared: Path, ranges: Ranges, out: Path) -> Iterator[Path]:
    """Every candidate, written from these ranges."""
    out.mkdir(exist_ok=True)
    for name, spec in CANDIDATES[model_format].items():
        path = out / f"{name}{backend.SUFFIX}"
        backend.rewrite(prepared, ranges.get(spec.calibration, {}), spec, path)
        yield path


def outputs(backend: Backend, paths: Sequence[Path], rows: Rows) -> dict[str, NDArray[Any]]:
    """``candidate on runtime`` → the outputs for all rows; empty where the runtime does not take the file."""
    found: dict[str, NDArray[Any]] = {}
    for path in paths:
        for runtime in backend.RUNTIMES:
            try:
                session = backend.open(path, runtime=runtime)
            except ModelError as error:
                print(f"{path.name} on {runtime}: {error}", file=sys.stderr)
                found[f"{path.stem} on {runtime}"] = np.empty(0)
            else:
                found[f"{path.stem} on {runtime}"] = np.stack([session.run(row)[0] for row in rows])
    return found


def make(model_format: str, out: Path, like: Path | None) -> None:
    """All of one format."""
    out.mkdir(parents=True, exist_ok=True)
    backend = load(model_format)
    original, prepared = out / f"float{backend.SUFFIX}", out / f"prepared{backend.SUFFIX}"
    original.write_bytes(MODEL.read_bytes() if model_format == "onnx" else har_net())
    backend.prepare(original, prepared)
    calibration, others = windows(model_format)
    ranges = calibrate(backend, prepared, calibration)
    write_ranges(out / "ranges.json", ranges)
    files = list(rewrite(backend, model_format, prepared, ranges, out))
    found = outputs(backend, [original, *files], others)
    if like is not None:
        list(rewrite(backend, model_format, prepared, read_ranges(like / "ranges.json"), out / "like"))
        theirs = outputs(backend, [like / path.name for path in files], others)
        found |= {f"like {name}": answer for name, answer in theirs.items()}
    np.savez(out / "outputs.npz", **found)  # type: ignore[arg-type]  # as numpy 1 has it


def describe() -> dict[str, str]:
    """This machine, in the words of the comparison's head."""
    packages = ("numpy", "onnx", "onnxruntime", "ai-edge-litert", "tflite-runtime", "litert-quantizer")
    about = board.describe(Path("/"))
    return {
        "machine": f"{platform.machine()}, {about.cpu or 'unknown processor'}",
        "software": f"Python {platform.python_version()}, {' '.join(platform.libc_ver())}",
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
    }


def main() -> None:
    """Make everything of both formats."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("--like", type=Path, metavar="HERE")
    arguments = parser.parse_args()
    for model_format in CANDIDATES:
        print(model_format, file=sys.stderr, flush=True)
        make(model_format, arguments.out / model_format, arguments.like and arguments.like / model_format)
    (arguments.out / "machine.json").write_text(json.dumps(describe()), encoding="utf-8")


if __name__ == "__main__":
    main()
