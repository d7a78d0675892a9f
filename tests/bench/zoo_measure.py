"""Float and every int8 file made of it on the held-out rows, in one process: what ``zoo.py`` starts.

    python tests/bench/zoo_measure.py FLOAT HELDOUT.npz RECIPE.toml|- FILE...

Prints one JSON object: for ``float`` and for each file accuracy against labels (mean absolute error of a regression),
agreement with float, SQNR, whether the gates of edge-agent's verdict pass (all but latency's), and for each runtime of
the format the median latency as a share of float's. All are called in turn, twice each of which the second counts,
each round beginning with another, on one thread. Outputs are of the first runtime.
"""

import json
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent)]

import numpy as np  # noqa: E402  # after the path above
from zoo_peers import Feeds  # noqa: E402
from zoo_peers import rows as rows_of  # noqa: E402

from edge_agent import backends  # noqa: E402
from edge_agent.errors import EdgeAgentError  # noqa: E402
from edge_agent.quant.agreement import Judge, resolve_kind  # noqa: E402
from edge_agent.quant.findings import Measured  # noqa: E402
from edge_agent.quant.gates import evaluate_heldout  # noqa: E402
from edge_agent.quant.metrics import ErrorMetrics  # noqa: E402
from edge_agent.settings.recipe import RecipeFile, read_recipe  # noqa: E402

SECONDS, ROUNDS, FEWEST = 2.5, 200, 12
_WARM_UP = 3


def session(path: str, runtime: str = "") -> backends.Session:
    file = Path(path)
    return backends.load(backends.FORMATS[file.suffix]).open(file, runtime=runtime)


def runtimes(path: str) -> list[str]:
    """Those of the format that are here."""
    backend = backends.load(backends.FORMATS[Path(path).suffix])
    found = []
    for name in backend.RUNTIMES:
        try:
            backend.runtime_version(name)
        except EdgeAgentError:
            continue
        found.append(name)
    return found


def outputs(path: str, rows: list[Feeds], name: str) -> list[Any]:
    """The judged output for each row; fed by position, as other quantizers rename what they like."""
    model = session(path)
    names = [spec.name for spec in model.outputs]
    position = names.index(name) if name in names else 0
    return [model.run(row)[position] for row in fed(model, rows)]


def fed(model: backends.Session, rows: list[Feeds]) -> list[Feeds]:
    names = [spec.name for spec in model.inputs]
    return [dict(zip(names, row.values(), strict=True)) if len(row) == 1 else row for row in rows]


def judge(wanted: list[Any], got: list[Any], labels: Any, recipe: RecipeFile, size_ratio: float) -> dict[str, Any]:
    """One file against float, as the verdict would see it."""
    judged = Judge(resolve_kind(recipe.output, wanted, labels))
    for reference in wanted:
        judged.observe(reference)
    error = ErrorMetrics()
    agreed, right = [], []
    for index, (reference, target) in enumerate(zip(wanted, got, strict=True)):
        agreed.append(judged.agrees(reference, target))
        if reference.shape == target.shape:
            error.add(reference, target)
        if labels is not None:
            pair = judged.correct(reference, labels[index]), judged.correct(target, labels[index])
            if None not in pair:
                right.append(pair)
    measured = Measured(
        windows=len(agreed),
        windows_effective=len(agreed),
        disagreements=agreed.count(False),
        lost=right.count((True, False)) if right else None,
        won=right.count((False, True)) if right else None,
        float_right=sum(bool(one) for one, _ in right) if right else None,
        commonest_label=int(np.unique(labels, return_counts=True)[1].max()) if right else None,
        sqnr_db=error.sqnr_db,
        size_ratio=size_ratio,
    )
    judgement = evaluate_heldout(recipe.gates, judged.meaning.kind, measured)
    return {
        "kind": judged.meaning.kind,
        "agreement": agreed.count(True) / len(agreed),
        "accuracy": sum(bool(one) for _, one in right) / len(right) if right else None,
        "mae": mean_error(got, labels) if judged.meaning.kind == "regression" and labels is not None else None,
        "sqnr_db": error.sqnr_db if error.sqnr_db is None or np.isfinite(error.sqnr_db) else None,
        "code": judgement.code,
    }


def mean_error(got: list[Any], labels: Any) -> float:
    return float(np.mean([np.abs(one.reshape(-1) - label) for one, label in zip(got, labels, strict=True)]))


def shares_of_latency(paths: list[str], rows: list[Feeds], runtime: str) -> dict[str, float]:
    """Median latency of each file as a share of the first's, on one runtime; infinite where that refuses it."""
    sessions, feeds = {}, {}
    for path in paths:
        try:
            sessions[path] = session(path, runtime)
        except EdgeAgentError:
            continue
        feeds[path] = fed(sessions[path], rows)
    shares = dict.fromkeys(paths, float("inf"))
    paths = list(sessions)
    times: dict[str, list[float]] = {path: [] for path in paths}
    began, order = time.perf_counter(), list(paths)
    for number, index in enumerate(islice(cycle(range(min(32, len(rows)))), ROUNDS + _WARM_UP)):
        if number > FEWEST and time.perf_counter() - began > SECONDS * len(paths):
            break
        order = order[1:] + order[:1]
        for path in order:
            sessions[path].run(feeds[path][index])  # else each finds the caches full of the others' weights
            started = time.perf_counter()
            sessions[path].run(feeds[path][index])
            if number >= _WARM_UP:
                times[path].append(time.perf_counter() - started)
    return shares | {path: median(took) / median(times[paths[0]]) for path, took in times.items()}


def main() -> None:
    reference, data, recipe_path, *files = sys.argv[1:]
    recipe = RecipeFile() if recipe_path == "-" else read_recipe(Path(recipe_path))
    ranks = {spec.name: len(spec.shape) for spec in session(reference).inputs}
    rows = list(rows_of(ranks, Path(data)))
    with np.load(data) as arrays:
        labels = arrays["labels"] if "labels" in arrays.files else None
    wanted = outputs(reference, rows, recipe.output.name)
    told: dict[str, Any] = {"float": judge(wanted, wanted, labels, recipe, 1.0)}
    loaded = [reference]
    for path in files:
        try:
            got = outputs(path, rows, recipe.output.name)
        except Exception as error:  # noqa: BLE001  # onnxruntime's own errors; a file that does not load is a result
            told[path] = {"error": "does not load: " + str(error).splitlines()[0].rpartition(" failed:")[2]}
            continue
        told[path] = judge(wanted, got, labels, recipe, Path(path).stat().st_size / Path(reference).stat().st_size)
        loaded.append(path)
    for runtime in runtimes(reference):
        for path, ratio in shares_of_latency(loaded, rows, runtime).items():
            told["float" if path == reference else path].setdefault("ratios", []).append(ratio)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
