"""``edge-agent status``: jobs and active releases, from the daemon, or from disk if none runs."""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.cli.device import add_common, print_json, require_readable, state_dir
from edge_agent.cli.tables import print_rows
from edge_agent.daemon.control_socket import ask
from edge_agent.daemon.device_info import Identity
from edge_agent.daemon.sensor_processes import describe
from edge_agent.errors import StoreError
from edge_agent.printable import printable
from edge_agent.settings.sharing import SourceState
from edge_agent.state.store import Store


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``status`` command."""
    parser = subparsers.add_parser("status", help="show jobs and active releases of this device")
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Print the daemon's state; without a daemon, the state on disk with a note."""
    folder = state_dir(args)
    try:
        body = {"daemon": "running", **ask(folder, "status")}
    except StoreError as error:
        if error.code != "not_running":
            raise
        body = {"daemon": "not running", **_from_disk(folder)}
    if args.json:
        print_json(body)
        return 0
    connection = "" if "connected" not in body else ", connected" if body["connected"] else ", broker not reached"
    print(f"daemon {body['daemon']}{connection}; state in {folder}")
    for name, sensor in body.get("sensors", {}).items():
        print(printable(f"sensor {describe(name, msgspec.convert(sensor, SourceState))}"))
    if body["active"]:
        print()
        header = ("MODEL", "VERSION", "VERDICT", "METHOD", "RUNTIME", "ACTIVATED")
        print_rows(header, [_release_row(release) for release in body["active"]])
    if body["jobs"]:
        print()
        header = ("JOB", "MODEL", "VERSION", "STATUS", "STAGE", "WHAT")
        print_rows(header, [_job_row(job) for job in body["jobs"]])
    return 0


def _from_disk(folder: Path) -> dict[str, Any]:
    store = Store(folder)
    require_readable(folder, store.jobs, store.models)
    return {
        "jobs": [msgspec.to_builtins(job) for job in store.load_jobs()],
        "active": [msgspec.to_builtins(release) for release in Identity().active(store)],
    }


def _release_row(release: dict[str, Any]) -> tuple[object, ...]:
    runtime = f"{release['runtime']} {release['runtime_version']}"
    return release["model"], release["version"], release["verdict"], release["method"], runtime, release["activated"]


def _job_row(job: dict[str, Any]) -> tuple[object, ...]:
    what = f"{job['code']}: {job['message']}" if job["code"] else f"{job['fraction']:.0%} {job['detail']}"
    if not job["code"] and round(job.get("eta_s") or 0.0):
        what += f" ({job['eta_s']:.0f} s left)"
    return job["id"], job["model"], job["version"], job["status"], job["stage"], what.rstrip(": ")
