"""``host-tools watch``: see devices work, until they are done or until Ctrl-C. Asks nothing of them."""

import time
from typing import Annotated

import typer

from edge_agent.errors import ConfigError
from edge_agent.strict import did_you_mean
from edge_agent.wire.messages import DeviceStatus, JobReport
from host_tools.broker.job_tracker import JobTracker, Progress
from host_tools.broker.registry import Device, read_devices, read_reports
from host_tools.broker.session import Session
from host_tools.cli.options import connection_of, name_of
from host_tools.display.progress import Display, open_display
from host_tools.display.result_table import show
from host_tools.exits import INTERRUPTED
from host_tools.push.waiting import listen, message_of, wait

_TICK_S = 1.0


def watch(
    context: typer.Context,
    *,
    device: Annotated[list[str] | None, typer.Argument(metavar="[DEVICE]...", help="only these devices")] = None,
    job: Annotated[
        str | None, typer.Option("--job", metavar="JOB", help="one job, until it has ended on every device")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=0, show_default=False, help="stop watching after that")
    ] = None,
) -> None:
    """Watch devices work. With --job: until it has ended everywhere, with the exit code that push-model would have."""
    options = connection_of(context)
    if job:
        name_of(job, "job")
    settings = options.settings()
    reports: list[JobReport] = []
    with open_display(as_json=options.as_json) as display, Session(settings, display.note) as session:
        devices = _chosen(read_devices(session), device or [])
        try:
            if job is None:
                _watch_devices(session, devices, display, timeout, everyone=not device)
                code = 0
            else:
                code, reports = _watch_job(session, devices, job, display, timeout)
        except KeyboardInterrupt:
            code = INTERRUPTED
        display.summary({"exit": code, "job": job})
    if not options.as_json:
        show(reports)
    raise typer.Exit(code)


def _watch_job(
    session: Session, devices: dict[str, Device], job: str, display: Display, timeout_s: float | None
) -> tuple[int, list[JobReport]]:
    known = read_reports(session, sorted(devices), job)
    if not known:
        jobs = {one.job for one in read_reports(session, sorted(devices))}
        raise ConfigError("usage", f"no device reports a job {job!r}{did_you_mean(job, jobs)}")
    statuses = {one.device: devices[one.device].status for one in known}
    tracker = JobTracker(job, known[0].model, statuses, open_ended=True)
    for one in known:
        tracker.take(one)
    listen(session, job)
    wait(session, tracker, display, timeout_s=timeout_s)
    return tracker.exit_code, [progress.report for progress in tracker.devices.values() if progress.report]


def _watch_devices(
    session: Session, devices: dict[str, Device], display: Display, timeout_s: float | None, *, everyone: bool
) -> None:
    """Show every device's newest job, for ever or until time is up."""
    shown = {name: Progress(name, device.online) for name, device in devices.items()}
    for one in read_reports(session, sorted(devices)):
        shown[one.device].report = one
    for progress in shown.values():
        display.progress(progress)
    session.subscribe(session.topics.devices("status"), session.topics.device("+", "job", "+"))
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while deadline is None or time.monotonic() < deadline:
        incoming = session.next(_TICK_S if deadline is None else min(_TICK_S, max(0.0, deadline - time.monotonic())))
        message = message_of(session, incoming.topic, incoming.payload) if incoming else None
        if not isinstance(message, (DeviceStatus, JobReport)):
            continue
        if message.device not in shown and everyone:
            shown[message.device] = Progress(message.device)
        if (heard := shown.get(message.device)) and _update(heard, message):
            display.progress(heard)


def _update(progress: Progress, message: DeviceStatus | JobReport) -> bool:
    """Note a status, or a report unless it is of an older job than the one that is shown."""
    match message:
        case DeviceStatus():
            changed = progress.online is not message.online
            progress.online = message.online
            return changed
        case JobReport():
            last = progress.report
            if last and (last == message or (last.job != message.job and message.started < last.started)):
                return False
            progress.report = message
            return True


def _chosen(devices: dict[str, Device], names: list[str]) -> dict[str, Device]:
    for name in names:
        if name not in devices:
            raise ConfigError("no_device", f"no device {name!r} has ever spoken here{did_you_mean(name, devices)}")
    return {name: devices[name] for name in names} if names else dict(sorted(devices.items()))
