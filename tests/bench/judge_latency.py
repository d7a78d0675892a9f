"""The latency gate judged: float against a copy of itself, and against a model with one layer in twenty more.

    python tests/bench/judge_latency.py [--repetitions 20]

Each repetition is a full comparison of :mod:`edge_agent.worker.measure.comparison`, with its real processes, against a
limit: 1.0, the default gate, where a copy lies exactly at the limit, and 1.02. Twenty equal convolutions against
twenty-one are 5 % more work. Prints a table, asserts nothing; on a machine that does other things, too, `too_noisy` is
a right end.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np
import onnx

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench.networks import conv_stack  # noqa: E402  # after the path above

from edge_agent.worker.measure.comparison import compare  # noqa: E402
from edge_agent.worker.measure.feeds import write_feeds  # noqa: E402
from edge_agent.worker.measure.question import Served  # noqa: E402

LAYERS, CHANNELS, SIZE = 20, 16, 24
LIMITS = (1.0, 1.02)


def net(layers: int, path: Path) -> Served:
    """So many equal convolutions, saved."""
    onnx.save(conv_stack((CHANNELS, SIZE, SIZE), [CHANNELS] * layers, [1] * layers), path)
    return Served(str(path), "onnxruntime")


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description="How often the latency gate errs.")
    parser.add_argument("--repetitions", type=int, default=20)
    repetitions = parser.parse_args().repetitions
    print("| float against | limit | ends | ratio, median | lowest, highest |", "|---|--:|---|--:|--:|", sep="\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        feeds = folder / "feeds.npz"
        write_feeds(feeds, {"x": np.random.default_rng(0).normal(size=(1, CHANNELS, SIZE, SIZE)).astype(np.float32)})
        reference = net(LAYERS, folder / "float.onnx")
        targets = {
            "a copy of itself": net(LAYERS, folder / "copy.onnx"),
            "5 % more work": net(LAYERS + 1, folder / "slower.onnx"),
        }
        for limit in LIMITS:
            for what, target in targets.items():
                found = [compare(reference, target, feeds, limit=limit) for _ in range(repetitions)]
                ends = ", ".join(
                    f"{end} {count}" for end, count in Counter(one.decision.value for one in found).items()
                )
                ratios = [one.ratio_p50 for one in found]
                spread = f"{min(ratios):.3f}, {max(ratios):.3f}"
                print(f"| {what} | {limit} | {ends} | {median(ratios):.3f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
