"""What an order would do on each device, before anybody sends it. Pure: values in, values out."""

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
"""Device and job → the report with its results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version on one device, in the numbers that it was judged by; None: not known."""

    version: int
    latency_ms: float | None = None
    agreement: float | None = None
    size_bytes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What becomes of one device.

    Attributes:
        now: what runs; None: nothing.
        after: what the order makes active; None: the same.
        why_not: why it is left out; empty: it is ordered.
    """

    device: str
    online: bool
    now: Release | None = None
    after: Release | None = None
    why_not: str = ""


def models_of(devices: Iterable[DeviceState]) -> list[str]:
    """The names under which any of these run something."""
    return sorted({name for one in devices for name, state in one.models.items() if state.active_version})


def rollback(devices: Iterable[DeviceState], model: str, report: Report) -> list[Line]:
    """Each device's release of ``model``, and the one that it would go back to."""
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
    """The devices on which ``job`` is under way."""
    lines = []
    for one in devices:
        end = one.jobs.get(job)
        if end is None:
            lines.append(_left_out(one, f"has no job {job}"))
        elif end.status not in ("queued", "in_progress"):
            lines.append(_left_out(one, f"the job has ended there as {end.status}"))
        else:
            lines.append(Line(device=one.id, online=one.online))
    return lines


def by_version(lines: Iterable[Line]) -> dict[int, list[str]]:
    """Version → the devices that run it and are ordered: one command names one version."""
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
    job = _accepted(device, model, state.previous_version, of_active=state.active_version)
    found = report(device.id, job) if job else None
    after = _judged(found) if found else Release(version=state.previous_version)
    return Line(device=device.id, online=device.online, now=_active(state), after=after)


def _accepted(device: DeviceState, model: str, version: int, *, of_active: int) -> str:
    """The newest job that made this version here; the one before where that is the active release's, recalibrated."""
    made = sorted(
        (end.started, job)
        for job, end in device.jobs.items()
        if (end.model, end.version, end.status) == (model, version, "succeeded")
    )
    if version == of_active:
        made = made[:-1]
    return made[-1][1] if made else ""


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
