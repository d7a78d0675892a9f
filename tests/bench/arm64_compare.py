"""What ``arm64.py`` made on two machines, side by side, as the tables of ``ARM64.md``.

    python tests/bench/arm64_compare.py HERE THERE

Differences of outputs are in parts of the largest float output. ``made there from the same ranges``: whether the int8
file is the same, byte by byte. ``integers``: whether its integer constants (weights, biases, zero points) are.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

import numpy as np  # noqa: E402  # after the path above
import onnx  # noqa: E402
from arm64 import CANDIDATES, METHODS, read_ranges  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from edge_agent.backends import load  # noqa: E402
from edge_agent.backends.tflite import schema  # noqa: E402
from edge_agent.backends.tflite.reading import read_model  # noqa: E402

Array = NDArray[Any]
_HEAD = (
    "candidate",
    "runtime",
    "made there from the same ranges",
    "integers, own ranges",
    "the same file's outputs",
    "the whole way",
    "agreement here, there",
)


class Drift(NamedTuple):
    """How far ``there`` is from ``here``: values that differ, the largest difference, and rows decided otherwise."""

    values: int
    of: int
    largest: float
    otherwise: int
    rows: int

    def __str__(self) -> str:
        if not self.of:
            return "does not load"
        if not self.values:
            return "equal"
        apart = f"{self.values} of {self.of} differ, by {self.largest:.1e}"
        return f"{apart}; {self.otherwise} of {self.rows} rows decided otherwise"


class Row(NamedTuple):
    """One candidate on one runtime."""

    candidate: str
    runtime: str
    same_ranges_same_file: bool
    own_ranges_same_integers: bool
    same_file: Drift
    whole_way: Drift
    agreement: tuple[float, float]
    """With the machine's own float: here, there."""


class Comparison:
    """Two folders of one format."""

    def __init__(self, here: Path, there: Path) -> None:
        self.model_format = here.name
        self._suffix = load(here.name).SUFFIX
        self._here, self._there = here, there
        self._outputs = [dict(np.load(folder / "outputs.npz")) for folder in (here, there)]
        self._scale = max(float(np.abs(array).max()) for key, array in self._outputs[0].items() if "float" in key)

    def ranges(self) -> dict[str, tuple[int, int, float]]:
        """Method → tensors with equal ranges, all tensors, largest difference of an end in parts of the range."""
        both = [read_ranges(folder / "ranges.json") for folder in (self._here, self._there)]
        found = {}
        for method in METHODS:
            mine, theirs = (one[method] for one in both)
            far = [
                max(abs(mine[name].low - theirs[name].low), abs(mine[name].high - theirs[name].high))
                / (mine[name].high - mine[name].low)
                for name in mine
            ]
            found[method] = sum(one == 0 for one in far), len(far), max(far)
        return found

    def floats(self) -> dict[str, Drift]:
        """Runtime → how far float itself is apart."""
        return {
            key.removeprefix("float on "): self._drift(key, key) for key in self._outputs[0] if key.startswith("float")
        }

    def rows(self) -> Iterator[Row]:
        """Every candidate on every runtime."""
        for candidate in CANDIDATES[self.model_format]:
            name = f"{candidate}{self._suffix}"
            for runtime in load(self.model_format).RUNTIMES:
                key = f"{candidate} on {runtime}"
                yield Row(
                    candidate,
                    runtime,
                    (self._here / name).read_bytes() == (self._there / "like" / name).read_bytes(),
                    integers(self._here / name) == integers(self._there / name),
                    self._drift(key, f"like {key}"),
                    self._drift(key, key),
                    (self._agreement(0, key, runtime), self._agreement(1, key, runtime)),
                )

    def _drift(self, mine: str, theirs: str) -> Drift:
        here, there = self._outputs[0][mine], self._outputs[1][theirs]
        if here.shape != there.shape:
            raise SystemExit(f"{self.model_format}: {mine} loads on one machine only")
        far = np.abs(here.astype(np.float64) - there)
        otherwise = (_decided(here) != _decided(there)).sum() if here.size else 0
        return Drift(
            int((far > 0).sum()), far.size, float(far.max(initial=0.0)) / self._scale, int(otherwise), len(here)
        )

    def _agreement(self, machine: int, key: str, runtime: str) -> float:
        outputs = self._outputs[machine]
        got = outputs[key]
        return float((_decided(got) == _decided(outputs[f"float on {runtime}"])).mean()) if got.size else float("nan")


def _decided(outputs: Array) -> Array:
    return outputs.reshape(len(outputs), -1).argmax(axis=1) if outputs.size else np.empty(0)


def integers(path: Path) -> dict[str, bytes]:
    """Every integer constant of an int8 file, by name."""
    if path.suffix == ".onnx":
        constants = onnx.load(path).graph.initializer
        return {one.name: onnx.numpy_helper.to_array(one).tobytes() for one in constants if one.data_type != 1}
    model = read_model(path)
    constants = [one for one in model.main.tensors if one.constant and schema.NUMPY[one.type] != "float32"]
    return {one.name: model.raw(one).tobytes() + one.zero_points.tobytes() for one in constants}


def table(comparison: Comparison) -> str:
    """One format's findings in markdown."""
    lines = [f"{comparison.model_format}, ranges:", ""]
    for method, (equal, count, far) in comparison.ranges().items():
        lines.append(f"* {method}: {equal} of {count} tensors equal, others within {far:.1e} of their range")
    lines += [f"* float on {runtime}: {drift}" for runtime, drift in comparison.floats().items()]
    lines += ["", f"| {' | '.join(_HEAD)} |", f"|{'---|' * len(_HEAD)}"]
    for row in comparison.rows():
        file = "the same file" if row.same_ranges_same_file else "**another file**"
        same = "the same" if row.own_ranges_same_integers else "differ"
        here, there = (f"{share:.0%}" if share == share else "-" for share in row.agreement)  # noqa: PLR0124  # NaN
        cells = (row.candidate, row.runtime, file, same, row.same_file, row.whole_way, f"{here}, {there}")
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("here", type=Path)
    parser.add_argument("there", type=Path)
    arguments = parser.parse_args()
    for what, folder in (("here", arguments.here), ("there", arguments.there)):
        about = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
        print(f"* {what}: {about['machine']}; {about['software']}; {about['packages']}")
    for model_format in CANDIDATES:
        print(f"\n{table(Comparison(arguments.here / model_format, arguments.there / model_format))}")


if __name__ == "__main__":
    main()
