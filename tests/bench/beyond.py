"""How often ordinary data are said to go beyond what calibration has seen, and how often a rare regime is.

    python tests/bench/beyond.py [--draws N] [RECORDING.npz...]

Calibration and held-out windows are of one distribution, or windows of the demo's recording and of each
``RECORDING.npz`` (array ``samples`` [n, channels]) in random order; a share of the draws in which anything is said is a
false alarm. Then some held-out windows are a few times as strong. Prints tables, asserts nothing.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.captures import model_info  # noqa: E402

from edge_agent.worker.quality.beyond import BeyondCalibration, InputReach  # noqa: E402  # after the path above
from host_tools.demo.simulator import RECORDING  # noqa: E402

Windows = NDArray[np.float32]
Draw = Callable[[np.random.Generator, int], Windows]
HELDOUT, SIZE, HOP = 300, 128, 64
CALIBRATION = (80, 300, 2000)


def movement(random: np.random.Generator, count: int) -> Windows:
    """Three channels of noise that has a memory, 128 samples."""
    steps = random.normal(0, 1, (count, SIZE, 3))
    for place in range(1, SIZE):
        steps[:, place] += 0.9 * steps[:, place - 1]
    return steps.astype(np.float32)


def changing(random: np.random.Generator, count: int) -> Windows:
    """The same, each window with a strength of its own, as people move more or less."""
    return movement(random, count) * np.exp(random.normal(0, 0.5, (count, 1, 1))).astype(np.float32)


ORDINARY: Mapping[str, Draw] = {
    "16 features, normal": lambda random, count: random.normal(0, 1, (count, 16)).astype(np.float32),
    "16 features, uniform": lambda random, count: random.uniform(0, 1, (count, 16)).astype(np.float32),
    "16 features, Laplace": lambda random, count: random.laplace(0, 1, (count, 16)).astype(np.float32),
    "16 features, log-normal": lambda random, count: np.exp(random.normal(0, 1, (count, 16))).astype(np.float32),
    "movement [128, 3]": movement,
    "movement, of changing strength": changing,
    "picture [3, 16, 16], normal": lambda random, count: random.normal(0, 1, (count, 3, 16, 16)).astype(np.float32),
    "sound [1000], Laplace": lambda random, count: random.laplace(0, 1, (count, 1000)).astype(np.float32),
}


def recorded(path: Path) -> Draw:
    """Windows of a recording, drawn without one twice."""
    samples = np.load(path)["samples"].astype(np.float32)
    starts = np.arange(0, len(samples) - SIZE + 1, HOP)
    return lambda random, count: np.stack(
        [samples[start : start + SIZE] for start in random.permutation(starts)[:count]]
    )


def says(calibration: Windows, heldout: Windows) -> bool:
    """Whether anything is said."""
    info = model_info({"x": ("float32", (1, *calibration.shape[1:]))})
    reach = InputReach(info, lambda _: [], len(calibration))
    for window in calibration:
        reach.add({"x": window[None]})
    beyond = BeyondCalibration(reach.found(), len(calibration), "input")
    for window in heldout:
        beyond.add({"x": window[None]})
    return bool(beyond.findings(rows=True))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=25)
    parser.add_argument("recordings", nargs="*", type=Path)
    args = parser.parse_args()
    draws: dict[str, Draw] = {**ORDINARY, **{path.name: recorded(path) for path in (RECORDING, *args.recordings)}}
    print(f"{'draws of which something is said':36}" + "".join(f"{count:>8}" for count in CALIBRATION))
    for name, draw in draws.items():
        print(f"{name:36}" + "".join(_share(args.draws, draw, count) for count in CALIBRATION), flush=True)
    print(f"\n{'5 of 300 windows are stronger, by':36}{2:>8}{3:>8}{4:>8}")
    for name, draw in draws.items():
        print(f"{name:36}" + "".join(_share(args.draws, draw, 300, by) for by in (2, 3, 4)), flush=True)


def _share(draws: int, draw: Draw, count: int, stronger: float = 1.0) -> str:
    found = total = 0
    for seed in range(draws):
        both = draw(np.random.default_rng(seed), count + HELDOUT)
        if len(both) < count + HELDOUT:  # a short recording
            return f"{'-':>8}"
        heldout = both[count:].copy()
        heldout[:: HELDOUT // 5] *= stronger
        found += says(both[:count], heldout)
        total += 1
    return f"{found / total:>8.0%}"


if __name__ == "__main__":
    main()
