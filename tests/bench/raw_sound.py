"""A small net on nine seconds of raw sound, from the file to the verdict: seconds and peak memory of each stage.

    python tests/bench/raw_sound.py [DIR] [--rows 240] [--heldout 300] [--limit-mb 512] [--budget 0] [--format onnx]

The net has 1.1 MB of weights and 27 MB in each of its first activations: what takes memory is not the file. It hears
which of ten tones is in the noise; its last layer is fitted. What is run is ``edge-agent quantize`` as a person runs
it, in a control group with that limit (``--limit-mb 0``: without one). Without control groups (or the right to make
one) the bench ends and says so. ``DIR`` keeps model and data for the next run.

Goal: within the limit it ends with an answer, and the search within its budget and a third.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from calibrator import TESTS  # makes ``support`` importable
from numpy.typing import NDArray
from onnx import helper
from support import tflite_models
from support.onnx_models import model, save, value, weights

from edge_agent.backends.onnx.session import create_session, run_session
from edge_agent.jobs.task import Stage

SAMPLES, TONES = 144_000, 10
_LAYERS = ((48, 15, 1), (48, 15, 1), (64, 15, 4), (64, 15, 1), (64, 9, 4), (64, 9, 4), (96, 9, 4))
"""Channels, kernel and stride of each."""
_FITTED_ROWS = 80
_UNIFIED = Path("/sys/fs/cgroup")
_FIRST = _UNIFIED / "memory"
Floats = NDArray[np.float32]


def sounds(count: int, *, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """``count`` rows ``[1, SAMPLES]`` and the tone in each."""
    random = np.random.default_rng(seed)
    seconds = np.arange(SAMPLES, dtype=np.float32) / 16_000
    tones = random.integers(TONES, size=count)
    rows = np.zeros((count, 1, SAMPLES), np.float32)
    for row, tone in zip(rows, tones.tolist(), strict=True):
        swells = 0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(0.3, 3) * seconds)
        sine = np.sin(2 * np.pi * 150 * 1.5**tone * seconds + random.uniform(0, 6))
        row[0] = random.uniform(0.1, 0.8) * sine * swells + random.normal(0, 0.02, SAMPLES)
    return rows, tones


def sound_net(head: Floats | None = None) -> Any:
    """``x`` [1, 1, SAMPLES] → seven convolutions → mean → probabilities ``y``; without ``head`` the means."""
    nodes, constants, name, have = [], {}, "x", 1
    for number, (give, kernel, stride) in enumerate(_LAYERS):
        constants |= {f"w{number}": weights(give, have, kernel, seed=number)}
        constants |= {f"b{number}": weights(give, seed=number, scale=0.05)}
        inputs = [name, f"w{number}", f"b{number}"]
        attributes = {"strides": [stride], "pads": [kernel // 2] * 2}
        nodes.append(helper.make_node("Conv", inputs, [f"c{number}"], f"conv{number}", **attributes))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"], f"relu{number}"))
        name, have = f"r{number}", give
    nodes.append(helper.make_node("GlobalAveragePool", [name], ["pooled"], "pool"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"))
    outputs = [value("flat", [1, have])]
    if head is not None:
        constants |= {"w": head[:-1], "b": head[-1]}
        nodes.append(helper.make_node("Gemm", ["flat", "w", "b"], ["logits"], "head"))
        nodes.append(helper.make_node("Softmax", ["logits"], ["y"], "softmax"))
        outputs = [value("y", [1, TONES])]
    return model(nodes, [value("x", [1, 1, SAMPLES])], outputs, constants)


def sound_net_tflite(head: Floats) -> bytes:
    """The same layers in TensorFlow Lite, ``x`` [1, 1, SAMPLES, 1]."""
    net = tflite_models.Net()
    x = last = net.input("x", (1, 1, SAMPLES, 1))
    have, length = 1, SAMPLES
    for number, (give, kernel, stride) in enumerate(_LAYERS):
        kernels = weights(give, have, kernel, seed=number).transpose(0, 2, 1)[:, None]
        w, b = net.constant(f"w{number}", kernels), net.constant(f"b{number}", weights(give, seed=number, scale=0.05))
        have, length = give, -(-length // stride)
        last = net.conv(last, f"r{number}", w, b, (1, 1, length, have), stride=stride)
    axes = net.constant("axes", np.array([1, 2], np.int32))
    pooled = net.node("MEAN", [last, axes], "pooled", (1, have), "ReducerOptions", keepDims=False)
    w, b = net.constant("w", np.ascontiguousarray(head[:-1].T)), net.constant("b", head[-1])
    logits = net.dense(pooled, "logits", w, b, (1, TONES))
    y = net.node("SOFTMAX", [logits], "y", (1, TONES), "SoftmaxOptions", beta=1.0)
    return net.sign({"x": x}, {"y": y}).build(y)


def fitted_head() -> Floats:
    """The last layer, bias in the last row: least squares on what the convolutions make of some sounds."""
    rows, tones = sounds(_FITTED_ROWS, seed=3)
    session = create_session(sound_net().SerializeToString(), threads=2)
    means = np.concatenate([run_session(session, None, {"x": row[None]})[0] for row in rows])
    middle, spread = means.mean(0), means.std(0) + 1e-6
    known = np.column_stack([(means - middle) / spread, np.ones(len(means))])
    wanted = np.where(np.arange(TONES) == tones[:, None], 12.0, 0.0)
    found = np.linalg.solve(known.T @ known + np.eye(known.shape[1]), known.T @ wanted)
    weights_of = found[:-1] / spread[:, None]
    return np.vstack([weights_of, found[-1] - middle @ weights_of]).astype(np.float32)


def make(folder: Path, rows: int, heldout: int, kind: str) -> tuple[Path, Path, Path]:
    """Model, calibration and held-out rows in a format, made where they are not there yet."""
    net = folder / f"sound.{kind}"
    calibration, held = folder / f"calibration-{kind}-{rows}.npz", folder / f"heldout-{kind}-{heldout}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    if not net.exists():
        head = fitted_head()
        if kind == "onnx":
            save(sound_net(head), net)
        else:
            net.write_bytes(sound_net_tflite(head))
    for path, count, seed in ((calibration, rows, 1), (held, heldout, 2)):
        if not path.exists():
            made = sounds(count, seed=seed)[0]
            np.savez(path, x=made if kind == "onnx" else made[..., None])
    return net, calibration, held


class Group:
    """A control group, version 1 or 2, with a memory limit; 0: none, and it only tells who is in it."""

    def __init__(self, limit_bytes: int) -> None:
        first = (_FIRST / "memory.limit_in_bytes").exists()
        self.path = (_FIRST if first else _UNIFIED) / f"raw-sound-{os.getpid()}"
        self.path.mkdir()
        if limit_bytes:
            (self.path / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(limit_bytes))

    def enter(self) -> None:
        """Put this process into it, and so its children."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def resident(self) -> int:
        """Bytes that all its processes together hold and no file backs: what a limit cannot push out."""
        found = 0
        for pid in (self.path / "cgroup.procs").read_text().split():
            with suppress(OSError):
                lines = Path("/proc", pid, "status").read_text().splitlines()
                found += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))
        return found

    def killed(self) -> int:
        """How many of its processes the kernel has killed for memory."""
        files = [self.path / name for name in ("memory.oom_control", "memory.events")]
        lines = [line.split() for file in files if file.exists() for line in file.read_text().splitlines()]
        return sum(int(count) for name, count in lines if name == "oom_kill")

    def close(self) -> None:
        self.path.rmdir()


