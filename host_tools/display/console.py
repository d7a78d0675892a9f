"""Standard output for people: as wide as the terminal, and never folded at 80 columns in a file or a pipe."""

import sys

from rich.console import Console

_WIDTH = 140


def stdout_console() -> Console:
    """Where a command prints its tables."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
