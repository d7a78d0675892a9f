"""A fleet worth a picture: simulated devices with an hour behind them, and one whose verdicts were really measured."""

import time
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.mqtt import Incoming
from edge_agent.wire.messages import Message
from edge_agent.wire.telemetry import Event, Health, ModelSample
from edge_agent.wire.timestamps import rfc3339
from host_tools.simulation.device import Said, SimulatedDevice
from host_tools.simulation.plan import Plan
from support.dashboards import Dashboard

REPORTS = Path(__file__).with_name("reports")
"""What ``edge-agent quantize`` reported of two classifiers, one of them with a gate that nothing could pass."""
BENCH, MODEL = "bench-01", "har"
ACCEPTED, REFUSED, RUNNING = ("a4" * 8, "b5" * 8, "c6" * 8)
_HOUR_S, _STEP_S = 3600.0, 20.0
_PLAN = Plan(devices=12, prefix="pi", seed=4, jobs_per_hour=0.8, job_s=900.0, failures=0.5)


def show(board: Dashboard) -> None:
    """Tell the dashboard what they say."""
    now = time.time()
    kept: dict[str, bytes] = {}
    heard: dict[tuple[str, type], Incoming] = {}
    for number in range(_PLAN.devices):
        device = SimulatedDevice(_PLAN, number, now - _HOUR_S)
        said = [(now - _HOUR_S, one) for one in device.connected(now - _HOUR_S)]
        for step in range(int(_HOUR_S / _STEP_S) + 1):
            moment = now - _HOUR_S + step * _STEP_S
            said += [(moment, one) for one in device.advance(moment)]
        if number == _PLAN.devices - 1:
            said.append((now, device.offline))
        for moment, one in said:
            _note(board, device.id, one, moment, kept, heard)
    board.keep(*kept.items(), *_bench(board, now))
    board.hear(*((one.topic, one.payload) for one in heard.values()))


def _note(
    board: Dashboard,
    device: str,
    said: Said,
    moment: float,
    kept: dict[str, bytes],
    heard: dict[tuple[str, type], Incoming],
) -> None:
    topic = board.topics.device(device, said.kind, *filter(None, [said.leaf]))
    if said.retain:
        kept.pop(topic, None)
        if said.message is not None:
            kept[topic] = said.payload
        return
    board.watched.recent.take(said.message, moment)
    match said.message:
        case Health() | ModelSample():
            heard[device, type(said.message)] = Incoming(topic, said.payload, retained=False)
        case Message() | Event() | None:
            pass


def _bench(board: Dashboard, now: float) -> list[tuple[str, bytes]]:
    voice = board.voice(BENCH)
    accepted, refused = (_result(name) for name in ("accepted", "refused"))
    chosen = accepted["chosen"]
    running = {key: accepted[key] for key in ("reference", "data")}
    return [
        voice.status(),
        voice.info(board="x86-64 workbench", arch="x86_64", cpu=accepted["device"]["cpu"], cores=2),
        voice.model(
            active_version=4, newest_version=6, job=RUNNING, job_version=6, stage="quantize", status="in_progress",
            code="", verdict="accepted", p50_ms=chosen["latency_p50_ms"], progress=0.52,
            float_p50_ms=accepted["reference"]["latency_p50_ms"], agreement=chosen["agreement"],
        ),
        _report(voice, ACCEPTED, 4, "activate", now - 86_400, accepted, release=f"4-{ACCEPTED}"),
        _report(voice, REFUSED, 5, "quantize", now - 7200, refused),
        voice.report(
            RUNNING, version=6, stage="quantize", status="in_progress", code="", progress=0.62,
            detail="trying static, core operators, mse ranges, window (97 of 155)", started=rfc3339(now - 700),
            seconds={"receive": 1.4, "capture": 612.3, "calibrate": 3.9}, results=running,
        ),
    ]  # fmt: skip


def _result(name: str) -> dict[str, Any]:
    return msgspec.json.decode((REPORTS / f"{name}.json").read_bytes(), type=dict[str, Any])


def _report(
    voice: Any, job: str, version: int, stage: str, started: float, results: dict[str, Any], **fields: Any
) -> tuple[str, bytes]:
    status = {"accepted": "succeeded"}.get(results["verdict"], results["verdict"])
    told: tuple[str, bytes] = voice.report(
        job, version=version, stage=stage, status=status, code=results["code"], message=results["message"],
        started=rfc3339(started), seconds={"receive": 1.4, **results["seconds"]}, results=results, **fields,
    )  # fmt: skip
    return told
