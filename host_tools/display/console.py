"""The consoles on which commands print for people. Printed text is data and never markup: a device may be ``[/red]``.

Styles are given as rich's ``Text``. Strings of devices are made printable where they are read (``registry``).
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
    """Whether stderr is a terminal that can redraw; a terminal of type dumb cannot."""
    return sys.stderr.isatty() and not stderr_console().is_dumb_terminal
