"""``host-tools watch``: shows devices at work, until they are done or until Ctrl-C. It sends nothing to them.

With ``--job`` it shows one job, like a push. Otherwise it shows the fleet: a live table on a terminal, a line per
change elsewhere, and with ``--json`` the reports of the fleet's jobs.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Annotated

import typer

from edge_agent.errors import ConfigError
from edge_agent.strict import did_you_mean
from edge_agent.wire.messages import DeviceStatus, JobReport
from host_tools.broker.job_tracker import JobTracker, Progress
from host_tools.broker.registry import Device, read_devices, read_reports
from host_tools.broker.session import Session, to_stderr
from host_tools.broker.settings import Settings
from host_tools.cli.options import connection_of, name_of
from host_tools.display.console import can_redraw
from host_tools.display.fleet_lines import FleetLines
from host_tools.display.fleet_table import fleet_table
from host_tools.display.live import LiveTable
from host_tools.display.progress import Display, open_display
from host_tools.display.result_table import show
from host_tools.exits import INTERRUPTED
from host_tools.fleet.reader import FleetReader
from host_tools.fleet.row import Row
from host_tools.fleet.view import FleetView
from host_tools.push.waiting import listen, message_of, wait

_TICK_S = 1.0


def watch(
    context: typer.Context,
    *,
    device: Annotated[list[str] | None, typer.Argument(metavar="[DEVICE]...", help="only these devices")] = None,
    job: Annotated[
        str | None, typer.Option("--job", metavar="JOB", help="one job, until it has ended on every device")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="WORD",
            help="only rows that contain it: a device, board, group, model, state (failed, offline, throttled, …) "
            "or code; several must all occur",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="S", min=0, show_default=False, help="stop watching after this time"),
    ] = None,
) -> None:
    """Watch devices work. Shows a live table, or a line for each change without a terminal.

    Latency is that of serving now, otherwise that of the release's verdict. With --job: one job, until it has ended
    everywhere, with the exit code that push-model would have.
    """
    options = connection_of(context)
    if job:
        name_of(job, "job")
    if only and (job or options.as_json):
        raise ConfigError(
            "usage", "--filter is for the table; leave it out with --job and --json, and name devices instead"
        )
    settings = options.settings()
    if job is None and not options.as_json:
        raise typer.Exit(_watch_fleet(settings, device or [], [word.lower() for word in only or ()], timeout))
    reports: list[JobReport] = []
    with open_display(as_json=options.as_json) as display, Session(settings, display.note) as session:
        devices = _chosen(read_devices(session), device or [])
        try:
            if job is None:
                _watch_reports(session, devices, display, timeout, everyone=not device)
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


def _watch_fleet(settings: Settings, names: list[str], words: list[str], timeout_s: float | None) -> int:
    """Show all or the named devices, for ever or until the timeout; returns the exit code."""
    view = FleetView(names or None)

    def rows(device: str | None = None) -> list[Row]:
        now = time.time()
        return [row for row in (view.rows_of(device, now) if device else view.rows(now)) if row.has(words)]

    terminal = can_redraw()
    table = LiveTable(lambda height: fleet_table(rows(), height=height, now=time.time()))
    lines = FleetLines()
    say: Callable[[str], None] = table.note if terminal else to_stderr
    try:
        with Session(settings, say) as session:
            reader = FleetReader(session, view)
            reader.read()
            _check(names, reader.known)
            deadline = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
            lines.show(rows() if not terminal else ())
            with table if terminal else nullcontext():
                while (left_s := deadline - time.monotonic()) > 0:
                    said = reader.next(min(left_s, table.wait_s if terminal else _TICK_S))
                    if terminal:
                        _draw(table, changed=said is not None)
                    elif said is not None:
                        lines.show(rows(said.device), said.message)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _draw(table: LiveTable, *, changed: bool) -> None:
    if changed:
        table.changed()
    table.tick()


def _watch_reports(
    session: Session, devices: dict[str, Device], display: Display, timeout_s: float | None, *, everyone: bool
) -> None:
    """Show every device's newest job, for ever or until the timeout."""
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
    """Store a status, or a report unless it is about an older job than the shown one.

    Returns whether that changed it.
    """
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
    _check(names, devices)
    return {name: devices[name] for name in names} if names else dict(sorted(devices.items()))


def _check(names: Iterable[str], known: Iterable[str]) -> None:
    known = set(known)
    for name in names:
        if name not in known:
            raise ConfigError("no_device", f"no device {name!r} has ever spoken here{did_you_mean(name, known)}")
