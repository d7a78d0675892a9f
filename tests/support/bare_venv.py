"""A real virtual environment with what ``pip install .`` brings and nothing else, made without a network.

Its packages are links to this environment's: those that the project's own requirements lead to, extras left out.
"""

import os
import subprocess
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from edge_agent.advice.installation import DISTRIBUTION

ROOT = Path(__file__).parents[2]


class BareVenv:
    """An environment below ``folder``."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        self._packages = next(folder.glob("lib/python*/site-packages"))
        for name in sorted(_needed()):
            self._link(name)

    def run(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the interpreter; what it says as text."""
        return subprocess.run(
            [self.python, *argv],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self._packages,
            env={**os.environ, "PYTHONPATH": "", **environment},
        )

    def edge_agent(self, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        """Run ``edge-agent``."""
        return self.run("-m", "edge_agent", *map(str, argv))

    def host_tools(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``host-tools``."""
        return self.run("-c", "from host_tools.cli.app import main; main()", *argv, **environment)

    def _link(self, name: str) -> None:
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            self._packages.joinpath(top).symlink_to(str(found.locate_file(top)))


def _needed() -> set[str]:
    """The distributions that the project needs, and theirs."""
    needed: set[str] = set()
    open_ones = [DISTRIBUTION]
    while open_ones:
        name = open_ones.pop()
        if name in needed:
            continue
        try:
            wanted = map(Requirement, distribution(name).requires or ())
        except PackageNotFoundError:  # such as colorama, which only Windows needs
            continue
        needed.add(name)
        open_ones += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    return needed
