"""Seconds of the search, and how jobs end: this checkout against another one, in turn.

    python tests/bench/search_seconds.py BEFORE DIR... [--only a,b] [--rounds 3] [--seconds 900]

BEFORE is another checkout of this project (``git worktree add BEFORE COMMIT``). For every ``NAME-float.onnx`` or
``.tflite`` in DIR with ``NAME-calibration.npz`` and ``NAME-heldout.npz`` (and ``NAME-recipe.toml``), both run
``edge-agent quantize`` with this interpreter, one after the other, the later one first in every second round. What
counts are the seconds of the stage that searches, the proof of speed included: the median ratio of each model, and the
geometric mean of these. Of the ends the last round's are shown, and how many of the planned structures ran over the
search set.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests")]

from bench.zoo import machine, models  # noqa: E402  # after the path above

_HEAD = "| model | search, s: before, now | ratio | ended: before | now | structures scored: before, now |"
_STRUCTURE = ("method", "operators", "types", "per_channel")


def quantized(checkout: Path, model: Path, out: Path, seconds: float) -> Mapping[str, Any]:
    """The result object of one run of a checkout."""
    name = model.stem.removesuffix("-float")
    recipe = model.with_name(f"{name}-recipe.toml")
    argv = [sys.executable, "-m", "edge_agent", "quantize", str(model), "--json", "--out", str(out)]
    for part in ("calibration", "heldout"):
        argv += [f"--{part}", str(model.with_name(f"{name}-{part}.npz"))]
    argv += ["--recipe", str(recipe)] if recipe.exists() else []
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    ended = subprocess.run(
        argv, capture_output=True, text=True, check=False, cwd=checkout, env=environment, timeout=seconds
    )
    found: Mapping[str, Any] = json.loads(ended.stdout)
    return found


def described(result: Mapping[str, Any]) -> str:
    """How a job ended, in a table's cell."""
    chosen = result["chosen"]
    if chosen is None:
        return str(result["code"])
    agreement, floats = chosen["agreement"], len(chosen["float_layers"])
    how = " ".join(filter(None, (chosen["method"], chosen["operators"], chosen["calibration"])))
    return f"{how}, {floats} float: {agreement:.1%}, {chosen['ratio_p50']:.2f} of the time, {chosen['size_bytes']:,} B"


def structures(result: Mapping[str, Any]) -> int:
    """Those of which a candidate without float layers ran over windows of the search set."""
    ran = [one for one in result["candidates"] if one["windows"] and not one["float_layers"]]
    return len({tuple(one[key] for key in _STRUCTURE) for one in ran})


def bench(before: Path, model: Path, rounds: int, seconds: float) -> float:
    """Print the row of one model; the median ratio of seconds."""
    ratios: list[float] = []
    last: dict[str, Mapping[str, Any]] = {}
    times: dict[str, list[float]] = {"before": [], "now": []}
    for number in range(rounds):
        checkouts = [("before", before), ("now", ROOT)]
        for which, checkout in checkouts[:: -1 if number % 2 else 1]:
            with tempfile.TemporaryDirectory() as folder:
                last[which] = quantized(checkout, model, Path(folder) / "out", seconds)
            times[which].append(last[which]["seconds"]["quantize"])
        ratios.append(times["now"][-1] / times["before"][-1])
    took = ", ".join(f"{median(times[which]):.1f}" for which in ("before", "now"))
    ends = " | ".join(described(last[which]) for which in ("before", "now"))
    scored = ", ".join(str(structures(last[which])) for which in ("before", "now"))
    print(f"| {model.stem.removesuffix('-float')} | {took} | {median(ratios):.2f} | {ends} | {scored} |", flush=True)
    return median(ratios)


def main() -> None:
    """Measure all models."""
    parser = argparse.ArgumentParser()
    parser.add_argument("before", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--only", default="", help="names, with commas between")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=900.0, help="limit of one run")
    options = parser.parse_args()
    print(f"{machine()}\n\n{_HEAD}\n|---|--:|--:|---|---|--:|", flush=True)
    found = [model for folder in options.folders for _, model in models(folder, options.only)]
    ratios = [bench(options.before.resolve(), model, options.rounds, options.seconds) for model in found]
    print(f"\nGeometric mean of {len(ratios)} models: {geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
