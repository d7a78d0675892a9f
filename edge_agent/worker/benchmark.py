"""The benchmark stage: the memory of float and of the chosen model, and on what device it was measured.

Latency is proved earlier (:mod:`edge_agent.worker.latency`), before the held-out set is opened, and voids what it
measures while the device throttles. Throttling does not move memory, so here it is only stamped.
"""

from pathlib import Path
from typing import Any

import msgspec

from edge_agent import board
from edge_agent.backends import load
from edge_agent.errors import StageError
from edge_agent.quant.gates import GateResult
from edge_agent.task import Outcome, Stage, read_results
from edge_agent.worker.carry import Carrier
from edge_agent.worker.context import Context
from edge_agent.worker.dataset import open_dataset
from edge_agent.worker.memory import REPEATS, Memory, measure_memory
from edge_agent.worker.pace import Pace
from edge_agent.worker.probe import Served, write_feeds
from edge_agent.worker.quantize import chosen_path, read_chosen
from edge_agent.worker.result import Record

_CODE = "memory_too_high"
_MIB = 1024.0**2


def run(context: Context) -> Outcome:
    """Measure, stamp, and hold the peak against ``gates.max_peak_rss_bytes``; raises as :func:`measure_memory`."""
    backend = load(context.task.format)
    info = backend.inspect(context.model_path)
    row = next(iter(open_dataset(context, info).rows("calibration")))
    feeds = context.out_dir / "feeds.npz"
    write_feeds(feeds, Carrier(context.task.state, info).feeds(row))
    folder = context.folder(Stage.QUANTIZE)
    chosen = read_chosen(folder)
    models = [
        _served(context.model_path, chosen.reference),
        _served(chosen_path(folder, backend.SUFFIX), chosen.record),
    ]
    pace = Pace(context, "measuring memory, process", REPEATS * (1 + len(models)), begin=0.0, end=1.0)
    reference, target = measure_memory(models, feeds, pace)
    feeds.unlink()
    gate = memory_gate(context.task.gates.max_peak_rss_bytes, target)
    before = read_results(context.job_dir)
    measured: dict[str, Any] = msgspec.to_builtins(target)
    if gate is not None:
        measured["gates"] = [*(before["chosen"] or {}).get("gates", []), msgspec.to_builtins(gate)]
    results = {"reference": msgspec.to_builtins(reference), "chosen": measured, "device": board.stamp()}
    if gate is None or gate.passed:
        return Outcome(results=results)
    message = (
        f"int8 needs {target.peak_rss_bytes / _MIB:.1f} MiB of memory; "
        f"at most {gate.limit / _MIB:.1f} MiB are allowed (max_peak_rss_bytes)"
    )
    results["candidates"] = [
        {**record, **measured, "code": _CODE, "message": message} if number == chosen.number else record
        for number, record in enumerate(before["candidates"])
    ]
    return Outcome(code=_CODE, message=message, results=results)


def memory_gate(limit: int, target: Memory) -> GateResult | None:
    """``limit`` (bytes; 0: no gate) held against the target's peak. Pure."""
    if not limit:
        return None
    return GateResult("max_peak_rss_bytes", limit, target.peak_rss_bytes, target.peak_rss_bytes <= limit)


def _served(path: Path, record: Record) -> Served:
    """The file at ``path`` as ``record`` says that it is served."""
    if record.runtime is None or record.threads is None:
        raise StageError("stage_crashed", f"{path.name}: the record lacks runtime or threads")
    return Served(str(path), record.runtime, record.threads)
