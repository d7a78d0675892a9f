"""The packages that an operator has added to a version: extras of edge-agent, and packages with sensors of their own.

A new version has its own venv, so these are looked up in the one before and installed again.
"""

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from edge_agent.advice.direct_url import FILE, read_origin
from edge_agent.advice.installation import DISTRIBUTION

_OURS = (DISTRIBUTION, "edge-agent")
"""The package's name in pip, and its name in version 0.1."""
_OF_VENV = {*_OURS, "pip", "setuptools", "wheel"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")


@dataclass(frozen=True, slots=True)
class Additions:
    """The packages to install beside a version.

    Attributes:
        extras: extras of edge-agent with all of their packages installed.
        packages: name and requirement of each package that somebody has installed by name.
    """

    extras: frozenset[str] = frozenset()
    packages: tuple[tuple[str, str], ...] = ()

    def missing(self, site: Path, constraints: str) -> list[str]:
        """Requirements of the packages that another venv lacks. Versions in the constraints take precedence."""
        there = _by_name(site)
        pinned = {_canonical(match[0]) for line in constraints.splitlines() if (match := _NAME.match(line))}
        return [name if name in pinned else wanted for name, wanted in self.packages if name not in there]


def additions(site: Path | None) -> Additions:
    """The additions in the venv with its packages in ``site``."""
    found = _by_name(site) if site is not None else {}
    ours = next((found[name] for name in _OURS if name in found), None)
    if ours is None:
        return Additions()
    needs: dict[str, set[str]] = {}
    for line in ours.requires or ():
        name = _NAME.match(line)
        for extra in _EXTRA.findall(line.partition(";")[2]):
            needs.setdefault(extra, set()).add(_canonical(name[0]) if name else line)
    return Additions(
        frozenset(extra for extra, names in needs.items() if names <= found.keys()),
        tuple(
            (name, _requirement(package))
            for name, package in sorted(found.items())
            if name not in _OF_VENV and package.read_text("REQUESTED") is not None
        ),
    )


def _by_name(site: Path) -> dict[str, Distribution]:
    return {_canonical(package.name): package for package in distributions(path=[str(site)])}


def _requirement(package: Distribution) -> str:
    origin = read_origin(package.read_text(FILE))
    return f"{package.name} @ {origin.url}" if origin else f"{package.name}=={package.version}"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
