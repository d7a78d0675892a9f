"""The requirement that pip gets: always with the origin of the package (PEP 508), never a bare name."""

from collections.abc import Iterable
from pathlib import Path

from edge_agent.advice.installation import DISTRIBUTION, requirement
from edge_agent.errors import ConfigError


def requirement_of(given: str | None, extras: Iterable[str] = ()) -> str:
    """The requirement for ``given``, or for the origin of this very package."""
    if given is not None:
        path = Path(given)
        return f"{package_with(extras)} @ {path.resolve().as_uri() if path.exists() else given}"
    found = requirement(*_with_device(extras))
    if not found:
        raise ConfigError("usage", "the origin of this edge-agent is not known, or gone; name one with --from")
    return found


def package_with(extras: Iterable[str]) -> str:
    """The package's name with the extras that a device needs, and the given ones."""
    return f"{DISTRIBUTION}[{','.join(_with_device(extras))}]"


def _with_device(extras: Iterable[str]) -> list[str]:
    return sorted({"device", *extras})
