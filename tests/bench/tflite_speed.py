"""Time from samples on disk to an int8 .tflite file, ours against litert-quantizer's: one interleaved run.

    python tests/bench/tflite_speed.py [MODEL.tflite ...] [--rounds 5] [--samples 300]

Goal: at most 0.4 of the time of litert-quantizer's static int8 recipe with its own calibration, and no model above 1.
Ours is the calibrate stage and one rewrite, without the search. Imports are not counted on either side; both run the
model on one thread. The samples are noise in the shape of the model's only input. Without an argument the model is the
demo's.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from calibrator import make_job, measure
from tflite_memory import DEMO

from edge_agent.backends import tflite


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", type=Path, nargs="*", default=[DEMO])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=300)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    print(f"{options.samples} samples, {options.rounds} rounds, medians of seconds")
    print(f"{'':24}{'ours':>8}{'litert-quantizer':>18}{'ratio':>8}")
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            [spec] = tflite.inspect(model).inputs
            rows = random.normal(size=(options.samples, *(size or 1 for size in spec.shape))).astype(np.float32)
            job = make_job(Path(folder) / model.stem, model, {spec.name: rows})
            pairs = [(measure("ours", job).seconds, measure("litert", job).seconds) for _ in range(options.rounds)]
            ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
            ratios.append(statistics.median(one / other for one, other in pairs))
            print(f"{model.stem:24}{ours:8.2f}{theirs:18.2f}{ratios[-1]:8.2f}")
    mean, worst = statistics.geometric_mean(ratios), max(ratios)
    print(f"geometric mean {mean:.2f} (goal: at most 0.4), largest {worst:.2f} (goal: at most 1)")


if __name__ == "__main__":
    main()
