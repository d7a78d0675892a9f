"""Memory, time to load and first call of models: as applications usually load them, and as a release is served.

    python tests/bench/memory_as_served.py [MODEL[,INT8[,ROWS.npz]]...] [--large 100] [--processes 5]

A release is served as its model file or, where one was kept, as its optimised form. Each line is the median of fresh
processes, taken in turn. Bytes are resident memory over the empty runtime, in MiB. Below each model stand the goals for
which it is large enough, and whether they are met.

INT8 is the file that a job has accepted. Left out, it is the plain weight-only rewrite (``uniform``), which needs no
data; where that fails its lines are left out. ROWS.npz gives the inputs, one row of it; left out, they are random, and
a dimension that the file leaves open is 1. ``--large`` adds a model of so many MB: matrix products and little else, as
in a sentence encoder.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from onnx import helper
from support.onnx_models import model as graph_of
from support.onnx_models import save, value, weights

from edge_agent.backends import FORMATS, Backend, CandidateSpec, ModelInfo, load
from edge_agent.errors import EdgeAgentError
from edge_agent.worker.measure.asking import ask
from edge_agent.worker.measure.feeds import write_feeds
from edge_agent.worker.measure.question import Answer, Request, Served

_MIB = 1 << 20


class Taken(NamedTuple):
    """Medians of one way to serve a model: MiB over the empty runtime, and milliseconds."""

    peak: float
    loaded: float
    steady: float
    load_ms: float
    first_ms: float
    p50_ms: float


def feeds_of(info: ModelInfo, folder: Path, rows: Path | None = None) -> Path:
    """A row for every input: the first of ``rows``, or random values."""
    chance = np.random.default_rng(0)
    if rows is None:
        feeds = {
            spec.name: (100 * chance.random([size or 1 for size in spec.shape])).astype(spec.dtype)
            for spec in info.inputs
        }
    else:
        with np.load(rows) as arrays:
            feeds = {
                spec.name: row if row.ndim == len(spec.shape) else row[None]
                for spec in info.inputs
                for row in [arrays[spec.name if spec.name in arrays else arrays.files[0]][0]]
            }
    path = folder / "feeds.npz"
    write_feeds(path, feeds)
    return path


def int8_of(backend: Backend, model: Path, folder: Path) -> Path | None:
    """The model with int8 weights, or None."""
    prepared, out = folder / f"prepared{backend.SUFFIX}", folder / f"int8{backend.SUFFIX}"
    try:
        backend.prepare(model, prepared)
        backend.rewrite(prepared, {}, CandidateSpec("uniform"), out)
    except EdgeAgentError as error:
        print(f"{model.name}: no int8: {error}", file=sys.stderr)
        return None
    return out


def form_of(backend: Backend, model: Path, folder: Path) -> Path | None:
    """The optimised form of a model, or None: this format has none."""
    folder.mkdir()
    return backend.optimize(model, folder)


def large_model(folder: Path, megabytes: int) -> Path:
    """Ten square matrix products with ReLU between them, and a small one at the end."""
    side = int((megabytes * 1e6 / 40) ** 0.5)
    nodes, constants, last = [], {}, "x"
    for layer in range(10):
        constants |= {f"w{layer}": weights(side, side, seed=layer), f"b{layer}": weights(side, seed=layer)}
        nodes += [
            helper.make_node("Gemm", [last, f"w{layer}", f"b{layer}"], [f"g{layer}"], f"gemm{layer}"),
            helper.make_node("Relu", [f"g{layer}"], [f"r{layer}"], f"relu{layer}"),
        ]
        last = f"r{layer}"
    nodes.append(helper.make_node("MatMul", [last, "head"], ["y"], "head_product"))
    constants["head"] = weights(side, 20)
    built = graph_of(nodes, [value("x", [1, side])], [value("y", [1, 20])], constants)
    return save(built, folder / f"gemms-{megabytes}.onnx")


def taken(answers: list[Answer]) -> Taken:
    """The medians over processes."""
    prints = [one.footprint for one in answers if one.footprint is not None]
    peak = median(one.peak_rss_bytes - one.empty_rss_bytes for one in answers) / _MIB
    loaded, steady = (median(getattr(one, f"{key}_rss_bytes") for one in prints) / _MIB for key in ("loaded", "steady"))
    load_ms, first_ms = (median(getattr(one, key) for one in prints) for key in ("load_ms", "first_ms"))
    return Taken(peak, loaded, steady, load_ms, first_ms, median(median(one.times_ms[0]) for one in answers))


def goals(found: dict[str, Taken], megabytes: float) -> Iterator[str]:
    """What a model of ``megabytes`` is held to, of the goals that it is large enough for."""
    usual = found["float as usually"]
    floats, int8s = (
        [one for way, one in found.items() if way.startswith(f"{kind} as served")] for kind in ("float", "int8")
    )
    served, int8 = floats[-1], int8s[-1] if int8s else None
    if usual.steady >= 30:
        yield goal("float as served, of the larger of 0.6 of usually and 1.15 of its weights", served.steady,
                   max(0.6 * usual.steady, 1.15 * megabytes))  # fmt: skip
    if int8 is not None and served.steady >= 15:
        share = 0.5 if megabytes >= 20 else 0.8
        yield goal(f"int8, of {share} of float, both as served", int8.steady, share * served.steady)
    if int8 is not None:
        yield goal("time to load int8, of 0.5 of float as usually", int8.load_ms, 0.5 * usual.load_ms)


def goal(what: str, measured: float, limit: float) -> str:
    """One goal and what became of it."""
    return f"  {'met   ' if measured <= limit else 'MISSED'} {what}: {measured:.1f}, at most {limit:.1f}"


def measure(model: Path, given: Path | None, rows: Path | None, processes: int) -> None:
    """Print the lines of one model."""
    backend = load(FORMATS[model.suffix])
    info = backend.inspect(model)
    runtime = backend.RUNTIMES[0]
    with tempfile.TemporaryDirectory() as name:
        feeds = feeds_of(info, Path(name), rows)
        ways: dict[str, Served] = {}
        for kind, path in (("float", model), ("int8", given or int8_of(backend, model, Path(name)))):
            if path is None:
                continue
            ways[f"{kind} as usually"] = Served(str(path), runtime, usual=True)
            ways[f"{kind} as served"] = Served(str(path), runtime)
            if (form := form_of(backend, path, Path(name) / kind)) is not None:
                ways[f"{kind} as served, optimised form"] = Served(str(form), runtime)
        answers: dict[str, list[Answer]] = {way: [] for way in ways}
        for _ in range(processes):
            for way, served in ways.items():
                answers[way].append(ask(Request(feeds=str(feeds), models=[served], min_rounds=20, seconds=0.0)))
    found = {way: taken(some) for way, some in answers.items()}
    for way, one in found.items():
        print(
            f"{f'{model.stem}, {way}':44}{one.peak:8.1f}{one.loaded:8.1f}{one.steady:8.1f}{one.load_ms:10.1f}"
            f"{one.first_ms:10.2f}{one.p50_ms:10.3f}",
            flush=True,
        )
    for text in goals(found, info.size_bytes / _MIB):
        print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--large", type=int, metavar="MB", default=0)
    parser.add_argument("--processes", type=int, default=5)
    options = parser.parse_args()
    print(f"{'':44}{'peak':>8}{'loaded':>8}{'steady':>8}{'load ms':>10}{'first ms':>10}{'p50 ms':>10}")
    with tempfile.TemporaryDirectory() as folder:
        asked = [*options.models, *([str(large_model(Path(folder), options.large))] if options.large else [])]
        for names in asked:
            model, int8, rows = (*names.split(","), "", "")[:3]
            try:
                measure(Path(model), Path(int8) if int8 else None, Path(rows) if rows else None, options.processes)
            except EdgeAgentError as error:
                print(f"{model}: not measured: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
