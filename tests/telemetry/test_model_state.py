"""The one flat message of a model name: whose numbers stand in it, and what it says while a job is under way."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from edge_agent.jobs.job import Job, Status
from edge_agent.jobs.result import GateResult, MeasuredModel, Result
from edge_agent.jobs.task import Stage
from edge_agent.state.release import REPORT_FILE, Release
from edge_agent.telemetry.measured import Measured, read_measured
from edge_agent.telemetry.model_state import Running, model_state
from edge_agent.wire.messages import MAX_REPORT_BYTES, encode
from edge_agent.wire.telemetry import ModelState

FLOAT = MeasuredModel(
    method="float", size_bytes=4000, latency_p50_ms=2.0, latency_p95_ms=3.0, latency_p99_ms=4.0, accuracy=0.9,
    model_rss_bytes=800, message="of the float model",
)  # fmt: skip
INT8 = MeasuredModel(
    method="static", size_bytes=1000, latency_p50_ms=1.0, latency_p95_ms=1.5, latency_p99_ms=1.7, ratio_p50=0.5,
    ratio_p50_upper=0.55, agreement=0.99, agreement_lower=0.97, accuracy=0.89, model_rss_bytes=300,
    float_layers=["head"] * 1000, gates=[GateResult("min_agreement", 0.95, 0.97, passed=True)],
)  # fmt: skip


def release(**changes: Any) -> Release:
    known = {
        "model": "har", "version": 3, "job": "a" * 16, "digest": "d" * 64, "blob": "b" * 64, "file": "model.onnx",
        "sha256": "c" * 64, "size_bytes": 1000, "verdict": "accepted", "method": "static", "runtime": "onnxruntime",
        "runtime_version": "1.20", "threads": 2, "arch": "aarch64", "contract": "e" * 64, "agent_version": "0.1.0",
        "activated": "2026-11-29T18:03:16.976Z",
    }  # fmt: skip
    return Release(**known | changes)


def running(made: Release, measured: Measured, **fields: Any) -> Running:
    return Running(release=made, since="2026-11-30T00:00:00.000Z", measured=measured, **fields)


def a_job(**changes: Any) -> Job:
    known = {"id": "f" * 16, "model": "har", "version": 4, "digest": "d" * 64, "scope": "d/pi-01", "created": 1.0}
    return Job(**known | changes)


def left_by(folder: Path, result: object) -> Path:
    (folder / REPORT_FILE).write_bytes(msgspec.json.encode(result))
    return folder


def test_a_release_is_told_with_its_own_verdicts_numbers(tmp_path: Path) -> None:
    measured = read_measured(left_by(tmp_path, Result(reference=FLOAT, chosen=INT8)), release())
    state = model_state("pi-01", "har", running(release(), measured, previous_version=2, stale=False), None, "", 3)

    assert state == ModelState(
        device="pi-01", model="har", active_version=3, active_since="2026-11-30T00:00:00.000Z", previous_version=2,
        newest_version=3, method="static", runtime="onnxruntime 1.20", stale=False, float_bytes=4000, model_bytes=1000,
        size_ratio=0.25, float_p50_ms=2.0, float_p95_ms=3.0, float_p99_ms=4.0, p50_ms=1.0, p95_ms=1.5, p99_ms=1.7,
        latency_ratio=0.5, latency_ratio_upper=0.55, agreement=0.99, agreement_lower=0.97, float_accuracy=0.9,
        accuracy=0.89, float_rss_bytes=800, rss_bytes=300,
    )  # fmt: skip
    assert measured.served.float_layers == measured.served.gates == [], "nobody keeps in memory what is not told"


def test_both_memories_are_of_one_kind(tmp_path: Path) -> None:
    """What is kept after calls; where that of one of them is not known, both at their peak."""
    kept = [replace(FLOAT, steady_rss_bytes=600), replace(INT8, steady_rss_bytes=200)]
    for reference, chosen, told in ((*kept, (600, 200)), (FLOAT, kept[1], (800, 300))):
        measured = read_measured(left_by(tmp_path, Result(reference=reference, chosen=chosen)), release())
        state = model_state("pi-01", "har", running(release(), measured), None)

        assert (state.float_rss_bytes, state.rss_bytes) == told


def test_float_that_is_active_is_compared_with_nothing(tmp_path: Path) -> None:
    made = release(method="float", verdict="rejected", size_bytes=4000)
    measured = read_measured(left_by(tmp_path, Result(reference=FLOAT, candidates=[INT8])), made)
    state = model_state("pi-01", "har", running(made, measured), None)

    assert (state.method, state.p50_ms, state.float_p50_ms) == ("float", 2.0, 2.0)
    assert (state.model_bytes, state.float_bytes, state.size_ratio) == (4000, 4000, 1.0)
    assert state.latency_ratio is state.agreement is state.agreement_lower is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"chosen": 7}'])
def test_a_release_whose_report_tells_nothing_has_no_numbers(tmp_path: Path, content: bytes) -> None:
    assert read_measured(tmp_path, release()) == Measured(MeasuredModel(), MeasuredModel()), "there is none"

    (tmp_path / REPORT_FILE).write_bytes(content)
    measured = read_measured(tmp_path, release())
    state = model_state("pi-01", "har", running(release(), measured), None)

    assert (state.active_version, state.model_bytes) == (3, 1000)
    assert state.p50_ms is state.float_bytes is state.size_ratio is state.stale is None


def test_a_number_of_another_type_is_not_known(tmp_path: Path) -> None:
    said = {"chosen": {"latency_p50_ms": "fast", "agreement": 0.9}, "reference": {"size_bytes": 0}}
    measured = read_measured(left_by(tmp_path, said), release())
    state = model_state("pi-01", "har", running(release(), measured), None)

    assert (state.p50_ms, state.agreement, state.size_ratio) == (None, 0.9, None)


def test_a_job_that_runs_is_told_with_its_progress() -> None:
    job = a_job(stage=Stage.QUANTIZE, status=Status.IN_PROGRESS, fraction=0.5)
    state = model_state("pi-01", "har", None, job, "", 4)

    assert (state.active_version, state.newest_version, state.job, state.job_version) == (0, 4, job.id, 4)
    assert (state.stage, state.status, state.verdict) == ("quantize", "in_progress", "")
    assert state.progress == pytest.approx(3.5 / 7)


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (Status.SUCCEEDED, "accepted", "accepted"),
        (Status.REJECTED, "latency_too_high", "rejected"),
        (Status.FAILED, "no_space", "failed"),
        (Status.CANCELED, "canceled", ""),
    ],
)
def test_a_rejected_job_leaves_the_releases_numbers(status: Status, code: str, verdict: str) -> None:
    job = a_job(stage=Stage.VALIDATE, status=status, code=code, fraction=0.4)
    state = model_state("pi-01", "har", running(release(), Measured(INT8, FLOAT)), job, "slower than float here", 4)

    assert (state.verdict, state.code, state.progress) == (verdict, code, None)
    assert (state.message, state.active_version, state.p50_ms) == ("slower than float here", 3, 1.0)


def test_what_others_wrote_is_cut_and_printable() -> None:
    said = "\x1b[31m" + "\N{PILE OF POO}" * 100_000
    made = release(method=said, runtime=said, runtime_version=said)
    state = model_state("pi-01", "har", running(made, Measured(INT8, FLOAT)), a_job(code=said), said)

    assert len(encode(state)) < MAX_REPORT_BYTES / 4
    assert all(text.isprintable() for text in (state.method, state.runtime, state.code, state.message))
