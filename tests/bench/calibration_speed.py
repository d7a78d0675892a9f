"""Time from samples on disk to an int8 file, ours against onnxruntime's: one interleaved run.

    python tests/bench/calibration_speed.py [--rounds 3] [--samples 300]

Goal: a geometric mean of at most 0.4 of the time of onnxruntime's ``quantize_static`` with its Percentile calibrator,
and no net above 1. Ours is the calibrate stage and one rewrite, without the search. Imports are not counted on either
side; ours runs on one thread and syncs what it writes, onnxruntime on as many as it likes.
"""

import argparse
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from calibrator import make_job, measure
from networks import image_net, keyword_net, samples, signal_net, spectrogram_net

NETS = {"signal": signal_net, "keyword": keyword_net, "spectrogram": spectrogram_net, "image": image_net}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=300)
    options = parser.parse_args()
    seconds: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in NETS}
    with tempfile.TemporaryDirectory() as folder:
        nets = {name: build() for name, build in NETS.items()}
        jobs = {name: make_job(Path(folder) / name, net, samples(net, options.samples)) for name, net in nets.items()}
        for _ in range(options.rounds):
            for name, job in jobs.items():
                for way in ("ours", "onnxruntime"):
                    seconds[name][way].append(measure(way, job).seconds)
    print(f"{options.samples} samples, {options.rounds} rounds, medians of seconds")
    print(f"{'':14}{'ours':>8}{'onnxruntime':>14}{'ratio':>8}")
    ratios = []
    for name, ways in seconds.items():
        ours, theirs = (statistics.median(ways[way]) for way in ("ours", "onnxruntime"))
        pairs = [one / other for one, other in zip(ways["ours"], ways["onnxruntime"], strict=True)]
        ratios.append(statistics.median(pairs))
        print(f"{name:14}{ours:8.2f}{theirs:14.2f}{ratios[-1]:8.2f}")
    mean, worst = statistics.geometric_mean(ratios), max(ratios)
    print(f"geometric mean {mean:.2f} (goal: at most 0.4), largest {worst:.2f} (goal: at most 1)")


if __name__ == "__main__":
    main()
