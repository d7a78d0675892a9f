"""Ours against other quantizers on a directory of float models with real data: ``make bench ZOO=DIR``.

    python tests/bench/zoo.py DIR [--only a,b] [--seconds 120] [--memory-mib 4096] [--write tests/bench/ZOO.md]

For every ``NAME-float.onnx`` or ``.tflite`` with ``NAME-calibration.npz`` and ``NAME-heldout.npz`` (and, where the
output's kind must be said, ``NAME-recipe.toml``): ``edge-agent quantize``, and without its gate of speed where that
refuses all. Against it for ONNX onnxruntime's ``quantize_static`` with each of its calibrators, per tensor and per
channel, and onnx-neural-compressor's autotune in an environment of its own, which is made once in a cache folder and
left out where it cannot be; for TensorFlow Lite litert-quantizer with its own calibration and with the true ends of
every range, and ``NAME-reference-int8.tflite`` where there is one. Each runs in a process of its own under the same
limits of time and memory. Then one process judges all files on the same held-out rows and calls them in turn. This one
imports nothing heavy: a child's peak memory begins at its parent's.
"""

import argparse
import json
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
METHODS = ("minmax", "percentile", "entropy")
PEERS = {
    ".onnx": tuple(f"ort {method}{channel}" for channel in ("", " per channel") for method in METHODS),
    ".tflite": ("litert default", "litert minmax"),
}
RUNTIMES = tuple(name for name in ("ai-edge-litert", "tflite-runtime") if find_spec(name.replace("-", "_")) is not None)
COMPRESSOR = "compressor"
_COMPRESSOR_NEEDS = ("onnx-neural-compressor==1.0", "onnxruntime==1.32.0", "prettytable", "scipy")
"""The last two it imports and does not declare."""
_LONGEST = 110
_STAMP = re.compile(r"^[-\d: ,]+(\[[^]]*\])*\s*")
"""What loggers put before their sentence."""
_HEAD = "| model | quantizer | accuracy | agreement | SQNR | time, of float's | size | took | peak RSS | gates |"
_RULE = "|---|---|--:|--:|--:|--:|--:|--:|--:|---|"


@dataclass(frozen=True, slots=True)
class Run:
    """One quantizer's end: ``why`` says what went wrong, empty if a file was written."""

    seconds: float
    peak_mib: float
    why: str
    out: str = ""


def run(argv: list[str], out: Path, *, seconds: float, memory_mib: int) -> Run:
    """Start a process under limits and wait; its peak is its own or the largest of its children's."""
    limit = memory_mib * 2**20
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as told, tempfile.TemporaryFile("w+") as printed:
        child = subprocess.Popen(
            argv,
            stdout=printed,
            stderr=told,
            start_new_session=True,
            env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),  # noqa: PLW1509  # no threads yet
        )
        late = threading.Event()
        timer = threading.Timer(seconds, lambda: (late.set(), os.killpg(child.pid, signal.SIGKILL)))
        timer.start()
        _, status, used = os.wait4(child.pid, 0)
        timer.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        printed.seek(0)
        why = "" if out.exists() and not child.returncode else _reason(child.returncode, told.read(), printed.read())
    why = f"not done in {seconds:.0f} s" if late.is_set() else why
    return Run(time.perf_counter() - began, used.ru_maxrss / 1024, why, str(out))


def _reason(returncode: int, stderr: str, stdout: str) -> str:
    """Why there is no file: the code of a result object, else the last thing that was said."""
    try:
        result = json.loads(stdout)
    except ValueError:
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        if (
            any(word in stderr for word in ("MemoryError", "bad_alloc", "bad allocation", "Failed to allocate"))
            or returncode == -signal.SIGABRT
        ):
            return "out of memory"
        return _STAMP.sub("", lines[-1]) if lines else f"ended with {returncode}"
    return f"{result['verdict']}: {result['code']}"


def compressor_python(cache: Path) -> tuple[str, str]:
    """(an interpreter with onnx-neural-compressor, "") or ("", why there is none)."""
    python = cache / "onnx-neural-compressor" / "bin" / "python"
    check = "from onnx_neural_compressor.quantization import tuning"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_COMPRESSOR_NEEDS]
        subprocess.run(pip, check=False, stderr=subprocess.DEVNULL)
    tried = subprocess.run([str(python), "-c", check], capture_output=True, text=True, check=False)
    return (str(python), "") if not tried.returncode else ("", tried.stderr.strip().splitlines()[-1])


