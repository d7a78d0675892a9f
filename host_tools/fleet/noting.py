"""Applies messages to the state of their device. Pure, apart from that state."""

from collections.abc import Collection
from functools import lru_cache
from typing import TypeVar

from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import Result
from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport, Message
from edge_agent.wire.telemetry import EVENT_KINDS, Event, Health, ModelSample, ModelState
from edge_agent.wire.timestamps import parse_rfc3339
from host_tools.fleet.device_state import (
    MOST_GROUPS,
    MOST_JOBS,
    MOST_MODELS,
    OTHER,
    Board,
    DeviceState,
    JobEnd,
    JobNews,
    Proved,
    Sampled,
    Served,
)
from host_tools.fleet.reading import Said

J = TypeVar("J", JobNews, Proved)


def clear(device: DeviceState, said: Said) -> None:
    """Remove the message that was cleared on the topic of ``said``."""
    match said.kind:
        case "status":
            device.status = None
        case "info":
            device.board = None
        case "model":
            device.models.pop(said.leaf, None)
            device.served.pop(said.leaf, None)
        case "job":
            device.jobs.pop(said.leaf, None)
            _drop_job(device.newest, said.leaf)
            _drop_job(device.proved, said.leaf)


def _drop_job(kept: dict[str, J], job: str) -> None:
    for model in [model for model, one in kept.items() if one.job == job]:
        del kept[model]


def note(device: DeviceState, message: Message, now: float) -> bool:
    """Apply a message; False: there is no room for it, or it is an event that is already known."""
    match message:
        case DeviceStatus() as status:
            _note_status(device, status)
        case DeviceInfo() as info:
            device.board = _board(info)
        case ModelState() as state:
            if not _has_room(device, device.models, state.model, MOST_MODELS):
                return False
            device.models[state.model] = state
            device.newest.pop(state.model, None)
            device.proved.pop(state.model, None)
        case JobReport() as report:
            if not _has_room(device, device.jobs, report.job, MOST_JOBS):
                return False
            _note_report(device, report)
        case Health() as health:
            if device.health is not None:
                device.health.next(health, now)
            device.health = device.health or Sampled(health, now)
        case ModelSample() as sample:
            if not _has_room(device, device.served, sample.model, MOST_MODELS):
                return False
            served = device.served.setdefault(sample.model, Served(Sampled(sample, now)))
            served.newest.next(sample, now)
            served.add(sample)
        case Event() as event if (number := (event.boot_id, event.event_seq)) not in device.newest_events:
            device.newest_events.append(number)  # a second publish has the same number
            kind = event.kind if event.kind in EVENT_KINDS else OTHER
            device.events[kind, event.severity] += 1
        case _:
            return False
    return True


def _note_status(device: DeviceState, status: DeviceStatus) -> None:
    device.status = status
    if not status.online:
        device.health = None
        for served in device.served.values():
            served.newest.end()


def _board(info: DeviceInfo) -> Board:
    return Board(
        info.board,
        info.arch,
        info.agent_version,
        info.memory_bytes,
        tuple(dict.fromkeys(info.groups))[:MOST_GROUPS],
        tuple(info.active[:MOST_MODELS]),
        bool(info.active or info.highest),
    )


def _note_report(device: DeviceState, report: JobReport) -> None:
    started = parse_rfc3339(report.started) or 0.0
    model, status, code = map(_same, (report.model, report.status, report.code))
    device.jobs[report.job] = JobEnd(model, report.version, status, code, started)
    if model in device.models or (model not in device.newest and len(device.newest) >= MOST_MODELS):
        return
    last = device.newest.get(model)
    if last is None or last.job == report.job or report.started >= last.started:
        message = report.message if report.ended else report.detail
        progress = None if report.ended else report.progress
        device.newest[model] = JobNews(
            report.job, report.status, report.stage, report.code, message, progress, report.started
        )
    best = device.proved.get(model)
    if report.status == "succeeded" and (best is None or report.started >= best.started):
        device.proved[model] = _proved(report)


@lru_cache(maxsize=1024)
def _same(word: str) -> str:
    """The first equal string, to save memory: thousands of jobs share few words, but a device may invent others."""
    return word


def _proved(report: JobReport) -> Proved:
    result = lenient(report.results, Result)
    chosen, reference = result.chosen, result.reference
    return Proved(
        report.job,
        chosen.latency_p50_ms if chosen else None,
        reference.latency_p50_ms if reference else None,
        chosen.agreement if chosen else None,
        report.started,
    )


def _has_room(device: DeviceState, kept: Collection[str], name: str, most: int) -> bool:
    if name in kept or len(kept) < most:
        return True
    device.left_out += 1
    return False


def see(device: DeviceState, message: Message, now: float, *, retained: bool) -> None:
    """Store when the device was last heard; ``retained``: the message was retained."""
    if isinstance(message, DeviceStatus) and not message.online:
        return  # the will, which the broker publishes itself
    if not retained:
        device.seen = now
    elif (then := parse_rfc3339(message.ts)) is not None:
        device.seen = max(device.seen, min(then, now))
