"""Makes a version the one that starts, and undoes that.

The link moves first: while the unit is still the old one with ``venv``, the link has no effect.
"""

from pathlib import Path

from edge_agent.cli.installation.host import put, write
from edge_agent.cli.installation.service import Service
from edge_agent.cli.installation.versions import Versions


class Switch:
    """Remembers the state before, so create it first."""

    def __init__(self, versions: Versions, unit: Path, service: Service | None) -> None:
        self.before = versions.active
        self._versions = versions
        self._unit = unit
        self._text = unit.read_text(encoding="utf-8") if unit.exists() else None
        self.service = service

    def forward(self, folder: Path, text: str) -> None:
        """Activate the version in ``folder``, with the unit ``text``."""
        self._versions.activate(folder)
        if text != self._text:
            write(self._unit, text)
        self._reload()

    def back(self) -> None:
        """Activate the version before, with its own unit. Nothing is printed, as the terminal may be gone."""
        self._versions.activate(self.before)
        if self._text is None:
            self._unit.unlink(missing_ok=True)
        else:
            put(self._unit, self._text)
        self._reload()

    def _reload(self) -> None:
        if self.service is not None:
            self.service.reload()
