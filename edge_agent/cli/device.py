"""Parts that the local commands share: common options, the state directory, and JSON output."""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_agent.advice.permission import not_permitted
from edge_agent.errors import StoreError
from edge_agent.settings.device import DEFAULT_PATH, read_config


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add ``--config`` and ``--json``."""
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"default: {DEFAULT_PATH}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def state_dir(args: argparse.Namespace) -> Path:
    """The state directory that ``--config`` names; raises ``ConfigError``."""
    return Path(read_config(args.config).state_dir)


def require_readable(*folders: Path) -> None:
    """Raise ``StoreError`` (permission_denied) for a folder that exists and that this user may not list.

    A search for files there would find none, which would be wrong.
    """
    for folder in folders:
        try:
            os.scandir(folder).close()
        except FileNotFoundError:
            continue
        except PermissionError:
            raise StoreError("permission_denied", not_permitted(folder)) from None


def print_json(body: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(body, indent=2))
