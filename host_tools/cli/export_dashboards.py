"""``host-tools export-dashboards``: writes the ready-made files for Grafana, Prometheus and others."""

from pathlib import Path
from typing import Annotated

import typer

from edge_agent.errors import ConfigError
from host_tools.dashboards.files import ready_made


def export_dashboards(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="target folder; created if missing")],
    force: Annotated[bool, typer.Option("--force", help="replace existing files that differ")] = False,
) -> None:
    """Write ready-made dashboards and alert rules. Prints the path of each file.

    docs/integrations.md explains their use and content.
    """
    found = {folder / name: content for name, content in ready_made().items()}
    try:
        changed = [path for path, content in found.items() if path.exists() and path.read_bytes() != content]
        if changed and not force:
            raise ConfigError(
                "usage", f"{changed[0]} exists and differs; give --force to replace it, or another folder"
            )
        for path, content in found.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            print(path)
    except OSError as error:
        raise ConfigError("usage", f"{error.filename}: {error.strerror}; give another folder") from None
