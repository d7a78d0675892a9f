"""The shipped example of a configuration with values filled in, every comment kept. Pure."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_agent.draft.toml_text import inline

_PACKAGE = Path(__file__).parents[2]
_HEADER = re.compile(r"^\[(?P<table>[^\]]+)\]$")
_SENSOR = "sources.imu"
"""The name of the example's sensor."""


def shipped_example() -> str:
    """The example configuration of this installation or checkout."""
    installed = _PACKAGE / "data" / "config.toml"
    path = installed if installed.is_file() else _PACKAGE.parent / "systemd" / "config.toml"
    return path.read_text(encoding="utf-8")


def filled_in(example: str, values: Mapping[tuple[str, str], Any]) -> str:
    """The example with other values: (table, key) → value; the table of keys before any header is empty.

    Raises:
        KeyError: the example has no such key.
    """
    left = dict(values)
    lines, table = [], ""
    for line in example.splitlines():
        if header := _HEADER.match(line):
            table = header["table"]
        key = line.partition(" = ")[0]
        lines.append(f"{key} = {inline(left.pop((table, key)))}" if (table, key) in left else line)
    if left:
        raise KeyError(f"the example has no {', '.join(f'[{table}] {key}' for table, key in left)}")
    return "\n".join(lines) + "\n"


def with_sensor(text: str, name: str, table: Mapping[str, Any]) -> str:
    """The text with the example's sensor as a comment, and ``[sources.NAME]`` before it; an empty table: none."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        header = _HEADER.match(line)
        if header is not None and header["table"] == _SENSOR:
            inside = True
            about = lines.pop()  # what the example says of it
            if table:
                values = [f"{key} = {inline(value)}" for key, value in table.items()]
                lines += [
                    "# The sensor that models are calibrated with. The table's name is what manifests call it.",
                    f"[sources.{name}]",
                    *values,
                    "",
                ]
            lines.append(about)
        elif header is not None or not line:
            inside = False
        lines.append(f"# {line}" if inside and not line.startswith("#") else line)
    return "\n".join(lines) + "\n"
