"""Memory, time to load and first call of models: as applications usually load them, and as a release is served.

    python tests/bench/memory_as_served.py MODEL... [--processes 5]

A release is served as its model file or, where one was kept, as its optimised form. Each line is the median of fresh
processes, taken in turn. Bytes are resident memory over the empty runtime. Inputs are random; a dimension that the file
leaves open is 1. int8 is the plain weight-only rewrite (``uniform``), which needs no data; where it fails its lines are
left out.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from edge_agent.backends import FORMATS, Backend, CandidateSpec, ModelInfo, load
from edge_agent.errors import EdgeAgentError
from edge_agent.worker.measure.asking import ask
from edge_agent.worker.measure.feeds import write_feeds
from edge_agent.worker.measure.question import Answer, Request, Served

_MIB = 1 << 20


def feeds_of(info: ModelInfo, folder: Path) -> Path:
    """A row of random values for every input."""
    chance = np.random.default_rng(0)
    feeds = {
        spec.name: (100 * chance.random([size or 1 for size in spec.shape])).astype(spec.dtype) for spec in info.inputs
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


def line(name: str, answers: list[Answer]) -> str:
    """The medians of one way to serve one model."""
    taken = [one.footprint for one in answers if one.footprint is not None]
    peak = median(one.peak_rss_bytes - one.empty_rss_bytes for one in answers) / _MIB
    loaded, steady = (median(getattr(one, f"{key}_rss_bytes") for one in taken) / _MIB for key in ("loaded", "steady"))
    load_ms, first_ms = (median(getattr(one, key) for one in taken) for key in ("load_ms", "first_ms"))
    p50_ms = median(median(one.times_ms[0]) for one in answers)
    return f"{name:44}{peak:8.1f}{loaded:8.1f}{steady:8.1f}{load_ms:10.1f}{first_ms:10.2f}{p50_ms:10.3f}"


def measure(model: Path, processes: int) -> None:
    """Print the lines of one model."""
    backend = load(FORMATS[model.suffix])
    info = backend.inspect(model)
    runtime = backend.RUNTIMES[0]
    with tempfile.TemporaryDirectory() as name:
        feeds = feeds_of(info, Path(name))
        int8 = int8_of(backend, model, Path(name))
        ways: dict[str, Served] = {}
        for kind, path in (("float", model), ("int8", int8)):
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
        for way in ways:
            print(line(f"{model.stem}, {way}", answers[way]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--processes", type=int, default=5)
    options = parser.parse_args()
    print(f"{'':44}{'peak':>8}{'loaded':>8}{'steady':>8}{'load ms':>10}{'first ms':>10}{'p50 ms':>10}")
    for model in options.models:
        try:
            measure(model, options.processes)
        except EdgeAgentError as error:
            print(f"{model.name}: not measured: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
