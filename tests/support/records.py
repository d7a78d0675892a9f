"""What version 0.1.0 kept on disk and said between its processes; the bytes are in ``tests/fixtures/v0_1_0/records``.

Each has what the states of a real device do not show: a float release, a refusal, every option of a kind.
"""

from typing import Any

import msgspec

from edge_agent.backends import CandidateSpec
from edge_agent.jobs.data_summary import Data
from edge_agent.jobs.job import ActivationStep, Job, Status
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.result import GateResult, MeasuredModel, Result
from edge_agent.jobs.task import ArrayFiles, Stage, Task
from edge_agent.reservoir.segment_format import SegmentFormat
from edge_agent.reservoir.slot_format import Head
from edge_agent.reservoir.state import Counts, SavedStratum
from edge_agent.reservoir.state import State as KeptState
from edge_agent.sensing.frames import Batch, Hello, State
from edge_agent.settings.sharing import Keeping, SensorProcessConfig, SourceState
from edge_agent.state.release import Release
from edge_agent.state.store import CommandRecord, ModelRecord
from edge_agent.worker.artefacts import Chosen, Ranges
from edge_agent.worker.data.sets import ArraySets, RowSet, Shard, ShardSets
from edge_agent.worker.data.shards import Plan
from edge_agent.worker.data.split import Block
from edge_agent.worker.measure.question import Answer, Request, Served
from support.documents import MANIFESTS, OUTPUTS, SENT

SHAPE = SegmentFormat(channels=("r", "g", "b"), rate_hz=2.5, samples=1, frame_shape=(12, 16), dtype="uint8")
RECORD = MeasuredModel(
    method="static", calibration="mse", operators="core", types="s8s8", per_channel=True, float_layers=["first"],
    runtime="onnxruntime", runtime_version="1.32.0", threads=2, size_bytes=88_473, latency_p50_ms=0.11,
    latency_p95_ms=0.13, latency_p99_ms=0.2, ratio_p50=0.6, ratio_p50_upper=0.63, ratio_p50_same_runtime=0.6,
    peak_rss_bytes=60_000_000, model_rss_bytes=2_000_000, windows=300, windows_effective=290.5, disagreements=3,
    agreement=0.99, agreement_lower=0.974, sqnr_db=31.5, cosine=0.999, max_abs_error=0.2, accuracy=0.95,
    gates=[GateResult("min_agreement", 0.95, 0.974, passed=True)], pareto=True, code="too_noisy",
    message="two runs of float differ",
)  # fmt: skip

