"""The files of a version before it is installed: pip builds or fetches its wheel, which is read here.

The version number must be known first, because it names the folder, and a venv cannot be moved.
"""

import sys
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edge_agent.cli.installation.programs import call
from edge_agent.errors import ConfigError

_DATA = "edge_agent/data"


@dataclass(frozen=True, slots=True)
class Shipped:
    """A version's number and its files.

    Attributes:
        version: the version in the wheel's name.
        unit: the systemd unit.
        config: the commented example configuration.
        constraints: the tested versions of its dependencies; empty if it names none.
    """

    version: str
    unit: str
    config: str
    constraints: str


def look_into(requirement: str, scratch: Path) -> Shipped:
    """Let pip put the wheel of ``requirement`` into ``scratch``, and read it.

    pip's cache is not used: pip takes a folder named edge-agent for an archive of a fixed version, and would return its
    first build for ever.
    """
    wheels = scratch / "wheel"
    options = ("--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--wheel-dir", str(wheels))
    call(*_pip(scratch), "wheel", *options, requirement)
    return read_wheel(next(wheels.glob("*.whl")))


def read_wheel(wheel: Path) -> Shipped:
    """The content of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

        def text(name: str) -> str:
            path = f"{_DATA}/{name}"
            return archive.read(path).decode() if path in names else ""

        found = Shipped(
            wheel.name.split("-")[1], text("edge-agent.service"), text("config.toml"), text("constraints.txt")
        )
    if not found.unit or not found.config:
        raise ConfigError("usage", f"{wheel.name} brings no systemd unit; give an edge-agent with --from")
    return found


def read_installed(site: Path, name: str) -> str | None:
    """A file of an installed version; ``None`` if it has none of that name."""
    path = site / _DATA / name
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _pip(scratch: Path) -> tuple[str, ...]:
    """A pip for this Python: its own, or one in a new venv. A venv made by uv has none."""
    python = sys.executable
    if find_spec("pip") is None:
        call(python, "-m", "venv", str(scratch / "pip"))
        python = str(scratch / "pip/bin/python")
    return python, "-m", "pip"
