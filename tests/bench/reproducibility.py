"""Whether the same command ends the same way each time.

    python tests/bench/reproducibility.py [MODEL...] [--equal] [--runs 10] [--recipe R.toml] [--keep DIR]

A model is ``NAME-float.onnx`` or ``.tflite`` with ``NAME-calibration.npz`` and ``NAME-heldout.npz`` beside it, and
``NAME-recipe.toml`` where there is one. ``--equal`` makes one more: a classifier of which int8 weights with float
compute run exactly as fast as float, and all else is refused (:mod:`bench.equal_speed`). Runs of the models take turns,
so that whatever the machine does meets all of them alike. Prints for each model how often it ended how, how often with
the same choice, what differed, and how far ratios and seconds spread. Asserts nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench.equal_speed import write_equal_speed  # noqa: E402  # after the path above

from edge_agent.device import board  # noqa: E402

CHOICE = ("method", "operators", "types", "per_channel", "calibration", "float_layers", "runtime", "threads")
"""What tells one choice from another, beside its ranges."""


def quantize(model: Path, out: Path, recipe: Path | None) -> dict[str, Any]:
    """One run of the command, and its result object."""
    name = model.name.rsplit("-float", 1)[0]
    beside = model.with_name(f"{name}-recipe.toml")
    recipe = recipe or (beside if beside.exists() else None)
    argv = [
        *(sys.executable, "-m", "edge_agent", "quantize", str(model), "--json", "--force", "--out", str(out)),
        *("--calibration", str(model.with_name(f"{name}-calibration.npz"))),
        *("--heldout", str(model.with_name(f"{name}-heldout.npz"))),
        *(("--recipe", str(recipe)) if recipe else ()),
    ]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(f"{model.name}: exit {done.returncode}\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    ranges = out / "ranges.json"
    result["ranges"] = json.loads(ranges.read_text())["ranges"] if ranges.exists() else {}
    return result


def choice(result: Mapping[str, Any]) -> dict[str, str]:
    """What was chosen, by part: the end, how the model is made, and the scales that its file follows from."""
    chosen = result["chosen"] or {}
    told = {key: json.dumps(chosen.get(key)) for key in CHOICE}
    ranges = result["ranges"].get(chosen.get("calibration"), {})
    return {"end": result["code"] or result["verdict"], **told, "ranges": json.dumps(ranges, sort_keys=True)}


def spread(values: Sequence[float]) -> str:
    """Lowest to highest, and the standard deviation in percent of the mean."""
    if not values:
        return "-"
    told = f"{min(values):.3f} … {max(values):.3f}"
    return f"{told} ({100 * stdev(values) / mean(values):.1f} %)" if len(values) > 1 else told


def row(name: str, results: Sequence[Mapping[str, Any]]) -> str:
    """One model's line of the table."""
    choices = [choice(result) for result in results]
    ends = Counter(one["end"] for one in choices)
    alike = Counter(tuple(one.items()) for one in choices)
    differ = [key for key in choices[0] if len({one[key] for one in choices}) > 1]
    ((commonest, count),) = alike.most_common(1)
    told = dict(commonest)
    what = " ".join(json.loads(told[key]) or "" for key in ("method", "operators", "calibration"))
    tried = Counter(len(result["candidates"]) for result in results)
    ratios = [result["chosen"]["ratio_p50"] for result in results if result["chosen"]]
    cells = (
        name,
        ", ".join(f"{end} {times}" for end, times in ends.most_common()),
        f"{count} of {len(results)}: {what.strip() or '-'}",
        ", ".join(differ) or "-",
        spread(ratios),
        ", ".join(f"{times}x {number}" for number, times in tried.most_common()),
        spread([sum(result["seconds"].values()) for result in results]),
    )
    return f"| {' | '.join(cells)} |"


def models(args: argparse.Namespace, folder: Path) -> Iterator[Path]:
    """The models of the command line, and the one that is made."""
    yield from args.models
    if args.equal:
        yield write_equal_speed(folder)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Whether the same command ends the same way each time.")
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--equal", action="store_true")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--keep", type=Path, help="where each run's result object is kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = args.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        asked = list(models(args, folder))
        found: dict[Path, list[dict[str, Any]]] = {model: [] for model in asked}
        for number in range(args.runs):
            for model in asked:
                out = folder / f"{model.stem}-{number}"
                found[model].append(quantize(model, out, args.recipe))
                (out / "result.json").write_text(json.dumps(found[model][-1], indent=2))
        print(f"{args.runs} runs each on {board.stamp()['cpu']}", "", sep="\n")
        print("| model | ends | the same choice | differs in | ratio of the chosen | candidates | seconds |")
        print("|---|---|---|---|---|---|---|")
        for model, results in found.items():
            print(row(model.stem, results), flush=True)


if __name__ == "__main__":
    main()
