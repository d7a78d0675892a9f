"""A model that is worth an optimised form, and a job of it that has its windows from a sensor, as on a device."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from onnx import helper

from edge_agent.execution.run import StageEnd, run_stage
from edge_agent.jobs.task import TASK_FILE, Stage, Task
from edge_agent.process.child_limits import ChildLimits
from edge_agent.wire.manifest import Gates, InputContract, MinGain, Output, Recipe, Window
from support.captures import CHANNELS, motion
from support.onnx_models import model, save, value, weights

SIZE = 64
CONTRACT = InputContract(
    source="imu", channels=CHANNELS, window=Window(SIZE, SIZE), steps=[{"op": "transpose", "axes": [1, 0]}]
)
RECIPE = Recipe(
    method="static", calibration="minmax", calibration_windows=40, search_windows=30, heldout_windows=40,
    search_budget_s=600,
)  # fmt: skip
GATES = Gates(min_agreement=0.3, min_sqnr_db=0, max_latency_ratio=0, min_gain=MinGain(time=0, size=0.2, memory=0))
OUTPUT = Output(kind="regression", tolerance=1.0)
_SAMPLES = 9000


def deep_net(layers: int = 64, channels: int = 96) -> Any:
    """``x`` [1, 3, 64] → conv, relu, conv, relu … mean, gemm → ``logits`` [1, 4]: 6.8 MiB, slow to optimise."""
    nodes, before = [], "x"
    constants = {"head": weights(channels, 4, scale=0.5)}
    for number in range(layers):
        conv, after = f"conv{number}", f"relu{number}"
        nodes += [
            helper.make_node("Conv", [before, f"w{number}"], [conv], f"layer{number}", pads=[1, 1]),
            helper.make_node("Relu", [conv], [after], f"activation{number}"),
        ]
        constants[f"w{number}"] = weights(channels, channels if number else 3, 3, seed=number)
        before = after
    nodes += [
        helper.make_node("GlobalAveragePool", [before], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "head"], ["logits"], "gemm"),
    ]
    return model(nodes, [value("x", [1, 3, SIZE])], [value("logits", [1, 4])], constants)


def bulky_net() -> Any:
    """``x`` [1, 3, 64] → ``logits`` [1, 4]: a row of a table of 160 MiB that the runtime unfolds from 8 KiB."""
    wide = 1024
    constants = {
        "row": weights(1, wide),
        "shape": np.array([40_000, wide], np.int64),
        "first": np.array([0], np.int64),
        "inner": weights(wide, 300, scale=0.1),
        "head": weights(300, 4, scale=0.5),
    }
    nodes = [
        helper.make_node("Expand", ["row", "shape"], ["table"], "unfold"),
        helper.make_node("Cast", ["x"], ["whole"], "cast", to=7),
        helper.make_node("Abs", ["whole"], ["places"], "abs"),
        helper.make_node("ReduceMin", ["places"], ["place"], "least", keepdims=0),
        helper.make_node("Add", ["place", "first"], ["one"], "shift"),
        helper.make_node("Gather", ["table", "one"], ["found"], "look_up"),
        helper.make_node("Gemm", ["found", "inner"], ["middle"], "inner_gemm"),
        helper.make_node("Gemm", ["middle", "head"], ["logits"], "gemm"),
    ]
    return model(nodes, [value("x", [1, 3, SIZE])], [value("logits", [1, 4])], constants)


def make_job(folder: Path, built: Any = None, *, recipe: Mapping[str, Any] | None = None, **task: Any) -> Path:
    """A fresh job of a model in ``folder``; ``recipe`` and ``task`` are fields that differ."""
    job_dir = folder / "job"
    job_dir.mkdir()
    save(deep_net() if built is None else built, job_dir / "model.onnx")
    np.savez(job_dir / "r.npz", samples=motion(_SAMPLES))
    source = {"kind": "replay", "path": str(job_dir / "r.npz"), "channels": CHANNELS, "rate_hz": 50, "rate": "max"}
    fields: dict[str, Any] = {
        "job": "j", "name": "har", "version": 1, "format": "onnx", "model": "model.onnx", "inputs": [CONTRACT],
        "recipe": msgspec.structs.replace(RECIPE, **recipe or {}), "gates": GATES, "output": OUTPUT,
        "sources": {"imu": source},
    }  # fmt: skip
    (job_dir / TASK_FILE).write_bytes(msgspec.json.encode(Task(**fields | task)))
    return job_dir


def run_workers(job_dir: Path, *stages: Stage) -> StageEnd:
    """Run ``stages`` as the daemon does, each in a confined process; all but the last must succeed."""
    end = StageEnd("", "", "ok", 0.0)
    for stage in stages:
        assert end.status == "ok", end
        end = run_stage(job_dir, stage, ChildLimits(timeout_s=900), lambda *_: None)
    return end