ON_DISK: dict[str, Any] = {
    "job": Job(
        id="0123456789abcdef", model="har", version=7, digest="d" * 64, scope="g/lab", created=1_795_975_410.5,
        expires=4_070_908_800.0, stage=Stage.ACTIVATE, status=Status.IN_PROGRESS, running=True,
        step=ActivationStep.HOOKED, attempts=1, restarts=2, fraction=0.5, detail="half", eta_s=3.5,
        seconds={"capture": 300.25}, code="latency_too_high", message="int8 refused", release="7-0123456789abcdef",
    ),
    "model": ModelRecord(
        version=7, digest="d" * 64, job="0123456789abcdef", scope="local", status="canceled", withdrawn=True
    ),
    "commands": {
        "c-0001": CommandRecord(expires=4_070_908_800.0, ended=True, code="no_previous", message="none"),
        "c-0002": CommandRecord(expires=4_070_908_800.5),
    },
    "release": Release(
        model="har", version=7, job="0123456789abcdef", digest="d" * 64, blob="b" * 64, eval="e" * 64,
        file="model.tflite", sha256="a" * 64, size_bytes=332_586, verdict="rejected", method="float",
        runtime="ai-edge-litert", runtime_version="2.3.0", threads=4, arch="aarch64", contract="c" * 64,
        agent_version="0.1.0", activated="2026-11-29T18:03:16.976Z", heldout={"windows": 60}, previous="6-fedcba",
    ),
    "task": Task(
        job="0123456789abcdef", name="har", version=7, format="onnx", model="model.onnx", inputs=SENT.inputs,
        output=OUTPUTS["detection"], recipe=MANIFESTS["recipe"].recipe, gates=MANIFESTS["gates"].gates,
        state=MANIFESTS["stateful"].state, eval="eval.npz", sources={"imu": {"kind": "serial", "port": "/dev/ttyUSB0"}},
        shared={"imu": "/var/lib/edge-agent/sources/imu"}, arrays=ArrayFiles("/c.npz", "/h.npz"), seed=19_088_743,
        memory_bytes=1 << 30,
    ),
    "outcome": Outcome(code="stuck_channel", message="az does not change", results=Result(data=Data(warnings=["w"]))),
    "chosen": Chosen(
        number=3, record=RECORD, reference=MeasuredModel(method="float"), output=OUTPUTS["regression"],
        ratio_lower=0.58,
        spec=CandidateSpec(
            method="static", calibration="mse", operators=("Conv", "Gemm"), per_channel=False,
            float_layers=("first",), types="s8s8", io="int8",
        ),
    ),
    "candidates": [RECORD, MeasuredModel(method="uniform")],
    "ranges": Ranges(
        windows=300, runtimes=["onnxruntime"], float_pass_s=0.25, second_pass=["h1"], counted_one_in=4,
        same_range={"r1": "h1"}, ranges={"minmax": {"x": (-1.0, 2.5)}, "mse": {"x": (-0.5, 2.0)}},
    ),
    "sets-shards": ShardSets(
        channels=["ax", "ay"], calibration=[Shard("0000-calibration.npy", 10, 8, 4)], ratio=(125, 26),
        search=[Shard("0001-search.npy", 5, 8, 4, first=16, samples=64, group=2)], heldout=[],
    ),
    "sets-arrays": ArraySets(
        RowSet("/c.npz", [0, 2]), RowSet("/c.npz", [1]), RowSet("/h.npz", [0]), RowSet("/e.npz", [3])
    ),
    "plan": Plan(
        "imu", ["ax", "ay"], [Block("calibration", 10, 8, 4, 44, 8), Block("heldout", 5, 8, 8, 40, 8)], (2, 1)
    ),
    "kept-state": KeptState(
        digest="0123456789abcdef", weight=12.5, next_number=3, levels={"calibration": 1e6, "judging": 2e6},
        known=[SavedStratum(0, [[0.5], [1.5], [2.5]], 7.5, 9, 4, 17)],
        candidates=[SavedStratum(2, [[1.0], [1.0], [1.0]], 1.0, 1, 1, 18)],
        counts=Counts(
            seen=100, accepted=50, thinned=3, over_budget=2, deferred=1, non_finite=4, unwritten=5, written_bytes=9_999
        ),
    ),
    "kept-head": Head(shape=SHAPE, places={"calibration": 8, "judging": 12}, slots=84, seed=7, since_s=1_790_000_000.5),
}  # fmt: skip
"""Files of a state directory, by what they hold."""

BETWEEN: dict[str, Any] = {
    "orders": SensorProcessConfig(
        name="imu", folder="/var/lib/edge-agent/sources/imu", table={"kind": "serial", "rate_hz": 50},
        keeping=Keeping(keep_windows=1000, keep_seconds=2.5, keep_mb_per_day=64.0, share=True),
    ),
    "source-state": SourceState(
        state="silent", code="no_space", message="free space", rate_hz=49.9, samples=5000, gaps=1, malformed=2, late=3,
        subscribers=4, dropped=5, wanted=1000, kept=900, seen=1200, left_out=6, thinned=7, over_budget=8, deferred=9,
        unwritten=10, hours=12.5, written_mb_last_day=1.25, confined=("landlock",),
    ),
    "request": Request(
        feeds="/job/feeds.npz", models=[Served("/job/model.onnx", "onnxruntime", 2)], runtime="onnxruntime", rounds=50,
        min_rounds=10, seconds=0.5, warmed=True,
    ),
    "answer": Answer(times_ms=[[0.5, 0.25]], peak_rss_bytes=60_000_000, version="1.32.0", code="no", message="m"),
}  # fmt: skip
"""One JSON text from one process to another, of which one may be the old version's for a while after an upgrade."""

HELLO = Hello(channels=("ax", "ay"), rate_hz=50.0, silence_s=10.0)
STATE = State(code="source_unavailable", trouble="no such file")


def batch(samples: Any) -> Batch:
    """A batch that a reader was too slow for."""
    return Batch(number=7, heard_s=1000.5, time_s=1_790_000_000.25, gap=False, malformed=3, samples=samples, lost=50)


def plain(value: Any) -> Any:
    """``value`` as JSON gives it."""
    return msgspec.json.decode(msgspec.json.encode(value))
