"""Installs Node-RED, so that no test has to wait for it."""

import sys

from support import npm
from support.node_red.running import installed

try:
    installed(within_s=900)
except npm.NotHereError as missing:
    print(f"Node-RED is not installed, its test is skipped: {missing}", file=sys.stderr)  # noqa: T201  # a command
