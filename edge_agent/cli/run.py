"""``edge-agent run``: the daemon. Imports neither numpy nor a runtime."""

import argparse
from pathlib import Path

from edge_agent.daemon.main import run as run_daemon
from edge_agent.settings.device import DEFAULT_PATH, read_config


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``run`` command."""
    parser = subparsers.add_parser(
        "run",
        help="run the daemon",
        description="Runs the daemon: receives models over MQTT, quantizes, proves and activates them.",
        epilog="With --once: exit 0 the job succeeded, 4 it was rejected, 5 it failed, 8 it was canceled.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"default: {DEFAULT_PATH}")
    parser.add_argument("--once", action="store_true", help="end after the first job that ends")


def run(args: argparse.Namespace) -> int:
    """Run until a signal comes, or until the first job has ended."""
    return run_daemon(read_config(args.config), once=args.once)
