"""The kinds of source that there are, by name only: finding them imports no sensor and no driver."""

import pkgutil
from pathlib import Path

GROUP = "edge_agent.sources"
"""The entry points by which other packages bring kinds; the folder of that package has ours."""
_FOLDER = Path(__file__).parents[1] / "sources"


def kinds() -> list[str]:
    """The kinds of source that there are: ours, and those that other packages bring."""
    from importlib.metadata import entry_points  # noqa: PLC0415  # brings email, too much to idle

    return sorted({*own_kinds(), *(point.name for point in entry_points(group=GROUP))})


def own_kinds() -> list[str]:
    """The kinds that are files of this package."""
    return sorted(module.name for module in pkgutil.iter_modules([str(_FOLDER)]))
