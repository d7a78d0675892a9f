"""The flow that people import, as it is made of its parts: JSON for its nodes, a file for each function and page.

In ``flow.json`` a string that begins with ``@`` is the name of a file, whose text takes its place.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[3] / "host_tools" / "dashboards" / "node_red"
FLOW = FOLDER / "edge-agent.json"
SOURCE = FOLDER / "source"


def written() -> str:
    """What :data:`FLOW` is to contain."""
    nodes = _filled(json.loads((SOURCE / "flow.json").read_text(encoding="utf-8")))
    return json.dumps(nodes, indent=1, ensure_ascii=False) + "\n"


def nodes() -> list[dict[str, Any]]:
    """The nodes of the flow as it is."""
    found: list[dict[str, Any]] = json.loads(FLOW.read_text(encoding="utf-8"))
    return found


def _filled(value: Any) -> Any:
    match value:
        case str() if value.startswith("@"):
            return (SOURCE / value[1:]).read_text(encoding="utf-8").rstrip("\n")
        case list():
            return [_filled(one) for one in value]
        case dict():
            return {key: _filled(one) for key, one in value.items()}
    return value
