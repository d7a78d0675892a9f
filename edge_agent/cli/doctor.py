"""``edge-agent doctor``: checks this device, and names a remedy for each problem. Exit 1 if a check fails."""

import argparse
from dataclasses import asdict

from edge_agent.cli.check import Check
from edge_agent.cli.device import add_common, print_json
from edge_agent.cli.doctor_checks import examine
from edge_agent.cli.tables import print_rows

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``doctor`` command."""
    parser = subparsers.add_parser(
        "doctor",
        help="check everything that the daemon needs, and name the remedies",
        description="Checks board, runtimes, configuration, state, sensors, daemon and broker. Changes nothing.",
    )
    add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Print every check; returns 1 if one fails."""
    checks = examine(args.config)
    failed = any(check.level == "fail" for check in checks)
    if args.json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        print_rows((), [(_MARKS[check.level], check.name, _found(check)) for check in checks])
    return int(failed)


def _found(check: Check) -> str:
    return f"{check.detail}\n→ {check.remedy}" if check.remedy else check.detail