def models(zoo: Path, only: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(path for suffix in PEERS for path in zoo.glob(f"*-float{suffix}")):
        name = path.stem.removesuffix("-float")
        complete = all((zoo / f"{name}-{part}.npz").exists() for part in ("calibration", "heldout"))
        if complete and (not only or name in only.split(",")):
            yield name, path


def bench(name: str, model: Path, folder: Path, limits: dict[str, Any], compressor: str) -> list[str]:
    """The rows of one model."""
    calibration, heldout = (model.with_name(f"{name}-{part}.npz") for part in ("calibration", "heldout"))
    recipe = model.with_name(f"{name}-recipe.toml")
    given = ["--recipe", str(recipe)] if recipe.exists() else []
    runs = {"edge-agent": quantize(model, calibration, heldout, folder / "ours", given, limits)}
    if any(code in runs["edge-agent"].why for code in ("latency", "too_noisy")):
        any_speed = folder / "any-speed.toml"
        any_speed.write_text(without_speed(recipe.read_text() if recipe.exists() else ""))
        given_so = ["--recipe", str(any_speed)]
        runs["… at any speed"] = quantize(model, calibration, heldout, folder / "any", given_so, limits)
    for way in (*PEERS[model.suffix], *([COMPRESSOR] if compressor and model.suffix == ".onnx" else [])):
        out = folder / f"{way.replace(' ', '-')}{model.suffix}"
        python = compressor if way == COMPRESSOR else sys.executable
        runs[way] = run(
            [python, str(HERE / "zoo_peers.py"), way, str(model), str(calibration), str(out)], out, **limits
        )
    known = model.with_name(f"{name}-reference-int8{model.suffix}")
    if known.exists():
        runs["reference int8"] = Run(0.0, 0.0, "", str(known))
    files = [one.out for one in runs.values() if not one.why]
    argv = [sys.executable, str(HERE / "zoo_measure.py"), str(model), str(heldout), *(given[1:] or "-"), *files]
    measured = subprocess.run(argv, capture_output=True, text=True, check=False)
    if measured.returncode:
        return [f"| **{name}** | cannot be judged | | | | | | | | {_reason(1, measured.stderr, '')} |"]
    told = json.loads(measured.stdout)
    size = model.stat().st_size
    reference = told["float"]
    accuracy = _share(reference["accuracy"]) if reference["mae"] is None else f"MAE {reference['mae']:.3g}"
    cells = [f"**{name}** ({reference['kind']})", "float", accuracy]
    first = f"| {' | '.join(cells)} | | | | {size / 1024:,.0f} KiB | | | |"
    return [first, *(_row(way, one, told.get(one.out), size) for way, one in runs.items())]


def quantize(model: Path, calibration: Path, heldout: Path, out: Path, given: list[str], limits: dict[str, Any]) -> Run:
    """Ours."""
    argv = [sys.executable, "-m", "edge_agent", "quantize", str(model), "--calibration", str(calibration), *given]
    argv += ["--heldout", str(heldout), "--out", str(out), "--json"]
    return run(argv, out / f"model{model.suffix}", **limits)


def without_speed(recipe: str) -> str:
    """A recipe that is a TOML text with tables, without a gate of speed."""
    if "[gates]" in recipe:
        return recipe.replace("[gates]", "[gates]\nmax_latency_ratio = 0")
    return f"{recipe}\n[gates]\nmax_latency_ratio = 0\n"


def _row(way: str, one: Run, told: dict[str, Any] | None, size: int) -> str:
    cost = f"{one.seconds:.1f} s | {one.peak_mib:,.0f} MiB" if one.seconds else " | "
    why = one.why or (told or {}).get("error", "")
    if why or told is None:
        return f"| | {way} | | | | | | {cost} | {why[:_LONGEST].replace('|', '/')} |"
    sqnr = "" if told["sqnr_db"] is None else f"{told['sqnr_db']:.1f} dB"
    passed = told["code"] or ("slower than float" if min(told["ratios"]) > 1 else "pass")
    times = " · ".join(f"{ratio:.2f}" for ratio in told["ratios"])
    accuracy = _share(told["accuracy"]) if told["mae"] is None else f"MAE {told['mae']:.3g}"
    cells = [accuracy, _share(told["agreement"]), sqnr, times]
    return f"| | {way} | {' | '.join(cells)} | {Path(one.out).stat().st_size / size:.2f} | {cost} | {passed} |"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def machine() -> str:
    """What it ran on."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("onnxruntime", "onnx", "ai-edge-litert", "litert-quantizer", "numpy")
    )
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))), "")
    return (
        f"{cpu or platform.machine()}, {os.cpu_count()} cores, {platform.platform()}; "
        f"Python {platform.python_version()}, {packages}"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("zoo", type=Path)
    parser.add_argument("--only", default="", help="names, with commas between")
    parser.add_argument("--seconds", type=float, default=120.0, help="limit of one quantizer on one model")
    parser.add_argument("--memory-mib", type=int, default=4096, help="limit of its address space")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "edge-agent-bench")
    parser.add_argument("--write", type=Path, help="keep the table in this file, too")
    options = parser.parse_args()
    some = [path.suffix for _, path in models(options.zoo, options.only)]
    compressor, why = compressor_python(options.cache) if ".onnx" in some else ("", "")
    limits = {"seconds": options.seconds, "memory_mib": options.memory_mib}
    lines = [
        machine(),
        "",
        f"Limits of each quantizer: {options.seconds:.0f} s, {options.memory_mib} MiB of addresses.",
    ]
    lines += [f"onnx-neural-compressor is left out: {why}"] if why else []
    if ".tflite" in some:
        lines += [f"Times of .tflite: {' · '.join(RUNTIMES)}, each against float on the same."]
    lines += ["", _HEAD, _RULE]
    print("\n".join(lines), flush=True)
    for name, model in models(options.zoo, options.only):
        with tempfile.TemporaryDirectory() as folder:
            rows = bench(name, model, Path(folder), limits, compressor)
        print("\n".join(rows), flush=True)
        lines += rows
        if options.write is not None:
            options.write.write_text("\n".join(["# The zoo, one run", "", *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