def run(argv: Sequence[str], stages: Path, group: Group) -> tuple[float, dict[str, int], int]:
    """Seconds, peak bytes by stage, and exit code of a command in the group; ``stages``: where these work."""
    peaks: dict[str, int] = {}
    begun = time.monotonic()
    process = subprocess.Popen(argv, preexec_fn=group.enter, stdout=subprocess.DEVNULL, cwd=TESTS.parent)  # noqa: PLW1509  # no threads here
    while process.poll() is None:
        now = next((stage for stage in Stage if (stages / f"{stage}.tmp").exists()), None)
        if now is not None:
            peaks[now] = max(peaks.get(now, 0), group.resident())
        time.sleep(0.05)
    return time.monotonic() - begun, peaks, process.returncode


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--heldout", type=int, default=300)
    parser.add_argument("--limit-mb", type=int, default=512)
    parser.add_argument("--budget", type=float, default=0.0)
    parser.add_argument("--format", choices=("onnx", "tflite"), default="onnx")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        net, calibration, heldout = make(options.folder or scratch, options.rows, options.heldout, options.format)
        recipe, out = scratch / "recipe.toml", scratch / "out"
        recipe.write_text(f"[recipe]\nsearch_budget_s = {options.budget:g}\n")
        files = ["--calibration", calibration, "--heldout", heldout, "--recipe", recipe, "--out", out]
        group = Group(options.limit_mb << 20)
        seconds, peaks, code = run(
            [sys.executable, "-m", "edge_agent", "quantize", str(net), *map(str, files)], out / "stages", group
        )
        limit = f"limit {options.limit_mb} MB" if options.limit_mb else "no limit"
        print(f"{net.name}, {options.rows} + {options.heldout} rows, {limit}: exit {code} after {seconds:.0f} s,")
        print(f"{group.killed()} processes killed for memory")
        group.close()
        report = json.loads((out / "report.json").read_text())
        print(f"{report['verdict']}, {report['code']}: {report['message']}")
        for stage, peak in peaks.items():
            print(f"{stage:10}{report['seconds'].get(stage, 0.0):8.1f} s{peak / 2**20:8.0f} MiB")
        print(f"{len(report['candidates'])} candidates; warnings:", *report["data"]["warnings"], sep="\n  ")


if __name__ == "__main__":
    main()
