"""The names of the available source kinds. Finding them imports no sensor and no driver."""

import pkgutil
from pathlib import Path

GROUP = "edge_agent.sources"
"""The entry-point group for kinds of other packages; the package of that name holds our own."""
_FOLDER = Path(__file__).parents[1] / "sources"


def kinds() -> list[str]:
    """All available source kinds: our own and those of other packages."""
    from importlib.metadata import entry_points  # noqa: PLC0415  # imports email, too much memory for an idle daemon

    return sorted({*own_kinds(), *(point.name for point in entry_points(group=GROUP))})


def own_kinds() -> list[str]:
    """Our own source kinds, one per file."""
    return sorted(module.name for module in pkgutil.iter_modules([str(_FOLDER)]))
