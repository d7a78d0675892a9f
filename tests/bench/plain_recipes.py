"""Refusals of ours where one call of onnxruntime's quantizer passes: there should be none.

    python tests/bench/plain_recipes.py DIR... [--only a,b] [--seconds 300] [--memory-mib 4096]

For every ``NAME-float.onnx`` with ``NAME-calibration.npz`` and ``NAME-heldout.npz`` (and ``NAME-recipe.toml``, where
the output's kind or gates must be said): ``edge-agent quantize``, and beside it ``quantize_dynamic`` of products and
LSTMs and ``quantize_static`` of all operators and of the core alone, each per tensor and per channel, all else at its
default (:mod:`zoo_peers`), as far as the recipe allows. What they write is judged by the stages of edge-agent, as the
only finalist, on the same held-out rows: with the gates of the recipe, latency by its full statistic.

Whoever tries six recipes on one held-out set and takes one that passes errs up to six times as often as the gates say.
So what passes is judged once more as one of them (Bonferroni), and both are counted. Exits with 1 if a recipe that
passes as one of them is refused.
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
from edge_agent.jobs.task import CHOSEN_FILE, TASK_FILE, Stage, encode_task, read_task  # noqa: E402
from edge_agent.quant.bounds import CONFIDENCE  # noqa: E402
from edge_agent.quant.limits import latency_limit  # noqa: E402
from edge_agent.settings.recipe import read_recipe  # noqa: E402
from edge_agent.wire.manifest import Recipe  # noqa: E402
from edge_agent.worker.artefacts import read_chosen  # noqa: E402
from edge_agent.worker.context import Context  # noqa: E402
from edge_agent.worker.data.dataset import open_dataset  # noqa: E402
from edge_agent.worker.measure.comparison import compare  # noqa: E402
from edge_agent.worker.measure.feeds import write_feeds  # noqa: E402
from edge_agent.worker.measure.latency import Decision  # noqa: E402
from edge_agent.worker.measure.question import Served  # noqa: E402

KINDS = ("dynamic", "core minmax", "minmax")
WAYS = tuple(f"ort {kind}{channel}" for kind in KINDS for channel in ("", " per channel"))
PASSES = "passes"


def bench(name: str, model: Path, folder: Path, limits: dict[str, Any]) -> tuple[bool, bool]:
    """Print the ends of one model; whether ours refuses what a plain recipe passes, and passes as one of them."""
    calibration, heldout = (model.with_name(f"{name}-{part}.npz") for part in ("calibration", "heldout"))
    recipe = model.with_name(f"{name}-recipe.toml")
    ours = folder / "ours"
    ended = quantize(model, calibration, heldout, ours, ["--recipe", str(recipe)] if recipe.exists() else [], limits)
    print(f"{name}: ours {ended.why or PASSES} ({ended.seconds:.0f} s)", flush=True)
    passing, proved = [], []
    ways = list(filter(partial(allowed, read_recipe(recipe).recipe if recipe.exists() else Recipe()), WAYS))
    for way in ways:
        out = folder / f"{way.replace(' ', '-')}.onnx"
        made = run(
            [sys.executable, str(HERE / "zoo_peers.py"), way, str(model), str(calibration), str(out)], out, **limits
        )
        end = made.why or judged(ours / "stages", out, folder / "judged")
        if end == PASSES:
            passing.append(way)
            as_one = judged(ours / "stages", out, folder / "judged", 1.0 - (1.0 - CONFIDENCE) / len(ways), timed=False)
            proved += [way] if as_one == PASSES else []
            end += "" if as_one == PASSES else f", but as one of {len(ways)} {as_one}"
        print(f"    {way}: {end}", flush=True)
    return bool(ended.why and passing), bool(ended.why and proved)


def allowed(recipe: Recipe, way: str) -> bool:
    """Whether the recipe lets us try what ``way`` does."""
    if "dynamic" in way:
        return recipe.method == "dynamic" or (recipe.method, recipe.calibration) == ("auto", "auto")
    return recipe.method in ("auto", "static") and recipe.calibration in ("auto", "minmax")


def judged(job: Path, target: Path, folder: Path, confidence: float = CONFIDENCE, *, timed: bool = True) -> str:
    """How the job in ``job`` ends if ``target`` is what it freezes; ``timed``: latency is asked, too."""
    if not (job / Stage.CALIBRATE).exists():
        return "not judged: ours did not calibrate"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(job, folder, ignore=shutil.ignore_patterns(Stage.QUANTIZE, Stage.VALIDATE, Stage.BENCHMARK))
    task = read_task(folder)
    gates = msgspec.structs.replace(task.gates, max_latency_ratio=0.0)  # asked below
    (folder / TASK_FILE).write_bytes(encode_task(msgspec.structs.replace(task, gates=gates)))
    try:
        leave_chosen(folder, target)
        chosen = msgspec.structs.replace(read_chosen(folder / Stage.QUANTIZE), confidence=confidence)
        (folder / Stage.QUANTIZE / CHOSEN_FILE).write_bytes(msgspec.json.encode(chosen))
        outcome = run_stages(folder, Stage.VALIDATE)
        return outcome.code or (speed(folder, target, latency_limit(task.gates)) if timed else PASSES)
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
    passing, proved = [], []
    for name, model in found:
        with tempfile.TemporaryDirectory() as folder:
            refused, wrongly = bench(name, model, Path(folder), limits)
        passing += [name] if refused else []
        proved += [name] if wrongly else []
    told = {"refused where a plain recipe passes": passing, "and passes as one of them": proved}
    print(json.dumps({"models": len(found), **told}))
    return 1 if proved else 0


if __name__ == "__main__":
    sys.exit(main())
