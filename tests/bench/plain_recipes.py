"""Refusals of ours where one call of onnxruntime's quantizer passes: there should be none.

    python tests/bench/plain_recipes.py DIR... [--only a,b] [--seconds 300] [--memory-mib 4096]

For every ``NAME-float.onnx`` with ``NAME-calibration.npz`` and ``NAME-heldout.npz`` (and ``NAME-recipe.toml``, where
the output's kind or gates must be said): ``edge-agent quantize``, and beside it ``quantize_dynamic`` of products and
LSTMs and ``quantize_static`` of all operators and of the core alone, each per tensor and per channel, all else at its
default (:mod:`zoo_peers`), as far as the recipe allows. What they write is judged by the stages of edge-agent, as the
only finalist, on the same held-out rows: with the gates of the recipe, latency by its full statistic. Exits with 1 if
there is such a refusal.
"""

import argparse
import json
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

import msgspec  # noqa: E402  # after the path above
from support.jobs import run_stages  # noqa: E402
from verdicts.harness import leave_chosen  # noqa: E402
from zoo import HERE, models, quantize, run  # noqa: E402

from edge_agent import backends  # noqa: E402
from edge_agent.contract.carried_state import CarriedState  # noqa: E402
from edge_agent.errors import EdgeAgentError  # noqa: E402
from edge_agent.jobs.task import TASK_FILE, Stage, encode_task, read_task  # noqa: E402
from edge_agent.settings.recipe import read_recipe  # noqa: E402
from edge_agent.wire.manifest import Recipe  # noqa: E402
from edge_agent.worker.context import Context  # noqa: E402
from edge_agent.worker.data.dataset import open_dataset  # noqa: E402
from edge_agent.worker.measure.comparison import compare  # noqa: E402
from edge_agent.worker.measure.feeds import write_feeds  # noqa: E402
from edge_agent.worker.measure.latency import Decision  # noqa: E402
from edge_agent.worker.measure.question import Served  # noqa: E402

KINDS = ("dynamic", "core minmax", "minmax")
WAYS = tuple(f"ort {kind}{channel}" for kind in KINDS for channel in ("", " per channel"))
PASSES = "passes"


def bench(name: str, model: Path, folder: Path, limits: dict[str, Any]) -> bool:
    """Print the ends of one model; whether ours refuses what a plain recipe passes."""
    calibration, heldout = (model.with_name(f"{name}-{part}.npz") for part in ("calibration", "heldout"))
    recipe = model.with_name(f"{name}-recipe.toml")
    ours = folder / "ours"
    ended = quantize(model, calibration, heldout, ours, ["--recipe", str(recipe)] if recipe.exists() else [], limits)
    print(f"{name}: ours {ended.why or PASSES} ({ended.seconds:.0f} s)", flush=True)
    passing = []
    for way in filter(partial(allowed, read_recipe(recipe).recipe if recipe.exists() else Recipe()), WAYS):
        out = folder / f"{way.replace(' ', '-')}.onnx"
        made = run(
            [sys.executable, str(HERE / "zoo_peers.py"), way, str(model), str(calibration), str(out)], out, **limits
        )
        end = made.why or judged(ours / "stages", out, folder / "judged")
        print(f"    {way}: {end}", flush=True)
        passing += [way] if end == PASSES else []
    return bool(ended.why and passing)


def allowed(recipe: Recipe, way: str) -> bool:
    """Whether the recipe lets us try what ``way`` does."""
    if "dynamic" in way:
        return recipe.method == "dynamic" or (recipe.method, recipe.calibration) == ("auto", "auto")
    return recipe.method in ("auto", "static") and recipe.calibration in ("auto", "minmax")


def judged(job: Path, target: Path, folder: Path) -> str:
    """How the job in ``job`` ends if ``target`` is what it freezes."""
    if not (job / Stage.CALIBRATE).exists():
        return "not judged: ours did not calibrate"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(job, folder, ignore=shutil.ignore_patterns(Stage.QUANTIZE, Stage.VALIDATE, Stage.BENCHMARK))
    task = read_task(folder)
    gates = msgspec.structs.replace(task.gates, max_latency_ratio=0.0)  # asked below
    (folder / TASK_FILE).write_bytes(encode_task(msgspec.structs.replace(task, gates=gates)))
    try:
        leave_chosen(folder, target)
        outcome = run_stages(folder, Stage.VALIDATE)
        return outcome.code or speed(folder, target, task.gates.max_latency_ratio)
    except EdgeAgentError as error:
        return error.code


def speed(job: Path, target: Path, limit: float) -> str:
    """What the full latency statistic says of ``target`` beside float; it passes at once where there is no limit."""
    if not limit:
        return PASSES
    task = read_task(job)
    context = Context(job, job, task, Stage.QUANTIZE, lambda *_: None)
    info = backends.load(task.format).inspect(context.model_path)
    feeds = job / "feeds.npz"
    write_feeds(feeds, CarriedState(task.state, info).feeds(next(iter(open_dataset(context, info).rows("search")))))
    float_model, served = (Served(str(path), "onnxruntime") for path in (context.model_path, target))
    latency = compare(float_model, served, feeds, limit=limit)
    return PASSES if latency.decision is Decision.ACCEPTED else f"{latency.decision} ({latency.ratio_p50:.2f})"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--only", default="", help="names, with commas between")
    parser.add_argument("--seconds", type=float, default=300.0, help="limit of one quantizer on one model")
    parser.add_argument("--memory-mib", type=int, default=4096, help="limit of its address space")
    options = parser.parse_args()
    limits = {"seconds": options.seconds, "memory_mib": options.memory_mib}
    found = [one for folder in options.folders for one in models(folder, options.only) if one[1].suffix == ".onnx"]
    worse = []
    for name, model in found:
        with tempfile.TemporaryDirectory() as folder:
            worse += [name] if bench(name, model, Path(folder), limits) else []
    print(json.dumps({"models": len(found), "refused where a plain recipe passes": worse}))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
