"""A sensor of this device, open for a command: its own reading of it, or beside the daemon where it is shared."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.cli.owner import as_owner

if TYPE_CHECKING:
    from edge_agent.acquisition.source import Source


@contextmanager
def opened_source(name: str, table: dict[str, Any], folder: Path | None) -> Iterator["Source"]:
    """The source, closed at the end of the block.

    Args:
        name: of the source.
        table: its options.
        folder: where everything of it lies in the state directory; None: nothing does, and nobody shares it.

    Raises:
        SourceError: it is not there, or busy.
    """
    from edge_agent.sensing.subscribe import is_served, subscribe  # noqa: PLC0415  # numpy
    from edge_agent.sources import open_source  # noqa: PLC0415

    with ExitStack() as until_taken:
        source: Any
        if folder is not None and _as_owner_asked(folder, is_served):
            until_taken.enter_context(as_owner(folder))  # it connects again where the socket's process starts again
            source = subscribe(name, folder)
        else:
            source = open_source(name, table)
        until_taken.callback(source.close)
        yield source


def _as_owner_asked(folder: Path, is_served: Any) -> bool:
    with as_owner(folder):
        return bool(is_served(folder))
