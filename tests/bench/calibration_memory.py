"""Peak memory of calibration as the number of samples grows, and beside onnxruntime's: one interleaved run.

    python tests/bench/calibration_memory.py [--rounds 3] [--few 100] [--many 1000] [--beside 300]

Goals: from 100 to 1,000 samples the calibrate worker's peak (VmHWM of the real process) less what imports took stays
flat within 10 %, on a net with at least 1 MB of float activations a sample; at 300 samples it is at most 1/50 of that
of onnxruntime's Percentile calibrator on the same net over spectrograms.
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from calibrator import Measured, make_job, measure
from networks import samples, spectrogram_net

from edge_agent.backends import onnx


def activation_mb(model: Path, folder: Path) -> float:
    """MB of float activations that one sample gives, as calibration sees them."""
    prepared = folder / "prepared.onnx"
    onnx.prepare(model, prepared)
    return sum(value.nbytes for _, value in onnx.tap(prepared).run(samples(spectrogram_net(), 1))) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--beside", type=int, default=300)
    options = parser.parse_args()
    net = spectrogram_net()
    found: dict[tuple[str, int], list[Measured]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        counts = (options.few, options.many, options.beside)
        jobs = {count: make_job(Path(name) / str(count), net, samples(net, count)) for count in counts}
        megabytes = activation_mb(jobs[options.few] / "model.onnx", Path(name))
        for _ in range(options.rounds):
            for count, job in jobs.items():
                found["ours", count].append(measure("ours, calibrate", job))
            found["onnxruntime", options.beside].append(measure("onnxruntime, calibrate", jobs[options.beside]))
    print(f"{megabytes:.1f} MB of activations a sample; {options.rounds} rounds, medians of the peak in MiB")
    print(f"{'':14}{'samples':>8}{'over imports':>14}")
    over = {key: median(one.over_imports_mib for one in ones) for key, ones in found.items()}
    for (way, count), peak in over.items():
        print(f"{way:14}{count:8}{peak:14.1f}")
    few, many, beside, theirs = over.values()
    print(f"{'flat (goal: at most 1.1)':22}{many / few:12.3f}")
    print(f"{'of theirs (1/50)':22}{f'1/{theirs / beside:.0f}':>14}")


if __name__ == "__main__":
    main()
