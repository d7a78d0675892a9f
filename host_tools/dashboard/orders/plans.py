"""Predicts the effect of an order on each device before it is sent. Pure: values in, values out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.wire.messages import JobReport
from edge_agent.wire.telemetry import ModelState
from host_tools.fleet.device_state import DeviceState

Action = Literal["rollback", "recalibrate", "cancel", "push"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
Report = Callable[[str, str], JobReport | None]
"""Returns the report of a device's job; None if it is unknown."""
_UNDER_WAY = ("queued", "in_progress")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version on one device, with the numbers of its verdict; None: unknown."""

    version: int
    latency_ms: float | None = None
    agreement: float | None = None
    size_bytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The effect of an order on one device.

    Attributes:
        now: active release; None: none.
        after: release that the order would activate; None: the same.
        why_not: why the device is left out; empty: it is ordered.
    """

    device: str
    online: bool
    now: Release | None = None
    after: Release | None = None
    why_not: str = ""


def models_of(devices: Iterable[DeviceState]) -> list[str]:
    """The names of the models that are active on any of these devices."""
    return sorted({name for one in devices for name, state in one.models.items() if state.active_version})


def rollback(devices: Iterable[DeviceState], model: str, report: Report) -> list[Line]:
    """Each device's release of ``model``, and the one that a rollback would activate."""
    return [_rolled_back(one, model, report) for one in devices]


def recalibrate(devices: Iterable[DeviceState], model: str) -> list[Line]:
    """Each device's release of ``model``, which would be captured, quantized and judged again."""
    lines = []
    for one in devices:
        state = one.models.get(model)
        if state is None or not state.active_version:
            lines.append(_left_out(one, f"runs no {model}"))
        elif state.progress is not None:
            lines.append(_left_out(one, f"job {state.job} of it is under way", _active(state)))
        else:
            lines.append(Line(device=one.id, online=one.online, now=_active(state)))
    return lines


def cancel(devices: Iterable[DeviceState], job: str) -> list[Line]:
    """The devices on which ``job`` is running."""
    lines = []
    for one in devices:
        found = one.jobs.get(job)
        if found is None:
            lines.append(_left_out(one, f"has no job {job}"))
        elif found.status not in _UNDER_WAY:
            lines.append(_left_out(one, f"the job has ended there as {found.status}"))
        else:
            lines.append(Line(device=one.id, online=one.online))
    return lines


def by_version(lines: Iterable[Line]) -> dict[int, list[str]]:
    """Version → devices that run it and are ordered, as a command names one version."""
    found: dict[int, list[str]] = {}
    for line in lines:
        if not line.why_not:
            found.setdefault(line.now.version if line.now else 0, []).append(line.device)
    return dict(sorted(found.items()))


def _rolled_back(device: DeviceState, model: str, report: Report) -> Line:
    state = device.models.get(model)
    if state is None or not state.active_version:
        return _left_out(device, f"runs no {model}")
    if not state.previous_version:
        return _left_out(device, "has no release before this one", _active(state))
    job = _job_before(device, state)
    judged = report(device.id, job) if job else None
    after = _judged(judged) if judged else Release(version=state.previous_version)
    return Line(device=device.id, online=device.online, now=_active(state), after=after)


def _job_before(device: DeviceState, state: ModelState) -> str:
    """The job that made the previous release; empty if unknown."""
    made = {
        job: end.started
        for job, end in device.jobs.items()
        if (end.model, end.version, end.status) == (state.model, state.previous_version, "succeeded")
    }
    newest_first = sorted(made, key=lambda job: made[job], reverse=True)
    if state.previous_version != state.active_version:
        return next(iter(newest_first), "")
    # After a recalibration the version is the same with a new verdict: one of these jobs made the active release.
    runs = {one.job for one in (device.board.active if device.board else ()) if one.model == state.model}
    known = runs.intersection(newest_first) or set(newest_first[:1])
    return next((job for job in newest_first if job not in known), "")


def _left_out(device: DeviceState, why: str, now: Release | None = None) -> Line:
    return Line(device=device.id, online=device.online, now=now, why_not=why)


def _active(state: ModelState) -> Release:
    return Release(
        version=state.active_version, latency_ms=state.p50_ms, agreement=state.agreement, size_bytes=state.model_bytes
    )


def _judged(report: JobReport) -> Release:
    chosen = lenient(report.results, Result).chosen or MeasuredModel()
    return Release(
        version=report.version,
        latency_ms=chosen.latency_p50_ms,
        agreement=chosen.agreement,
        size_bytes=chosen.size_bytes,
    )
