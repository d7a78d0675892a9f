"""Tables of the commands: plain columns for a script or a file, and rich tables on a terminal, folded to its width.

Only a table on a terminal imports rich, so neither the daemon nor a script's command loads it.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from edge_agent.printable import printable_lines

_STYLES = {
    "accepted": "green", "succeeded": "green", "ok": "green", "rejected": "yellow", "warn": "yellow", "failed": "red",
    "FAIL": "bold red", "canceled": "magenta", "in_progress": "cyan", "queued": "dim",
}  # fmt: skip
"""The style of a cell that is just this word."""


def print_rows(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; ``header`` may be empty. A cell may have several lines."""
    cells = [[printable_lines(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(header, cells)
    else:
        for line in plain_lines([list(header), *cells] if header else cells):
            print(line)


def plain_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows in columns as wide as their widest cell. Pure."""
    split = [[cell.split("\n") for cell in row] for row in rows]
    widths = [max(len(line) for cell in column for line in cell) for column in zip(*split, strict=True)]
    for row in split:
        for line in zip_longest(*row, fillvalue=""):
            yield "  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()


def _print_rich(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415  # only a person's table pays for it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(header), header_style="bold")
    for title in header or rows[0]:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell.strip(), "")) for cell in row))
    Console(highlight=False).print(table)
