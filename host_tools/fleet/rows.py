"""A device's rows, one per model, made from its state. Pure.

A device of version 0.1 describes its models only in its info and its reports, from which its rows are made. If a device
publishes a model's state, that is used instead.
"""

from collections.abc import Iterator
from itertools import islice

from edge_agent.jobs.task import Stage
from edge_agent.wire.telemetry import ModelSample, ModelState
from host_tools.fleet.device_state import MOST_MODELS, DeviceState, JobNews, Sampled
from host_tools.fleet.row import Row

_STAGES = [stage.value for stage in Stage]
_SAMPLE_HOLDS = 3
"""Intervals for which a serving sample is valid."""


def rows_of(device: DeviceState, now: float) -> Iterator[Row]:
    """The rows at ``now`` (epoch seconds); a device without models has one with an empty name."""
    board, status = device.board, device.status
    active = {one.model: one for one in board.active} if board else {}
    named = dict.fromkeys((*device.models, *device.newest, *active))
    refused = status.refused if status else None
    health = device.health.sample if device.health and device.health.fresh(now) else None
    shared = {
        "device": device.id,
        "online": device.online,
        "board": board.board if board else "",
        "groups": board.groups if board else (),
        "temperature_c": health.temperature_c if health else None,
        "throttled": bool(health and health.throttled),
        "seen": device.seen or None,
        "quiet": not device.online or (device.health is not None and health is None),
    }
    for model in sorted(islice(named, MOST_MODELS)) or [""]:
        told = refused.code if refused and refused.model in (model, "") else ""
        state = device.models.get(model)
        about = _of_reports(device, model) if state is None else _of_state(state)
        if model in active and not about.get("version"):
            about |= {"version": active[model].version, "stale": active[model].stale}
        served = device.served.get(model)
        if served and served.newest.sample.p50_ms is not None and now <= _serving_until(served.newest):
            about["latency_ms"] = served.newest.sample.p50_ms
        yield Row(**shared, model=model, refused=told, **about)  # type: ignore[arg-type]  # of the keys above


def right_until(device: DeviceState, now: float) -> float:
    """Until when rows made at ``now`` are valid, if no further message arrives."""
    ends = [_serving_until(one.newest) for one in device.served.values()]
    if device.health is not None:
        ends.append(device.health.fresh_until)
    return min((end for end in ends if end >= now), default=float("inf"))


def _serving_until(served: Sampled[ModelSample]) -> float:
    """Until when a serving sample is valid."""
    return served.at + _SAMPLE_HOLDS * max(1.0, served.sample.interval_s)


def _of_state(state: ModelState) -> dict[str, object]:
    return {
        "version": state.active_version,
        "stage": state.stage,
        "status": state.status,
        "code": state.code,
        "message": state.message,
        "progress": state.progress,
        "latency_ms": state.p50_ms,
        "float_ms": state.float_p50_ms,
        "agreement": state.agreement,
        "stale": bool(state.stale),
    }


def _of_reports(device: DeviceState, model: str) -> dict[str, object]:
    """The fields from reports, for a device that publishes no state of its models."""
    about: dict[str, object] = {}
    if (proved := device.proved.get(model)) is not None:
        about = {"latency_ms": proved.latency_ms, "float_ms": proved.float_ms, "agreement": proved.agreement}
    if (news := device.newest.get(model)) is not None:
        about |= {"stage": news.stage, "status": news.status, "code": news.code, "message": news.message}
        about["progress"] = None if news.progress is None else _whole(news, news.progress)
    return about


def _whole(news: JobNews, progress: float) -> float:
    """The progress of the whole job, assuming equal durations of all stages."""
    before = _STAGES.index(news.stage) if news.stage in _STAGES else 0
    return (before + max(0.0, min(progress, 1.0))) / len(_STAGES)
