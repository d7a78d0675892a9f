"""Where commands print for people. What is printed is data and never markup: a device may call itself ``[/red]``.

Styles are given as rich's ``Text``; strings of devices have been made printable where they were read (``registry``).
"""

import sys

from rich.console import Console

_WIDTH = 140


def stdout_console() -> Console:
    """For a command's tables: as wide as the terminal, and never folded at 80 columns in a file or a pipe."""
    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else _WIDTH)


def stderr_console() -> Console:
    """For progress."""
    return Console(highlight=False, markup=False, emoji=False, stderr=True)


def can_redraw() -> bool:
    """Whether stderr is a terminal on which what was printed can be drawn again; one that calls itself dumb cannot."""
    return sys.stderr.isatty() and not stderr_console().is_dumb_terminal
