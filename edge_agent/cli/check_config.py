"""``edge-agent check-config``: checks every key and every source's options without opening a device."""

import argparse
from pathlib import Path

from edge_agent.advice.installation import require
from edge_agent.errors import ConfigError, EdgeAgentError
from edge_agent.settings.device import DEFAULT_PATH, read_config
from edge_agent.strict import counted


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``check-config`` command."""
    parser = subparsers.add_parser("check-config", help="check the configuration file")
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"default: {DEFAULT_PATH}")


def run(args: argparse.Namespace) -> int:
    """Print a summary; raises ``ConfigError`` (exit 2) that names file and key."""
    config = read_config(args.config)
    if config.sources:
        require("numpy")
        from edge_agent.sources import check_table  # noqa: PLC0415  # numpy, which only sources need

    for name, table in config.sources.items():
        try:
            check_table(name, table)
        except EdgeAgentError as error:
            raise ConfigError("usage", f"{args.config} {error.message}") from None
    print(f"{args.config}: device {config.device_id}, {counted(len(config.sources), 'source')}, all keys known")
    return 0
