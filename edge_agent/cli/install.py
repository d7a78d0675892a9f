"""``edge-agent install``: makes the agent a system service, with a venv per version, configuration, keys, unit, user.

A second run upgrades: the new version gets its own folder beside the running one, and a running service is restarted on
it. If the new version does not become ready, the old one runs again. An existing configuration is never changed, and an
edited unit is replaced only after a question. A service that does not run is not started, as only the operator knows
its broker and keys.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from edge_agent.cli.installation.additions import additions
from edge_agent.cli.installation.environment import fill
from edge_agent.cli.installation.host import (
    COMMAND,
    PREFIX,
    UNIT,
    below,
    link_command,
    make_config,
    make_folder,
    make_user,
    may_replace,
)
from edge_agent.cli.installation.interruption import end_by_exception, undisturbed
from edge_agent.cli.installation.report import clean, report_upgrade, report_way_back
from edge_agent.cli.installation.requirement import requirement_of
from edge_agent.cli.installation.service import NotReadyError, Service, service_of_this_machine
from edge_agent.cli.installation.shipped import look_into
from edge_agent.cli.installation.switch import Switch
from edge_agent.cli.installation.unit import unedited, unit_text
from edge_agent.cli.installation.versions import CURRENT, OLD_NAME, Versions, site_packages
from edge_agent.errors import ConfigError
from edge_agent.settings.device import DEFAULT_PATH, Trust

EXIT_DECLINED, EXIT_WENT_BACK = 2, 5


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``install`` command."""
    parser = subparsers.add_parser(
        "install",
        help="install edge-agent as a systemd service",
        description="Makes a venv with this version of edge-agent, a commented configuration, the folder for trusted "
        "keys, a system user and a hardened systemd unit. A running service is restarted, and returns to the "
        "version before if the new one does not become ready. A service that does not run is not started. Needs root.",
        epilog="exit codes: 0 installed, 1 failed and nothing changed, 2 usage or declined, 5 the version before runs",
    )
    parser.add_argument("--prefix", type=Path, default=PREFIX, metavar="DIR", help=f"default: {PREFIX}")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="write below DIR; no user, no systemd"
    )
    parser.add_argument(
        "--from", dest="origin", metavar="ORIGIN", help="a wheel, a folder or a URL; default: the origin of this one"
    )
    parser.add_argument("--yes", action="store_true", help="replace an edited unit without asking")
    parser.add_argument("--no-restart", action="store_true", help="leave a running service on the version before")


def run(args: argparse.Namespace) -> int:
    """Install; returns 0, 2 if the operator declined, or 5 if the version before was restored."""
    live = args.root == Path("/")
    if live and os.geteuid() != 0:
        raise ConfigError("usage", "install writes to /opt and /etc; run it with sudo")
    if not args.prefix.is_absolute():
        raise ConfigError("usage", f"--prefix {args.prefix}: give an absolute path")
    os.umask(0o022)  # the service's user reads what root writes
    if not live:
        return install(args, None)
    end_by_exception()
    return install(args, service_of_this_machine())


def install(args: argparse.Namespace, service: Service | None) -> int:
    """Install below ``args.root``; ``service`` is the service that runs from there."""
    versions = Versions(below(args.root, args.prefix))
    unit = below(args.root, UNIT)
    with versions.locked():
        switch = Switch(versions, unit, service)
        with tempfile.TemporaryDirectory(prefix="edge-agent-") as scratch:
            added = additions(site_packages(switch.before) if switch.before else None)
            wanted = requirement_of(args.origin, added.extras)
            shipped = look_into(wanted, Path(scratch))
            text = unit_text(shipped.unit, args.prefix)
            if not may_replace(unit, text, unedited=unedited(versions, args.prefix), yes=args.yes):
                print("nothing was changed")
                return EXIT_DECLINED
            folder = versions.begin(shipped.version)
            print(f"installing {wanted} into {folder} (about 500 MB with all runtimes)", flush=True)
            try:
                fill(folder, wanted, shipped, added, Path(scratch))
            except BaseException:
                with undisturbed():
                    shutil.rmtree(folder, ignore_errors=True)
                print(f"removed    {folder}, which is incomplete; nothing else was changed", flush=True)
                raise
            versions.finish(folder)
        print(f"installed  {folder}")
        if args.root == Path("/"):
            make_user()
        make_config(below(args.root, DEFAULT_PATH), shipped.config)
        make_folder(below(args.root, Path(Trust().keys_dir)))
        return _put_to_use(args, versions, switch, folder, text)


def _put_to_use(args: argparse.Namespace, versions: Versions, switch: Switch, folder: Path, text: str) -> int:
    """Start the new version, or the one before if it fails."""
    service, before = switch.service, switch.before
    restarts = service is not None and service.runs and not args.no_restart
    pid = None
    try:
        switch.forward(folder, text)
        if service is not None and restarts:
            print("restarting the service", flush=True)
            pid = service.restart()
    except BaseException as error:
        with undisturbed():
            versions.doubt(folder)
            switch.back()
            restarted = _restarted(service) if service is not None and restarts else False
            report_way_back(error, folder, before, restarted=restarted)
        if isinstance(error, NotReadyError):
            return EXIT_WENT_BACK
        raise
    command, former = (args.prefix / name / "bin/edge-agent" for name in (CURRENT, OLD_NAME))
    link_command(below(args.root, COMMAND), command, former=former)
    clean(versions, folder, before)
    report_upgrade(args.prefix, folder, before, pid, runs=service is not None and service.runs)
    return 0


def _restarted(service: Service) -> NotReadyError | bool:
    try:
        service.restart()
    except NotReadyError as error:
        return error
    return True
