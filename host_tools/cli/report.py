"""``host-tools report``: shows the result of a job on every device, from the reports at the broker."""

import json
from typing import Annotated

import msgspec
import typer

from edge_agent.errors import ConfigError
from edge_agent.strict import did_you_mean
from edge_agent.wire.messages import JobReport
from edge_agent.wire.topics import Scope
from host_tools.broker.registry import addressed, read_devices, read_reports
from host_tools.broker.session import Session
from host_tools.cli.options import connection_of, name_of
from host_tools.display.result_table import show


def report(
    context: typer.Context,
    *,
    job: Annotated[str, typer.Argument(metavar="JOB", help="a job's id, or a model's name: its newest job")],
    device: Annotated[str | None, typer.Option("--device", metavar="ID", help="only this device")] = None,
) -> None:
    """Show the result of a job, float beside int8.

    It includes every gate, and the path of the release.
    """
    options = connection_of(context)
    if device:
        name_of(device, "device")
    with Session(options.settings()) as session:
        devices = read_devices(session)
        if device:
            addressed(devices, [Scope("d", device)])
        reports = read_reports(session, [device] if device else sorted(devices))
    found = select(reports, job)
    if not found:
        known = {one.job for one in reports} | {one.model for one in reports}
        raise ConfigError("usage", f"no report of a job or model {job!r} here{did_you_mean(job, known)}")
    if options.as_json:
        print(json.dumps([msgspec.to_builtins(one) for one in found]))
        return
    show(found)


def select(reports: list[JobReport], job: str) -> list[JobReport]:
    """The reports of a job; for a model's name, each device's newest one. Pure."""
    if exact := [one for one in reports if one.job == job]:
        return exact
    newest: dict[str, JobReport] = {}
    for one in sorted(reports, key=lambda one: one.started):
        if one.model == job:
            newest[one.device] = one
    return [newest[name] for name in sorted(newest)]
