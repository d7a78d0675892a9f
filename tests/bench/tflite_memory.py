"""Peak memory of calibrating a TensorFlow Lite model as the number of samples grows: one interleaved run.

    python tests/bench/tflite_memory.py [MODEL.tflite] [--rounds 3] [--few 200] [--many 2000]

Goal: flat, within 10 %. The samples are noise in the shape of the model's only input; memory does not see the values.
Without an argument the model is the demo's.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from calibrator import make_job, measure

from edge_agent.backends import tflite

DEMO = Path(__file__).resolve().parents[2] / "host_tools" / "demo" / "data" / "har.tflite"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path, nargs="?", default=DEMO)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--many", type=int, default=2000)
    options = parser.parse_args()
    [spec] = tflite.inspect(options.model).inputs
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        jobs = []
        for count in (options.few, options.many):
            rows = random.normal(size=(count, *(size or 1 for size in spec.shape))).astype(np.float32)
            jobs.append(make_job(Path(name) / str(count), options.model, {spec.name: rows}))
        found = [[measure("ours, calibrate", job).over_imports_mib for job in jobs] for _ in range(options.rounds)]
    few, many = (median(ones) for ones in zip(*found, strict=True))
    print(f"{options.model.name}: {options.rounds} rounds, medians of the peak over imports in MiB")
    print(f"{options.few} samples {few:.1f}, {options.many} samples {many:.1f}: {many / few:.3f} (goal: at most 1.1)")


if __name__ == "__main__":
    main()
